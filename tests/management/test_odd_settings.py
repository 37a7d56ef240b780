"""Every variable takes each odd value that its kind allows, and refuses every other one by its name.

The registry of what `project/settings.py` reads is walked: a new variable is tested by being there, a new kind by a row here.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.conf import settings as configured

from project.environment import READ, Variable
from tests.management.loading import ROOT, load

TAKEN, REFUSED = True, False
Odd = tuple[str, bool]

PATHS = (
    "with a space",
    "ünïcödé",
    "100%",
    "a#b?c=d&e",
    'it\'s "quoted"',
    "$HOME",
    "[x]*{y}",
    "a+b",
    "back\\slash",
    "-dash",
    "semi;colon",
    "new\nline",
)


def numbers(variable: Variable) -> Iterator[Odd]:
    """Both ends, what is beyond them, and what is no number."""
    assert variable.minimum is not None and variable.maximum is not None
    yield f"{variable.minimum:.15g}", TAKEN
    yield f" {variable.maximum:.15g} ", TAKEN
    yield f"{variable.minimum - 1:.15g}", REFUSED
    yield f"{variable.maximum + 1:.15g}", REFUSED
    for huge in (2**63, 10**400, "1e308", "inf", "-inf", "nan", "1e999"):
        yield str(huge), REFUSED
    for wrong in ("", " ", "4x", "1_0", "1,5", "0x10", "٣", "1 0", "None"):
        yield wrong, REFUSED
    yield "1e2", variable.minimum <= 100 <= variable.maximum


def whole(variable: Variable) -> Iterator[Odd]:
    yield from numbers(variable)
    yield "1.5", REFUSED


def paths(variable: Variable) -> Iterator[Odd]:
    for name in PATHS:
        yield f"{{tmp}}/{variable.name}/{name}", TAKEN
    for name in ("~/{}", "relative/{}", "{{tmp}}/x/../y/./{}"):
        yield name.format(variable.name), TAKEN
    yield "", TAKEN
    yield from (
        ("~nobody-of-this-name/x", REFUSED),
        ("{tmp}/" + "x" * 300, REFUSED),
        ("{tmp}/circle", REFUSED),
    )
    yield "{tmp}/link", variable.kind == "folder"
    yield "{tmp}/folder", variable.kind == "folder"
    yield "{tmp}/file", variable.kind == "file"
    yield "\udcff", REFUSED


def choices(variable: Variable) -> Iterator[Odd]:
    yield from ((word, TAKEN) for word in variable.choices)
    yield from (("", REFUSED), ("other", REFUSED), (f" {variable.choices[0]}", REFUSED))


ODD: dict[str, Callable[[Variable], Iterator[Odd]]] = {
    "number": numbers,
    "whole number": whole,
    "folder": paths,
    "file": paths,
    "choice": choices,
    "file that is there": lambda _: iter(
        (("{tmp}/file", TAKEN), ("", TAKEN), ("{tmp}/none", REFUSED), ("{tmp}/folder", REFUSED))
    ),
    "flag": lambda _: iter(
        (
            *((word, TAKEN) for word in ("TRUE", "oN", "1", " yes ", "0", "No", "off")),
            *((word, REFUSED) for word in ("", "2", "maybe", "ja")),
        )
    ),
    "text": lambda variable: iter(
        (("", TAKEN), ("$HOME", variable.name != "MAX_MICROVERSION"), ("\udcff", REFUSED))
    ),
    "list": lambda variable: iter(
        (("", TAKEN), (" , ,", TAKEN), ("a b,, c ", variable.name != "SCHEDULER_FILTERS"))
    ),
    "networks": lambda _: iter(
        (
            *((text, TAKEN) for text in ("", "::1, 10.0.0.0/8 ,", "fe80::/10", "0.0.0.0/0")),
            *((text, REFUSED) for text in ("host", "10.0.0.1/8", "1.2.3.4:80", "[::1]")),
        )
    ),
    "weights": lambda _: iter(
        (
            ("moves=1000, general=1 ,backups=1", TAKEN),
            *(
                (f"moves={n},general=1,backups=1", REFUSED)
                for n in ("0", "1001", "9" * 5000, "-1", "1.5", "٣")
            ),
        )
    ),
    "hosts": lambda _: iter(
        (
            *((text, TAKEN) for text in ("*", "A.example , [::1],,b", ".example.org", "1.2.3.4")),
            *((text, REFUSED) for text in ("", " ,", "a:80", "::1", "http://a", "bücher.example")),
        )
    ),
    "origins": lambda _: iter(
        (
            *(
                (text, TAKEN)
                for text in ("", "https://a, http://b:80/ ,", "https://*.example", "https://[::1]:1")
            ),
            *((text, REFUSED) for text in ("a", "https://a/path", "ftp://a", "https://a:x", "https://u:p@a")),
        )
    ),
    "address": lambda variable: iter(
        (
            *(
                (text, TAKEN)
                for text in ("HTTP://A.example:1/", "https://[::1]:5000/v3/", "https://a/b-c/d.e")
            ),
            ("", variable.name != "PUBLIC_URL"),
            *(
                (text, REFUSED)
                for text in (
                    "a",
                    "ftp://a",
                    "https://",
                    "https://a:99999",
                    "https://a:0",
                    "https://a:x",
                    "https://[::1",
                    "https://a?b",
                    "https://a#b",
                    "https://u:hidden@a",
                    "https://a/b c",
                    "https://a/<b>",
                )
            ),
        )
    ),
    "issuer": lambda _: iter(
        (
            *((text, TAKEN) for text in ("", "https://Login.example/realms/x/", "http://127.0.0.1:9000")),
            *(
                (text, REFUSED)
                for text in ("login", "http://login.example", "https://", "https://u:hidden@a")
            ),
        )
    ),
    "system log": lambda _: iter(
        (
            *((text, TAKEN) for text in ("", "/dev/log", "/with a space", "[::1]:514", " log.example:1 ")),
            *((text, REFUSED) for text in ("log", "log:", ":514", "log:0", "log:65536", "log:x", "log:٣")),
        )
    ),
    "secret": lambda variable: iter(
        (
            ("", TAKEN),
            *((f"hidden{c}", variable.name != "DATABASE_URL") for c in "$#%'\"é ,"),
            ("hidden\udcff", REFUSED),
        )
    ),
}
"""What is odd, by the kind of a variable, and whether it is taken. `{tmp}` is the folder of the test."""

NEEDED = {
    "OIDC_CLIENT_ID": "gantry",
    "OIDC_CLIENT_SECRET": "secret",
    "OIDC_GROUPS_FILE": "{tmp}/groups",
    "KEYSTONE_URL": "https://keystone.example/v3",
    "GLANCE_URL": "https://glance.example",
    "KEYSTONE_PASSWORD": "secret",
}
"""What some choices of others need."""
ALSO: dict[tuple[str, str], dict[str, str]] = {("IMAGES", "glance"): {"IDENTITY": "keystone"}}
REFUSED_HERE = {("QUEUE", "procrastinate")}
"""What is allowed elsewhere: with PostgreSQL."""


@dataclass(frozen=True)
class Case:
    name: str
    value: str
    is_taken: bool

    def environment(self, folder: Path) -> dict[str, str]:
        also = ALSO.get((self.name, self.value), {})
        given = {"DATA_DIR": "{tmp}/data", **NEEDED, **also, self.name: self.value}
        return {name: value.replace("{tmp}", str(folder)) for name, value in given.items()}


def cases() -> list[Case]:
    return [
        Case(variable.name, value, is_taken and (variable.name, value) not in REFUSED_HERE)
        for variable in READ.values()
        for value, is_taken in ODD[variable.kind](variable)
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "groups").write_text("[{group: operators, role: admin, system: all}]")
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    return tmp_path


def test_every_odd_value_is_taken_or_refused_by_name_and_no_secret_is_repeated(folder: Path) -> None:
    asked = cases()
    answers = load([case.environment(folder) for case in asked], folder)
    wrong = [
        f"{case.name}={case.value[:100]!r}: {found.get('whole', 'taken')}"
        for case, found in zip(asked, answers, strict=True)
        if not is_right(case, found)
    ]
    assert len(asked) > 500 and not wrong, "\n".join(wrong)


def is_right(case: Case, found: dict[str, str]) -> bool:
    """Return whether a value was taken that is to be, or refused in one line that begins with the variable's name."""
    if "error" not in found:
        return case.is_taken
    says_so = (
        re.search(rf"ImproperlyConfigured: {case.name}\b", found["error"]) and "\n" not in found["error"]
    )
    return not case.is_taken and bool(says_so) and "hidden" not in found["whole"]


