"""The policy, as the shell shows it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
import yaml
from django.core.management import call_command
from django.core.management.base import CommandError

from servers import policy
from servers.actions import registry
from tests.factories import make_project, make_user

RULE = "os_compute_api:os-migrate-server:migrate"


@pytest.fixture(autouse=True)
def fresh_policy() -> Iterator[None]:
    policy.in_force.cache_clear()
    yield
    policy.in_force.cache_clear()


def said(*words: str) -> str:
    out = StringIO()
    call_command("policy", *words, stdout=out)
    return out.getvalue()


def row(text: str, rule: str) -> list[str]:
    return next(line.split() for line in text.splitlines() if line.startswith(f"{rule} "))


def test_the_sample_has_every_rule_with_its_default_once_it_is_uncommented() -> None:
    uncommented = "\n".join(line[1:] for line in said("sample").splitlines() if line.startswith('#"'))
    rules = {rule.name: rule.default.value for action in registry.values() for rule in action.policy}
    assert rules.items() <= yaml.safe_load(uncommented).items()


def test_the_sample_changes_nothing_as_it_stands() -> None:
    assert yaml.safe_load(said("sample")) is None


def test_every_role_is_shown_unless_one_is_named() -> None:
    assert row(said("check"), RULE)[-4:] == ["yes", "yes", "no", "no"]


@pytest.mark.parametrize(("role", "passes"), [("manager", "yes"), ("member", "no")])
def test_a_role_passes_or_not(role: str, passes: str) -> None:
    assert row(said("check", "--role", role), RULE)[-1] == passes


def test_a_rule_that_the_operator_has_changed_is_shown_as_it_is_in_force(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(f'"{RULE}": "role:member"\n')
    shown = row(said("check", "--role", "member"), RULE)
    assert shown[-2:] == ["role:member", "yes"]


@pytest.mark.django_db
def test_a_user_passes_by_the_role_that_he_has_in_the_project() -> None:
    project = make_project(name="shop")
    make_user("manager", project, name="mandy")
    assert row(said("check", "--user", "mandy", "--project", "shop"), RULE)[-1] == "yes"


@pytest.mark.django_db
def test_an_unknown_user_is_named() -> None:
    with pytest.raises(CommandError, match="nobody"):
        said("check", "--user", "nobody")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('"os_compute_api:os-migrate-server:migrat": "@"', f"migrat: is {RULE} meant?"),
        ('"nova_only:shelve": "@"', "There is no rule nova_only:shelve."),
        (f'"{RULE}": ""', f'{RULE} is empty, so everybody passes: write "@" if that is meant.'),
        (f'"{RULE}":', f"{RULE} is empty"),
        (
            f'"{RULE}": "rule:nosuch or role:x"',
            f"{RULE} asks for rule:nosuch, which there is not, so nobody passes.",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(tmp_path: Path, line: str, complaint: str) -> None:
    (tmp_path / "policy.yaml").write_text(f"{line}\n")
    with pytest.raises(CommandError, match=re.escape(complaint)):
        said("check")


def test_rules_of_an_operators_own_are_no_mistake_where_another_one_asks_for_them(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(
        f'"night_shift": "role:member"\n"{RULE}": "rule:night_shift or rule:context_is_admin"\n'
        '"context_is_admin": "role:admin"\n"delete_image": "@"\n'
    )
    assert row(said("check", "--role", "member"), RULE)[-1] == "yes"
