"""The demo fleet: there once, right in both truths, and good to try every action on."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import transaction
from django.test import override_settings

from servers.actions import registry
from servers.demo.identifiers import uuid_of
from servers.demo.roster import INSTANCES, SERVERS, STRANGER
from servers.demo.seed import forget_guests
from servers.drivers.simulated import Fleet
from servers.engine.accepting.request_context import local_operator
from servers.engine.accepting.submit import explain
from servers.engine.capacity.claims import RESOURCES, needs
from servers.engine.capacity.scheduling import explain_hosts
from servers.engine.capacity.usage import allocated
from servers.engine.images import open_image
from servers.inventory.discovery.discover import discover
from servers.inventory.reconciliation.reconcile import reconcile
from servers.models import (
    ActionRecord,
    Allocation,
    Host,
    Image,
    MembershipRole,
    Migration,
    Project,
    Server,
    StoragePool,
    User,
)
from servers.states import ActionStatus, ImageStatus, MigrationStatus

pytestmark = pytest.mark.django_db  # without it a run of this file alone makes no database


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[override_settings]:
    """Return the settings under which the demo is made, and under which it is looked at."""
    data = tmp_path_factory.mktemp("demo")
    yield override_settings(
        DATA_DIR=data,
        IMAGE_DIR=data / "images",
        SIMULATED_FLEET=data / "fleet.sqlite3",
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    )


@pytest.fixture(scope="module")
def seeded(django_db_setup: None, django_db_blocker: Any, folders: override_settings) -> Iterator[None]:
    """Make the demo once for all tests that only look at it."""
    with django_db_blocker.unblock(), transaction.atomic():
        with folders:
            call_command("demo", verbosity=0)
        yield
        transaction.set_rollback(True)


@pytest.fixture
def fleet(seeded: None, own_folders: None, folders: override_settings) -> Iterator[Fleet]:
    with folders:
        yield Fleet(settings.SIMULATED_FLEET)


def rows() -> dict[str, int]:
    return {
        m.__name__: m.objects.count()
        for m in (Host, Server, Allocation, Migration, Image, ActionRecord, User)
    }


def test_seeding_twice_adds_nothing(fleet: Fleet) -> None:
    before = rows()
    call_command("demo", verbosity=0)
    assert rows() == before


def test_what_an_interrupted_seeding_has_left_in_the_fleet_is_removed(fleet: Fleet) -> None:
    copy = Fleet(copied(fleet.path))
    forget_guests(copy)
    assert [demo.name for demo in SERVERS if copy.defined_on(uuid_of("server", demo.name))] == []


def copied(path: Path) -> Path:
    """Return a copy of a store, to be changed."""
    copy = path.with_name("copy.sqlite3")
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy


def test_every_server_is_charged_where_it_is_and_nowhere_else(fleet: Fleet) -> None:
    for server in Server.objects.select_related("host"):
        charged = [
            (a.host, tuple(getattr(a, resource) for resource in RESOURCES)) for a in server.allocations.all()
        ]
        assert charged == ([(server.host, needs(server))] if server.host else []), server.name


def test_records_and_hypervisors_agree(fleet: Fleet) -> None:
    assert reconcile(dry_run=True).found == ()


def test_one_guest_waits_to_be_discovered(fleet: Fleet) -> None:
    assert [(c.kind.value, c.host, c.name) for c in discover().changes] == [
        ("guest_new", "rack1-b", STRANGER)
    ]


def test_no_host_has_promised_more_than_its_room(fleet: Fleet) -> None:
    for host in Host.objects.all():
        assert all(taken <= room for taken, room in zip(allocated(host), host.capacity(), strict=True)), host


def test_one_host_is_full_one_is_disabled_and_three_can_be_used(fleet: Fleet) -> None:
    hosts = list(Host.objects.all())
    assert [h.name for h in hosts if allocated(h)[1] == h.capacity()[1]] == ["rack2-a"]
    assert [(h.name, bool(h.disabled_reason)) for h in hosts if not h.enabled] == [("rack2-b", True)]
    assert (len(hosts), all(h.is_up for h in hosts)) == (5, True)


def test_one_host_keeps_its_disks_to_itself_under_the_name_that_they_have_elsewhere(fleet: Fleet) -> None:
    shared = {host.name: host.pools.get(name=INSTANCES).shared for host in Host.objects.all()}
    assert [name for name, is_shared in shared.items() if not is_shared] == ["edge-1"]
    assert StoragePool.objects.filter(name=INSTANCES).count() == 2


def test_the_list_begins_with_a_server_that_can_go_to_every_host_in_use_and_to_the_edge_last(
    fleet: Fleet,
) -> None:
    first = Server.objects.filter(deleted_at=None).order_by("-created_at").first()
    assert first is not None
    accepted = [verdict.host for verdict in explain_hosts(first) if verdict.accepted]
    assert (first.name, accepted) == ("web-1", ["rack1-b", "edge-1"])


def test_a_server_that_stays_apart_from_another_one_has_nowhere_to_go(fleet: Fleet) -> None:
    assert not any(verdict.accepted for verdict in explain_hosts(Server.objects.get(name="db-1")))


def test_every_guest_is_on_its_servers_host_in_its_power_state(fleet: Fleet) -> None:
    for server in Server.objects.exclude(host=None).select_related("host"):
        assert server.host is not None
        assert fleet.power_state(server.host.name, server.uuid) == server.power_state, server.name
        assert fleet.running_on(server.uuid) in {server.host.name, None}, server.name


def test_a_move_that_waits_for_its_confirmation_holds_both_hosts(fleet: Fleet) -> None:
    move = Migration.objects.get(status=MigrationStatus.FINISHED)
    assert [a.host.name for a in move.allocations.all()] == [move.source_compute]
    assert [a.host.name for a in move.server.allocations.all()] == [move.dest_compute]
    assert set(fleet.defined_on(move.server.uuid)) == {move.source_compute, move.dest_compute}


def test_nothing_is_going_on_when_the_demo_begins(fleet: Fleet) -> None:
    over = [ActionStatus.SUCCEEDED, ActionStatus.FAILED]
    assert not ActionRecord.objects.exclude(status__in=over).exists()
    assert not Server.objects.exclude(task_state="").exists()


@pytest.mark.parametrize("slug", sorted(set(registry) - {"abort-migration", "force-complete"}))
def test_there_is_a_server_on_which_each_action_is_possible(fleet: Fleet, slug: str) -> None:
    context = local_operator(Project.objects.get(name="admin"))
    assert any(explain(registry[slug], server, context) is None for server in Server.objects.all())


def test_the_servers_show_every_state_that_the_actions_distinguish(fleet: Fleet) -> None:
    shown = {server.status for server in Server.objects.all()}
    wanted = {"ACTIVE", "PAUSED", "SHUTOFF", "SUSPENDED", "VERIFY_RESIZE", "ERROR", "RESCUE", "BUILD"}
    assert wanted | {"SHELVED_OFFLOADED", "DELETED"} <= shown


def test_every_backup_can_be_read_as_it_was_written(fleet: Fleet) -> None:
    images = Image.objects.filter(status=ImageStatus.ACTIVE)
    assert {image.backup_type for image in images} == {"", "daily", "weekly", "before-upgrade"}
    assert all(sum(map(len, open_image(image))) == image.size_bytes for image in images)


def test_there_is_a_user_of_every_role_whose_password_stands_in_a_closed_file(
    fleet: Fleet,
) -> None:
    path = Path(settings.DATA_DIR) / "demo_users"
    lines = [line.split() for line in path.read_text().splitlines() if not line.startswith("#")]
    assert path.stat().st_mode & 0o777 == 0o600
    assert all(User.objects.get(name=name).check_password(password) for name, password, *_ in lines)
    assert {role for _, _, role, *_ in lines} == set(MembershipRole.values)
