"""One of many that raises: it is told, and keeps no other from its turn. A database that is away is another matter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import structlog
from django.db import DataError, IntegrityError, InterfaceError, OperationalError

from servers import clock
from servers.inventory.reconciliation import repairs
from servers.inventory.reconciliation.differences import DifferenceKind, Finding
from servers.inventory.reconciliation.reconcile import reconcile
from servers.isolation import apart, words
from servers.models import Allocation, Divergence, Host, ReconcilePass, Server
from servers.models.reconcile import REPAIRED
from servers.states import PowerState
from tests.inventory.moments import ask_one_by_one
from tests.inventory.test_reconcile import move_by_hand
from tests.small_fleet import SmallFleet
from tests.unknown_guests import run_twice

RECONCILE = "servers.inventory.reconciliation.reconcile"


class Deadlock(Exception):
    """What psycopg raises under Django's OperationalError."""

    sqlstate = "40P01"


class Terminated(Exception):
    sqlstate = "57P01"


def raising(error: Exception, cause: Exception | None = None) -> Callable[[], None]:
    def work() -> None:
        raise error from cause

    return work


@pytest.mark.parametrize(
    "work",
    [
        raising(ValueError("odd")),
        raising(KeyError("pid")),
        raising(IntegrityError("taken")),
        raising(DataError("too long")),
        raising(OperationalError("deadlock detected"), Deadlock()),
    ],
)
def test_what_one_raises_is_returned_and_logged_with_its_traceback(work: Callable[[], None]) -> None:
    with structlog.testing.capture_logs() as logged:
        error = apart(work, "one.failed", server="web")
    assert isinstance(error, Exception) and words(error)
    assert [(line["event"], line["server"], line["exc_info"]) for line in logged] == [
        ("one.failed", "web", error)
    ]


@pytest.mark.parametrize(
    "work",
    [
        raising(OperationalError("database is locked")),
        raising(OperationalError("terminating connection due to administrator command"), Terminated()),
        raising(InterfaceError("connection already closed")),
    ],
)
def test_database_that_is_away_is_no_matter_of_one(work: Callable[[], None]) -> None:
    with pytest.raises((OperationalError, InterfaceError)):
        apart(work, "one.failed")


# ------------------------------------------------------------------------------------------ reconcile


@pytest.fixture
def three(fleet: SmallFleet) -> list[Server]:
    """Return three servers of which each differs in something that is safe to repair."""
    servers = [fleet.add_server(name) for name in ("a", "b", "c")]
    for server in servers:
        fleet.simulation.stop_guest("node1", server.pk)
    return servers


def powers() -> dict[str, int]:
    return dict(Server.objects.values_list("name", "power_state"))


