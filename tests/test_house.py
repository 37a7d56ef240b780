"""The house itself: who imports whom, what is pinned, what the documentation claims."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from django.core.management import call_command
from packaging.requirements import Requirement

from project import environment
from servers.management import drawing
from servers.management.exit_codes import MEANING

ROOT = Path(__file__).parent.parent
FORBIDDEN_NAMES = {"utils", "helpers", "common", "core", "manager"}
READERS = {name for name in vars(environment) if name.startswith("env_")}


PRIVATE_WORDS = frozenset(
    [
        "asking",
        "beginnings",
        "bell",
        "bells",
        "deaf",
        "deed",
        "deeds",
        "desk",
        "duties",
        "duty",
        "errand",
        "forgiven",
        "forsaken",
        "grave",
        "likeness",
        "marks",
        "newcomer",
        "newcomers",
        "notes",
        "opinion",
        "opinions",
        "paper",
        "papers",
        "redeem",
        "redeemed",
        "ring",
        "rings",
        "rounds",
        "rung",
        "seat",
        "seats",
        "spare",
        "ticket",
        "tickets",
        "torn",
        "whereabouts",
    ]
)
"""Metaphors that this house once had for what Nova, libvirt, QEMU and Django have words for."""


def own_modules() -> list[Path]:
    return [path for room in ("project", "servers", "tests") for path in (ROOT / room).rglob("*.py")]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    return {name.lower().replace("_", "-"): number for name, number in pairs}


def requirements() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [
        Requirement(line) for line in (*project["dependencies"], *project["optional-dependencies"]["dev"])
    ]


def test_every_room_imports_only_what_the_table_allows() -> None:
    lint_imports = Path(sys.executable).with_name(
        "lint-imports"
    )  # in a process of its own: it configures logging
    linted = subprocess.run(
        [lint_imports, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert linted.returncode == 0, linted.stdout


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [path for path in own_modules() if path.stem in FORBIDDEN_NAMES] == []


def test_every_module_of_servers_says_what_it_is_for() -> None:
    silent = [
        path.relative_to(ROOT)
        for path in (ROOT / "servers").rglob("*.py")
        if "migrations" not in path.parts
        and path.read_text()
        and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


@pytest.mark.parametrize("requirement", requirements(), ids=lambda r: r.name)
def test_every_dependency_is_pinned_to_a_version_that_it_allows(requirement: Requirement) -> None:
    assert pins()[requirement.name.lower().replace("_", "-")] in requirement.specifier


def test_every_dependency_on_postgresql_is_pinned() -> None:
    lines = (ROOT / "constraints-postgresql.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in map(Requirement, project["optional-dependencies"]["postgresql"]):
        assert pinned[requirement.name] in requirement.specifier


def test_nothing_names_a_package_registry() -> None:
    setup = [ROOT / name for name in ("constraints.txt", "Makefile", "pyproject.toml", ".ci/run")]
    assert [p.name for p in setup if re.search(r"index-url|find-links|pypi\.org|://", p.read_text())] == []


def test_what_is_installed_is_what_is_pinned() -> None:
    assert version("django") == pins()["django"]


@pytest.mark.django_db
def test_no_migration_is_missing() -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


def test_the_drawn_state_machines_are_those_in_force() -> None:
    assert (ROOT / "docs/states.dot").read_text() == drawing.dot(), "run: make docs"
    assert (ROOT / "docs/states.md").read_text() == drawing.markdown(), "run: make docs"


# ------------------------------------------------------------------------------- docs/settings.md


def variables_read() -> Iterator[tuple[str, object]]:
    """Every variable that settings.py reads, with its default where that is a plain value, else None."""
    for node in ast.walk(ast.parse((ROOT / "project/settings.py").read_text())):
        if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
            continue
        is_env = isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", "") == "env"
        if is_env or getattr(node.func, "id", "") in READERS:
            yield node.args[0].value, plain(default_of(node))


def default_of(call: ast.Call) -> ast.expr:
    return next((k.value for k in call.keywords if k.arg == "default"), call.args[min(1, len(call.args) - 1)])


def plain(node: ast.expr) -> object:
    try:
        value = ast.literal_eval(node)
    except ValueError:
        is_sum = isinstance(node, ast.BinOp) and not any(
            isinstance(part, ast.Name) for part in ast.walk(node)
        )
        value = eval(compile(ast.Expression(node), "", "eval")) if is_sum else None
    return ",".join(value) if isinstance(value, list) else value


def documented() -> dict[str, str]:
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|", (ROOT / "docs/settings.md").read_text(), re.M)
    return dict(rows)


def test_every_variable_that_is_read_is_documented_and_no_other() -> None:
    assert set(documented()) == {name for name, _ in variables_read()}


@pytest.mark.parametrize(("name", "default"), [v for v in variables_read() if v[1] not in (None, "")])
def test_the_documented_default_is_the_one_in_force(name: str, default: object) -> None:
    assert documented().get(name) == f"`{default}`"


# ------------------------------------------------------------------------------- docs/commands.md


def test_the_documented_exit_codes_are_those_in_force() -> None:
    text = (ROOT / "docs/commands.md").read_text().replace("`", "")
    assert re.findall(r"^\| (\d+) \| (.*) \|$", text, re.M) == [(str(int(c)), m) for c, m in MEANING.items()]


def identifiers(tree: ast.AST) -> Iterator[str]:
    """Yield every name that a module gives: functions, classes, parameters, variables, attributes, imports."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.arg(arg=name) | ast.keyword(arg=str(name)):
                yield name
            case ast.Name(id=name) | ast.Attribute(attr=name):
                yield name
            case ast.alias(name=name, asname=other):
                yield other or name


def words_of(name: str) -> set[str]:
    """Return the words of an identifier, in lower case: `KEPT_TICKETS` and `keptTickets` have kept and tickets."""
    return set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()))


def test_no_identifier_file_or_column_has_a_word_of_a_private_language() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / "servers").rglob("*.py")
        if "migrations" not in path.parts
        for name in {*identifiers(ast.parse(path.read_text())), path.stem, path.parent.name}
        if words_of(name) & PRIVATE_WORDS
    }
    assert found == set()  # columns are attributes of the models
