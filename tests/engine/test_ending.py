"""A worker that is told to end: it finishes its step, and another one goes on with the next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from servers import clock
from servers.actions import registry
from servers.actions.task import Task
from servers.engine.execution import lease as leases
from servers.engine.execution.ending import ENDING
from servers.engine.execution.queue import run_until_idle
from servers.models import ActionRecord, Server
from servers.states import ActionStatus
from tests.carrying_out import carry_out
from tests.small_fleet import SmallFleet


@pytest.fixture(autouse=True)
def told_nothing_afterwards() -> Iterator[None]:
    yield
    ENDING.clear()


def end_in(monkeypatch: pytest.MonkeyPatch, slug: str, name: str) -> None:
    """Tell the process to end while it is in a step of an action, once."""
    step = next(step for step in registry[slug].steps if step.name == name)
    run = step.run

    def told(definition: object, task: Task) -> None:
        ENDING.set()
        run(definition, task)

    monkeypatch.setattr(step, "run", told)


def asked(fleet: SmallFleet, server: Server) -> ActionRecord:
    return fleet.submit("live-migration", server, host="node2", block_migration="auto").record


@pytest.mark.parametrize("name", [step.name for step in registry["live-migration"].steps[:-1]])
def test_action_is_handed_over_at_the_end_of_each_step_and_ends_as_ever(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    server = fleet.add_server()
    record = asked(fleet, server)
    with monkeypatch.context() as patch:
        end_in(patch, "live-migration", name)
        carry_out(record.pk, "first", heartbeat=False)
    record.refresh_from_db()
    assert name in record.done and record.status == ActionStatus.RUNNING
    assert record.lease_until is not None and record.lease_until < clock.now()
    ENDING.clear()
    run_until_idle()
    record.refresh_from_db()
    assert (record.status, fleet.state(server)["host"]) == ("succeeded", "node2")


def test_another_worker_need_not_wait_for_the_lease(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = asked(fleet, fleet.add_server())
    end_in(monkeypatch, "live-migration", registry["live-migration"].steps[0].name)
    carry_out(record.pk, "first", heartbeat=False)
    assert leases.claim(record.pk, "second") is not None


def test_last_step_is_followed_by_the_end(fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    record = asked(fleet, fleet.add_server())
    end_in(monkeypatch, "live-migration", registry["live-migration"].steps[-1].name)
    carry_out(record.pk, "first", heartbeat=False)
    record.refresh_from_db()
    assert record.status == ActionStatus.SUCCEEDED


def test_what_is_undone_is_handed_over_as_well(fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    server = fleet.add_server()
    record = asked(fleet, server)
    fleet.simulation.set_fault("live_migration", times=1)
    end_in(monkeypatch, "live-migration", "move_guest")
    for number in range(20):
        carry_out(record.pk, f"worker {number}", heartbeat=False)
        record.refresh_from_db()
        if record.is_over:
            break
    assert (record.status, fleet.state(server)["host"]) == ("failed", "node1")
    assert record.attempt > 1