def attributes() -> dict[str, str]:
    """Return under which name of the settings each number is, by its variable."""
    tree = ast.parse((ROOT / "project/settings.py").read_text())
    return {
        node.value.args[0].value: node.targets[0].id
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and getattr(node.value.func, "id", "") in {"env_int", "env_number"}
        and isinstance(node.value.args[0], ast.Constant)
        and isinstance(node.targets[0], ast.Name)
    }


def test_every_number_has_a_setting_of_its_own() -> None:
    numbers = {name for name, variable in READ.items() if variable.minimum is not None}
    assert set(attributes()) == numbers and all(hasattr(configured, name) for name in attributes().values())


def test_no_secret_is_compared_between_machines() -> None:
    secret = {name for name, variable in READ.items() if variable.is_secret}
    assert secret == {
        "SECRET_KEY",
        "DATABASE_URL",
        "KEYSTONE_PASSWORD",
        "ADMIN_PASSWORD",
        "OIDC_CLIENT_SECRET",
    }
    assert secret <= configured.OF_THIS_MACHINE


@pytest.mark.parametrize(
    ("given", "public", "origin", "host", "prefix"),
    [
        (
            "https://cloud.example/gantry/",
            "https://cloud.example/gantry",
            "https://cloud.example",
            "cloud.example",
            "/gantry",
        ),
        (
            "HTTPS://Cloud.Example:443",
            "https://cloud.example",
            "https://cloud.example",
            "cloud.example",
            None,
        ),
        ("http://[::1]:8774", "http://[::1]:8774", "http://[::1]:8774", "[::1]", None),
        (
            "https://bücher.example",
            "https://xn--bcher-kva.example",
            "https://xn--bcher-kva.example",
            "xn--bcher-kva.example",
            None,
        ),
        ("http://10.0.0.1:80/a/b", "http://10.0.0.1/a/b", "http://10.0.0.1", "10.0.0.1", "/a/b"),
    ],
)
def test_public_address_is_written_as_browsers_write_it(
    folder: Path, given: str, public: str, origin: str, host: str, prefix: str | None
) -> None:
    [found] = load([{"DATA_DIR": str(folder), "PUBLIC_URL": given}], folder)
    assert found["PUBLIC_URL"] == repr(public)
    assert found["CSRF_TRUSTED_ORIGINS"] == repr([origin])
    assert repr(host) in found["ALLOWED_HOSTS"]
    assert found["FORCE_SCRIPT_NAME"] == repr(prefix)
    assert found["SESSION_COOKIE_PATH"] == found["CSRF_COOKIE_PATH"] == repr(f"{prefix or ''}/")


