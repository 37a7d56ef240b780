"""What a dead worker held is taken over at once, and nothing else."""

from __future__ import annotations

from servers import clock
from servers.engine.execution.choice import due
from servers.engine.execution.dead_workers import release
from servers.engine.execution.lease import claim
from servers.engine.execution.queue import name_of, unique_name, work_as, worker_name
from servers.models import ActionRecord
from servers.states import ActionStatus
from tests.small_fleet import SmallFleet


def test_what_a_dead_worker_held_is_due_at_once(fleet: SmallFleet) -> None:
    dead, alive = (fleet.submit("reset-network", fleet.add_server(name)).record for name in ("a", "b"))
    assert claim(dead.pk, "dead") and claim(alive.pk, "alive")
    assert not due().exists()
    assert release("dead") == 1
    assert [record.pk for record in due()] == [dead.pk]
    assert claim(dead.pk, "successor")
    alive.refresh_from_db()
    assert alive.lease_until is not None and alive.lease_until > clock.now()


def test_whoever_took_an_action_over_before_keeps_it(fleet: SmallFleet) -> None:
    record = fleet.submit("reset-network", fleet.add_server()).record
    claim(record.pk, "dead")
    ActionRecord.objects.update(lease_until=clock.now() - clock.now().resolution)
    claim(record.pk, "successor")
    assert release("dead") == 0
    assert not due().exists()


def test_what_is_over_or_waits_is_left_alone(fleet: SmallFleet) -> None:
    fleet.do("reset-network", fleet.add_server())
    ActionRecord.objects.update(worker="dead")
    before = list(ActionRecord.objects.values())
    assert release("dead") == 0
    assert list(ActionRecord.objects.values()) == before
    assert ActionRecord.objects.get().status == ActionStatus.SUCCEEDED


def test_no_two_processes_are_called_alike() -> None:
    names = {unique_name(supervisor) for supervisor in ("", "h" * 32 + "-0123456789ab") for _ in range(100)}
    assert len(names) == 200
    assert max(len(name) for name in names) <= 64  # the longest that django-tasks-db takes


def test_a_process_is_called_as_its_supervisor_says() -> None:
    own = worker_name().rpartition(":")[0]
    try:
        work_as("host-1234")
        assert worker_name().startswith("host-1234:")
        assert name_of("host-1234", 7) == "host-1234:7"
    finally:
        work_as(own)
    assert worker_name().startswith(own)
