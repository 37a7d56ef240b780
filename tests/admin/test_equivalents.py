"""The lines that a form shows are those that the other doors take."""

from __future__ import annotations

import io
import json
import shlex
from typing import Any

import pytest
from django.core.management import call_command

from servers.actions import Action, registry
from servers.admin.equivalents import command_line, curl_line
from servers.microversions import NEWEST, Microversion
from servers.models import ActionRecord, Project
from tests.conftest import Caller
from tests.factories import make_server
from tests.ready import state_for

PARAMS: dict[str, dict[str, Any]] = {
    "live-migration": {"host": None, "block_migration": True},
    "create-backup": {"name": "it's", "backup_type": "daily", "rotation": 2, "metadata": {"a": "b c"}},
    "reset-state": {"state": "error"},
    "change-password": {"adminPass": "s3cret"},
    "lock": {"locked_reason": "a sale"},
}
PLAIN = [a for a in registry.values() if not a.on_migration and "esize" not in a.slug]
by_slug = pytest.mark.parametrize("action", PLAIN, ids=lambda a: a.slug)


def asked(line: str) -> tuple[str, str, dict[str, str], Any]:
    """Return method, address, headers and body of a curl line."""
    words = shlex.split(line)
    after = [(words[n], words[n + 1]) for n in range(len(words) - 1)]
    headers = dict(value.split(": ", 1) for flag, value in after if flag == "--header")
    body = next((json.loads(value) for flag, value in after if flag == "--data"), None)
    return words[words.index("--request") + 1], words[-1], headers, body


@by_slug
def test_curl_line_is_accepted_by_rest(action: type[Action], project: Project, admin: Caller) -> None:
    server = make_server(project, vm_state=state_for(action))
    line = curl_line(action, str(server.pk), PARAMS.get(action.slug, {}), NEWEST)
    method, address, headers, body = asked(line)
    assert "s3cret" not in line and method == "POST" and headers["X-Auth-Token"] == "$OS_TOKEN"
    path = address[address.index("/v2.1") :]
    version = headers["OpenStack-API-Version"].removeprefix("compute ")
    assert admin.post(path, body, version).status_code in {202, 204}


@by_slug
def test_command_line_is_accepted_by_the_shell(
    action: type[Action], project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("s3cret\n"))
    server = make_server(project, vm_state=state_for(action))
    given = PARAMS.get(action.slug, {})
    line = command_line(action, str(server.pk), given, NEWEST)
    python, manage, *words = shlex.split(line)
    assert (python, manage) == ("python", "manage.py") and "s3cret" not in line
    call_command(*words, stdout=io.StringIO())
    record = ActionRecord.objects.get()
    kept = {key: value for key, value in given.items() if key != "adminPass"}
    assert record.slug == action.slug and {k: record.params[k] for k in kept} == kept


def test_older_version_is_named_in_both_lines() -> None:
    version = Microversion.parse("2.24")
    params = {"host": "h", "block_migration": False, "disk_over_commit": True}
    action = registry["live-migration"]
    assert "compute 2.24" in curl_line(action, "id", params, version)
    line = command_line(action, "id", params, version)
    assert "--api-version 2.24" in line and "--disk-over-commit true" in line


def test_actions_on_a_migration_name_it_in_the_address() -> None:
    abort = curl_line(registry["abort-migration"], "id", {"migration": 7}, NEWEST)
    assert "--request DELETE" in abort and abort.endswith("/v2.1/servers/id/migrations/7")
    force = curl_line(registry["force-complete"], "id", {"migration": 7}, NEWEST)
    assert force.endswith("/migrations/7/action") and '{"force_complete": null}' in force