@pytest.mark.parametrize("path", ["//a", "/a//b", "/a/../b", "/a%20b", "/ä", "/a;b"])
def test_public_address_has_a_plain_path(folder: Path, path: str) -> None:
    [found] = load([{"DATA_DIR": str(folder), "PUBLIC_URL": f"https://cloud.example{path}"}], folder)
    assert "PUBLIC_URL must have a path" in found.get("error", ""), found


@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        ("sqlite:///{tmp}/a+b c%23%3F%25é.db", {"NAME": "{tmp}/a+b c#?%é.db"}),
        ("sqlite:///near.db", {"NAME": "{tmp}/near.db"}),
        ("postgres://u:p%40%3A%2F%23%25%2B+@h:5432/n", {"PASSWORD": "p@:/#%++", "HOST": "h", "PORT": 5432}),
        ("postgresql://u%40x:@[::1]/n", {"USER": "u@x", "HOST": "::1", "NAME": "n"}),
        ("postgres:///n?host=/run/postgresql", {"HOST": "", "NAME": "n"}),
    ],
)
def test_address_of_a_database_says_any_path_and_any_password(
    folder: Path, address: str, wanted: dict[str, object]
) -> None:
    case = {
        "DATA_DIR": str(folder),
        "DATABASE_URL": address.replace("{tmp}", str(folder)),
        "QUEUE": "database",
    }
    [found] = load([case], folder)
    database = ast.literal_eval(found["DATABASES"])["default"]
    for key, value in wanted.items():
        assert database[key] == (value.replace("{tmp}", str(folder)) if isinstance(value, str) else value)


