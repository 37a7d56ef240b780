"""A database that is brought up to date keeps what is in it, and a migration that has landed is never edited."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder

from servers import migrations
from servers.actions import definitions
from servers.audit import triggers
from servers.database_age import strangeness
from servers.management.commands import up
from servers.models import ApplicationCredential, AuditRecord, Domain, Server, Token
from servers.models.identity import digest

FOLDER = Path(migrations.__path__[0])
REPLACING = "0009_tables"


@pytest.fixture
def migrate(transactional_db: None) -> Iterator[Callable[[str], Any]]:
    """Return what brings the database to a migration, and returns the models of that time."""

    def to(name: str) -> Any:
        executor = MigrationExecutor(connection)
        if name < REPLACING and ("servers", REPLACING) in executor.loader.graph.nodes:
            executor.migrate([("servers", REPLACING)])  # only from there it leads further back
            executor = MigrationExecutor(connection)
        executor.migrate([("servers", name)])
        return executor.loader.project_state([("servers", name)]).apps

    triggers.remove()  # as the command does before it migrates
    yield to
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())
    triggers.install()


def test_servers_that_shared_a_number_are_told_apart_and_their_guests_keep_their_names(
    migrate: Callable[[str], Any],
) -> None:
    servers = migrate("0006_image_definition").get_model("servers", "Server").objects
    for name, number, guest in (("a", 1, ""), ("b", 1, ""), ("c", 1, "db"), ("d", 2, ""), ("e", 0, "")):
        servers.create(
            name=name, number=number, guest_name=guest, project_id="p", user_id="u", vcpus=1, memory_mb=512
        )
    migrate("0007_number_is_unique")
    found = {s.name: (s.number, s.instance_name) for s in Server.objects.all()}
    assert found == {
        "a": (1, "instance-00000001"),
        "b": (3, "instance-00000001"),
        "c": (4, "db"),
        "d": (2, "instance-00000002"),
        "e": (0, "instance-00000000"),
    }


def test_a_database_that_has_been_through_the_replaced_migrations_goes_on(
    migrate: Callable[[str], Any],
) -> None:
    domain = migrate("0009_tables").get_model("servers", "Domain").objects.create(name="d")
    recorder = MigrationRecorder(connection)
    recorder.migration_qs.filter(app="servers", name="0009_tables").delete()
    assert recorder.migration_qs.filter(app="servers").count() == 8
    assert strangeness() is None
    migrate("0010_field_names")
    assert strangeness() is None
    assert Domain.objects.filter(pk=domain.pk).exists()


def test_columns_are_renamed_with_what_is_in_them_and_open_actions_are_enqueued_anew(
    migrate: Callable[[str], Any],
) -> None:
    then = migrate("0009_tables")
    server = then.get_model("servers", "Server").objects.create(
        name="a", number=1, project_id="p", user_id="u", vcpus=1, memory_mb=512
    )
    at = datetime(2026, 5, 1, tzinfo=UTC)
    actions = then.get_model("servers", "ActionRecord").objects
    for status in ("succeeded", "queued", "running", "unknown"):
        action = actions.create(
            server=server, slug=f"of {status}", status=status, rung_at=at, progress_mark="3", exclusive=False
        )
    action.events.create(name="e", evidence={"verdicts": []})
    now = migrate("0010_field_names")
    rows = now.get_model("servers", "ActionRecord").objects.order_by("pk")
    assert {(row.status, row.enqueued_at) for row in rows} == {
        ("succeeded", at),
        ("queued", None),
        ("running", None),
        ("unknown", None),
    }
    assert {row.last_progress for row in rows} == {"3"}
    assert [event.facts for event in now.get_model("servers", "ActionEvent").objects.all()] == [
        {"verdicts": []}
    ]


def test_open_actions_are_put_into_the_class_in_which_a_new_one_would_wait(
    migrate: Callable[[str], Any],
) -> None:
    then = migrate("0010_field_names")
    server = then.get_model("servers", "Server").objects.create(
        name="a", number=1, project_id="p", user_id="u", vcpus=1, memory_mb=512
    )
    actions = then.get_model("servers", "ActionRecord").objects
    for slug in definitions:
        actions.create(server=server, slug=slug, status="queued", exclusive=False)
        actions.create(server=server, slug=slug, status="succeeded", exclusive=False)
    asked = actions.create(
        server=server,
        slug="live-migration",
        status="unknown",
        exclusive=False,
        cancel_requested_at=datetime(2026, 5, 1, tzinfo=UTC),
    )
    rows = migrate("0013_order_in_the_queue").get_model("servers", "ActionRecord").objects
    waiting = dict(rows.filter(status="queued").values_list("slug", "queue_class"))
    assert waiting == {slug: action.queue_class.value for slug, action in definitions.items()}
    assert rows.get(pk=asked.pk).queue_class == "stopping"
    assert set(rows.values_list("waits_for_host", flat=True)) == {""}


def test_credentials_rest_on_the_roles_of_their_owners_and_tokens_of_before_have_ended(
    migrate: Callable[[str], Any],
) -> None:
    then = migrate("0014_logins")

    def model(name: str) -> Any:
        return then.get_model("servers", name).objects

    domain = model("Domain").create(name="d")
    user = model("User").create(name="anna", domain=domain, password="!")
    shop, other = (model("Project").create(name=name, domain=domain) for name in ("shop", "other"))
    role = model("Membership").create(user=user, project=shop, role="member")
    model("Membership").create(user=user, project=other, role="admin")
    model("ApplicationCredential").create(user=user, project=shop, name="cron", roles=["reader"])
    at = datetime(2126, 5, 1, tzinfo=UTC)
    model("Token").create(digest=digest("secret"), user=user, project=shop, issued_at=at, expires_at=at)
    migrate("0015_what_ends_a_right")
    assert ApplicationCredential.objects.get().memberships == [role.pk]
    assert Token.find("secret") is None


def test_histories_become_the_first_records_of_the_audit_trail(migrate: Callable[[str], Any]) -> None:
    then = migrate("0015_what_ends_a_right")
    history = then.get_model("servers", "HistoricalHost").objects
    at = datetime(2026, 5, 1, tzinfo=UTC)
    known = {
        "id": 7,
        "uuid": UUID(int=1),
        "service_uuid": UUID(int=2),
        "created_at": at,
        "name": "node1",
        "hypervisor_hostname": "node1",
        "door": "console",
        "who": "anna",
    }
    history.create(**known, history_type="+", history_date=at)
    disabled = {**known, "enabled": False, "disabled_reason": "smokes", "door": "rest", "who": "berta"}
    history.create(**disabled, history_type="~", history_date=at + timedelta(hours=1))
    history.create(**disabled, history_type="~", history_date=at + timedelta(hours=2))
    history.create(**disabled, history_type="-", history_date=at + timedelta(hours=3))
    memberships = then.get_model("servers", "HistoricalMembership").objects
    memberships.create(
        id=3, role="admin", user_id="u", project_id="p", history_type="+", history_date=at, who="anna"
    )
    migrate("0016_audit_trail")
    made, changed, gone, given = AuditRecord.objects.order_by("pk")
    assert (made.verb, made.who, made.door, made.at, made.object_id) == (
        "created",
        "anna",
        "console",
        at,
        "7",
    )
    assert (made.before, made.after["name"]) == ({}, "node1")
    assert (changed.verb, changed.who, changed.door) == ("changed", "berta", "rest")
    assert changed.before == {"enabled": True, "disabled_reason": ""}
    assert changed.after == {"enabled": False, "disabled_reason": "smokes"}
    assert (gone.verb, gone.after, gone.before["name"]) == ("deleted", {}, "node1")
    assert (given.object_type, given.project_id, given.after) == (
        "membership",
        "p",
        {"role": "admin", "user": "u", "project": "p"},
    )


def test_after_migrating_the_database_writes_the_trail_again(transactional_db: None) -> None:
    triggers.remove()
    call_command("migrate", verbosity=0)
    assert triggers.installed() == triggers.expected()


def test_a_trigger_that_did_something_else_is_another_one(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = triggers.expected()
    monkeypatch.setattr(triggers, "WATCHED", triggers.WATCHED[:1])
    triggers.triggers_of.cache_clear()
    assert triggers.expected() < before
    up.migrate()
    assert triggers.installed() == triggers.expected()
    monkeypatch.undo()
    triggers.triggers_of.cache_clear()
    up.migrate()
    assert triggers.installed() == before == triggers.expected()


def test_a_database_that_is_taken_back_has_no_triggers_left(migrate: Callable[[str], Any]) -> None:
    triggers.install()
    call_command("migrate", "servers", "0015", verbosity=0)
    assert triggers.installed() == set()


def test_a_migration_that_has_landed_is_never_edited() -> None:
    written_down = [line.split() for line in (FOLDER / "checksums.txt").read_text().splitlines()]
    there = [[hashlib.sha256(file.read_bytes()).hexdigest(), file.name] for file in FOLDER.glob("0*.py")]
    assert sorted(there, key=lambda pair: pair[1]) == written_down, (
        "make a new migration instead of editing one that has landed; make checksums writes a new one down"
    )
