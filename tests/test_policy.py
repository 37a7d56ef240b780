"""Who may do what: Nova's defaults, and an operator's file that is read again when it changes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from structlog.testing import CapturingLogger

from servers import policy
from servers.actions import registry
from servers.errors import NotPermitted
from servers.policy import Context, Policy, Role, Rule, implied_roles

BACKUP = "os_compute_api:os-create-backup"


@pytest.fixture(autouse=True)
def fresh_policy() -> Iterator[None]:
    policy.in_force.cache_clear()
    yield
    policy.in_force.cache_clear()


def somebody(*roles: str, project: str = "p") -> Context:
    return Context("u", project, implied_roles(roles))


def touched_later(path: Path, text: str) -> None:
    """Write a file so that its time of change is another one, however quick the test is."""
    path.write_text(text)
    later = path.stat().st_mtime + 10
    os.utime(path, (later, later))


@pytest.mark.parametrize(
    ("slug", "lowest"),
    [
        ("create-backup", "member"),
        ("confirm-resize", "member"),
        ("migrate", "manager"),
        ("live-migration", "manager"),
        ("reset-state", "admin"),
        ("inject-network-info", "admin"),
        ("reset-network", "admin"),
    ],
)
def test_defaults_are_novas_of_today(slug: str, lowest: str) -> None:
    rules = [rule.name for rule in registry[slug].rules_for({})]
    ladder = ["reader", "member", "manager", "admin"]
    for role in ladder:
        passes = all(policy.in_force().allows(somebody(role), rule, "p") for rule in rules)
        assert passes is (ladder.index(role) >= ladder.index(lowest)), role


def test_host_of_ones_choice_is_for_admins() -> None:
    rules = [rule.name for rule in registry["live-migration"].rules_for({"host": "node2"})]
    assert rules == ["os_compute_api:os-migrate-server:migrate_live:host"]
    with pytest.raises(NotPermitted, match="migrate_live:host"):
        policy.in_force().require(somebody("manager"), rules[0], "p")


def test_role_counts_in_its_own_project_and_admin_everywhere() -> None:
    assert not policy.in_force().allows(somebody("manager", project="q"), BACKUP, "p")
    assert policy.in_force().allows(somebody("admin", project="q"), BACKUP, "p")


@pytest.mark.parametrize("name", policy.POLICY_FILES)
def test_operators_file_changes_a_rule_and_is_read_again_when_it_changes(name: str, settings: Any) -> None:
    path = Path(settings.DATA_DIR) / name
    path.write_text(json.dumps({BACKUP: "role:reader"}))
    assert policy.in_force().allows(somebody("reader"), BACKUP, "p")
    touched_later(path, json.dumps({BACKUP: "!"}))
    assert not policy.in_force().allows(somebody("admin"), BACKUP, "p")


def test_named_file_that_is_not_there_is_an_error(settings: Any) -> None:
    settings.POLICY_FILE = "/nowhere/policy.yaml"
    with pytest.raises(ImproperlyConfigured, match="nowhere"):
        policy.in_force()


def test_one_name_has_one_default(tmp_path: Path) -> None:
    known = Policy(tmp_path / "policy.yaml")
    with pytest.raises(ValueError, match=BACKUP):
        known.register([Rule(BACKUP, Role.ADMIN)])


def test_every_rule_of_every_action_is_in_force() -> None:
    for action in registry.values():
        for rule in action.policy:
            assert policy.in_force().check_string(rule.name) == rule.default.value


def test_a_mistake_in_the_file_is_said_once_each_time_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = CapturingLogger()
    monkeypatch.setattr(policy, "log", log)
    path = tmp_path / "policy.yaml"
    found = Policy(path)
    for text in ('"os_compute_api:os-create-backupp": "role:x"\n', f'"{BACKUP}": ""\n'):
        touched_later(path, text)
        for _ in range(2):
            found.allows(somebody("member"), BACKUP)
    assert [(call.method_name, call.kwargs["reason"]) for call in log.calls] == [
        ("warning", f"There is no rule os_compute_api:os-create-backupp: is {BACKUP} meant?"),
        ("warning", f'{BACKUP} is empty, so everybody passes: write "@" if that is meant.'),
    ]