def test_repair_that_raises_is_a_finding_of_its_server_and_the_others_are_repaired(
    three: list[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    follow_power = repairs.REPAIRS[DifferenceKind.POWER_STATE]

    def fail_for_b(server: Server, finding: Finding) -> None:
        follow_power(server, finding)
        if server.name == "b":
            raise RuntimeError("the repair has a fault")

    monkeypatch.setitem(repairs.REPAIRS, DifferenceKind.POWER_STATE, fail_for_b)
    report = reconcile()
    assert [(f.finding.name, f.outcome) for f in report.found] == [
        ("a", REPAIRED),
        ("b", "failed: the repair has a fault"),
        ("c", REPAIRED),
    ]
    assert powers() == {"a": PowerState.SHUTDOWN, "b": PowerState.RUNNING, "c": PowerState.SHUTDOWN}
    assert [d.server.name for d in Divergence.objects.unrepaired()] == ["b"]


def test_server_that_cannot_be_compared_says_so_and_the_others_are_repaired(three: list[Server]) -> None:
    Server.objects.filter(name="b").update(power_state=99)
    found = {f.finding.name: (f.finding.kind, f.outcome) for f in reconcile().found}
    assert found == {
        "a": (DifferenceKind.POWER_STATE, REPAIRED),
        "b": (DifferenceKind.NOT_COMPARED, "failed: 99 is not a valid PowerState"),
        "c": (DifferenceKind.POWER_STATE, REPAIRED),
    }
    assert [d.kind for d in Divergence.objects.unrepaired()] == ["not_compared"]


def test_database_that_goes_away_ends_the_pass_and_the_last_one_is_still_shown(
    fleet: SmallFleet, three: list[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = fleet.add_server("lost")
    fleet.simulation.remove_guest("node1", lost.pk)
    reconcile()
    shown = list(Divergence.objects.unrepaired().values_list("kind", flat=True))
    fleet.simulation.remove_guest("node1", three[0].pk)
    fleet.simulation.start_guest("node1", _guest(three[1]))

    def away(*facts: Any) -> str:
        raise OperationalError("could not connect to server")

    monkeypatch.setattr(f"{RECONCILE}.repair", away)
    with pytest.raises(OperationalError):
        reconcile()
    assert ReconcilePass.objects.filter(finished_at=None).count() == 1
    assert list(Divergence.objects.unrepaired().values_list("kind", flat=True)) == shown == ["guest_missing"]


def _guest(server: Server) -> Any:
    return repairs.Guest(server.pk, server.instance_name, 1, 512)


def test_long_reason_of_a_failure_is_kept_as_far_as_there_is_room(
    three: list[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*facts: Any) -> str:
        raise RuntimeError("x" * 1000)

    monkeypatch.setattr(f"{RECONCILE}.repair", fail)
    reconcile()
    assert {len(d.outcome) for d in Divergence.objects.all()} == {255}


def test_pass_that_a_later_one_has_overtaken_is_not_kept(
    three: list[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    repair, later = repairs.repair, []

    def be_overtaken(*facts: Any) -> str:
        if not later:
            later.append(True)
            ReconcilePass.objects.all().delete()
        return repair(*facts)

    monkeypatch.setattr(f"{RECONCILE}.repair", be_overtaken)
    assert [f.outcome for f in reconcile().found] == [REPAIRED, REPAIRED, REPAIRED]
    assert not ReconcilePass.objects.exists() and not Divergence.objects.exists()


# ------------------------------------------------------------------------------------- a second look


def test_guest_that_is_carried_off_while_hosts_are_asked_is_not_said_to_run_twice(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fleet.add_server()
    ask_one_by_one(monkeypatch, RECONCILE, lambda: move_by_hand(fleet, server))
    assert reconcile(dry_run=True).found == ()
    assert [f.finding.kind for f in reconcile(dry_run=True).found] == [DifferenceKind.GUEST_ELSEWHERE]


def test_guest_that_we_move_cold_while_hosts_are_asked_is_not_said_to_be_a_copy(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fleet.add_server(storage="local")
    ask_one_by_one(monkeypatch, RECONCILE, lambda: fleet.do("migrate", server))
    assert reconcile(dry_run=True).found == ()
    assert reconcile().found == ()


def test_guest_that_runs_twice_whenever_hosts_are_asked_is_said_to(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fleet.add_server()
    run_twice(fleet, server, "node2")
    assert [f.finding.kind for f in reconcile().found] == [DifferenceKind.GUEST_TWICE]


def test_guest_that_was_seen_twice_is_said_to_run_twice_when_a_host_is_silent_by_then(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fleet.add_server()
    run_twice(fleet, server, "node2")
    from servers.fleet import polling  # noqa: PLC0415
    from servers.inventory import second_look  # noqa: PLC0415

    def lose_first(hosts: Any, limit_s: float = 30.0) -> Any:
        fleet.simulation.lose_host("node2")
        return polling.survey(hosts, limit_s)

    monkeypatch.setattr(second_look, "survey", lose_first)
    assert [f.finding.kind for f in reconcile().found] == [DifferenceKind.GUEST_TWICE]


# --------------------------------------------------------------------------------- what a pass reads


def test_servers_that_are_deleted_are_compared_while_they_hold_room(fleet: SmallFleet) -> None:
    old, gone = fleet.add_server("old", memory_mb=16), fleet.add_server("gone", memory_mb=16)
    for server in (old, gone):
        fleet.simulation.remove_guest("node1", server.pk)
        Server.objects.filter(pk=server.pk).update(deleted_at=clock.now(), host=None)
    Allocation.objects.filter(server=old).delete()
    assert [(f.finding.name, f.outcome) for f in reconcile().found] == [("gone", REPAIRED)]
    assert not Allocation.objects.exists() and Host.objects.count() == 3
