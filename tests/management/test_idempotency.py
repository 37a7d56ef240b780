"""A command that is run again with its idempotency key says what the first one said, and does nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from servers.actions import registry
from servers.management.commands import image, judge
from servers.management.exit_codes import ExitCode
from servers.microversions import NEWEST
from servers.models import ActionRecord, IdempotencyKey, Server
from servers.states import ActionStatus
from tests.factories import make_migration
from tests.management.conftest import Run, Said, said_by
from tests.management.test_server_action import example
from tests.ready import ready_server
from tests.small_fleet import SmallFleet
from tests.stalling import stalled_move

KEY = ("--idempotency-key", "night-1")


def run(module: Any, *words: str) -> Said:
    """Run the command of this module."""
    return said_by(module.Command, *words)


def scene(fleet: SmallFleet, slug: str) -> Server:
    """Return a server on which the action is possible."""
    action = registry[slug]
    if not action.on_migration:
        return ready_server(fleet, action)
    server = fleet.add_server()
    make_migration(server)
    Server.objects.filter(pk=server.pk).update(task_state="migrating")
    return server


@pytest.mark.parametrize("slug", sorted(slug for slug in registry if slug != "restore"))
def test_each_action_is_accepted_once(slug: str, fleet: SmallFleet, server_action: Run) -> None:
    server = scene(fleet, slug)
    parameters = [p for p in registry[slug].parameters_at(NEWEST) if not p.in_path]
    words = (slug, str(server.pk), *(w for p in parameters for w in example(p)), "--json", *KEY)
    first = json.loads(server_action(*words, typed="swordfish\n").out)
    assert "request_id" in first, first
    fleet.work()  # by now the server is in another state, and no migration goes on
    repeat = json.loads(server_action(*words, typed="swordfish\n").out)
    assert repeat["request_id"] == first["request_id"]
    assert ActionRecord.objects.filter(slug=slug, door="command").count() == 1


def test_a_repeat_waits_for_the_action_of_the_first(fleet: SmallFleet, server_action: Run) -> None:
    words = ("migrate", str(fleet.add_server().pk), *KEY)
    server_action(*words)
    said = server_action(*words, "--wait")
    assert said.code == ExitCode.DONE
    assert ActionRecord.objects.get().status == ActionStatus.SUCCEEDED


def test_the_key_of_another_request_is_refused(fleet: SmallFleet, server_action: Run) -> None:
    server = str(fleet.add_server().pk)
    server_action("lock", server, "--locked-reason", "fire", *KEY)
    said = server_action("lock", server, "--locked-reason", "water", *KEY)
    assert (said.code, "another request" in said.err) == (ExitCode.REFUSED, True)
    assert ActionRecord.objects.count() == 1


def test_while_the_first_is_under_way_a_repeat_conflicts(fleet: SmallFleet, server_action: Run) -> None:
    words = ("lock", str(fleet.add_server().pk), *KEY)
    server_action(*words)
    IdempotencyKey.objects.update(status=None)
    assert server_action(*words).code == ExitCode.CONFLICT


def test_a_refusal_is_judged_anew(fleet: SmallFleet, server_action: Run) -> None:
    server = fleet.add_server(locked_by="owner")
    words = ("pause", str(server.pk), "--as-user", "nobody", *KEY)
    assert server_action(*words).code == ExitCode.NOT_FOUND
    Server.objects.update(task_state="migrating")
    words = ("pause", str(server.pk), *KEY)
    assert server_action(*words).code == ExitCode.CONFLICT
    Server.objects.update(task_state="")
    assert server_action(*words).code == ExitCode.DONE


def test_a_backup_is_restored_once(fleet: SmallFleet) -> None:
    fleet.do("create-backup", fleet.add_server(), name="nightly", backup_type="daily", rotation=1)
    words = ("restore", "nightly", "--name", "again", *KEY)
    first, repeat = run(image, *words), run(image, *words)
    assert (first.code, repeat.code) == (ExitCode.DONE, ExitCode.DONE)
    assert first.out == repeat.out
    assert Server.objects.filter(name="again").count() == 1


@pytest.mark.parametrize("verb", [("look-again",), ("undo",), ("close", "--as", "failed")])
def test_an_action_is_judged_once(verb: tuple[str, ...], fleet: SmallFleet) -> None:
    record = stalled_move(fleet, fleet.add_server("stuck"))
    words = (verb[0], str(record.pk), *verb[1:], "--reason", "burnt", *KEY)
    first, repeat = run(judge, *words), run(judge, *words)
    assert (first.code, repeat.code) == (ExitCode.DONE, ExitCode.DONE), (first, repeat)
    record.refresh_from_db()
    assert len(record.judgements) == 1