@pytest.mark.parametrize(
    "address",
    [
        "hidden",
        "mysql://u:hidden@h/n",
        "sqlite://:memory:",
        "sqlite:///",
        "sqlite:////hidden#x.db",
        "sqlite:////hidden?x.db",
        "postgres://u:hidden?x@h/n",
        "postgres://u:hidden/x@h/n",
        "postgres://u:hidden@h:99999/n",
        "postgres://u:hidden@h",
        "postgres://u:hidden@h/n?CONN_MAX_AGE=x",
    ],
)
def test_address_that_names_no_database_is_refused_without_its_password(folder: Path, address: str) -> None:
    [found] = load([{"DATA_DIR": str(folder), "DATABASE_URL": address}], folder)
    assert "ImproperlyConfigured: DATABASE_URL must be" in found["error"]
    assert "hidden" not in found["whole"]


# ----------------------------------------------------------------------------------- secrets in files


SECRETS = sorted(name for name, variable in READ.items() if variable.is_secret)
VALUE = {"DATABASE_URL": "sqlite:////srv/x.sqlite3"}


def seen(name: str, found: dict[str, str]) -> str:
    """Return the setting that comes of a secret."""
    return found["DATABASES"] if name == "DATABASE_URL" else found[name]


@pytest.mark.parametrize("name", SECRETS)
def test_secret_may_stand_in_a_file_or_be_a_credential_of_systemd(folder: Path, name: str) -> None:
    value = VALUE.get(name, "correct horse é")
    (folder / name).write_text(f"{value}\n")
    (folder / name).chmod(0o640)
    base = {"DATA_DIR": str(folder / "data")}
    plain, file, credential = load(
        [
            {**base, name: value},
            {**base, f"{name}_FILE": str(folder / name)},
            {**base, "CREDENTIALS_DIRECTORY": str(folder)},
        ],
        folder,
    )
    assert "error" not in plain and seen(name, plain) == seen(name, file) == seen(name, credential)


@pytest.mark.parametrize("name", SECRETS)
def test_secret_that_is_given_twice_or_cannot_be_read_is_refused_by_name(folder: Path, name: str) -> None:
    value = VALUE.get(name, "hidden")
    texts = {name: value, "empty": " \n", "open": value}
    for file, text in texts.items():
        (folder / file).write_text(text)
        (folder / file).chmod(0o604 if file == "open" else 0o600)
    (folder / "bytes").write_bytes(b"hidden\xff")
    (folder / "bytes").chmod(0o600)
    base, by_file = {"DATA_DIR": str(folder / "data")}, f"{name}_FILE"
    wrong = [
        ({name: value, by_file: str(folder / name)}, f"given once, not by {name} and by {by_file}"),
        ({name: value, "CREDENTIALS_DIRECTORY": str(folder)}, f"and by the credential {name}"),
        ({by_file: str(folder / name), "CREDENTIALS_DIRECTORY": str(folder)}, f"not by {by_file} and by"),
        ({by_file: str(folder / "none")}, "No such file"),
        ({by_file: str(folder)}, "Is a directory"),
        ({by_file: str(folder / "empty")}, "is empty"),
        ({by_file: str(folder / "bytes")}, "UTF-8"),
        ({by_file: str(folder / "open")}, "everybody may read: chmod o= "),
    ]
    found = load([{**base, **variables} for variables, _ in wrong], folder)
    for (_, said), answer in zip(wrong, found, strict=True):
        error = answer.get("error", "")
        assert f"ImproperlyConfigured: {name}" in error and said in error, answer
        assert "hidden" not in answer["whole"]


def test_environment_of_the_tests_says_nothing_of_its_own() -> None:
    assert "CREDENTIALS_DIRECTORY" not in os.environ
