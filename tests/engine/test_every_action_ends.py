"""Whatever an undo or an edge raises, and however often: the action ends, or waits visibly for a person. Nothing loops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import OperationalError

from servers import clock
from servers.actions import definitions
from servers.actions.base import Action, Step
from servers.actions.task import Task
from servers.clock import VirtualClock
from servers.engine.accepting.restore import restore
from servers.engine.execution.choice import due
from servers.errors import Cancelled, ComputeHostNotFound, DriverFault
from servers.models import ActionRecord, Image
from servers.states import ActionStatus
from tests.carrying_out import carry_out
from tests.engine.test_killed_workers import BACKUP, SCENES, backed_up
from tests.small_fleet import SmallFleet

pytestmark = pytest.mark.django_db
MOST_ATTEMPTS = 12
LONG_S = 3600.0

EDGES = ("finished", "failed", "cancelled")
RAISED: dict[str, Callable[[], Exception]] = {
    "what nobody foresaw": lambda: ValueError("nobody foresaw it"),
    "a lost database": lambda: OperationalError("server closed the connection unexpectedly"),
}


def host_removed() -> Exception:
    return ComputeHostNotFound(host="node9")


def places() -> Iterator[tuple[str, str]]:
    """Yield where something may be raised at an action's end: each edge, and each undo."""
    for slug, definition in definitions.items():
        if not definition.steps:
            continue
        for edge in EDGES:
            yield slug, edge
        for step in definition.steps:
            if step.undo_with is not None:
                yield slug, step.name


def submit(fleet: SmallFleet, slug: str) -> ActionRecord:
    """Set the scene of an action and ask for it."""
    if slug == "restore":
        backed_up(fleet)
        return restore(Image.objects.get(), {"name": "again"}, fleet.context()).record
    set_up, _, params = SCENES[slug]
    server = set_up(fleet)
    if "migration" in params:
        params = {"migration": server.migrations.latest("pk").pk}
    return fleet.submit(slug, server, **params).record


def always(raised: Callable[[], Exception]) -> Callable[..., Any]:
    def raising(*args: Any) -> Any:
        raise raised()

    return raising


def once(raised: Callable[[], Exception], real: Callable[..., Any]) -> Callable[..., Any]:
    met: list[bool] = []

    def raising(*args: Any) -> Any:
        if not met:
            met.append(True)
            raise raised()
        return real(*args)

    return raising


def make_it_come_to(patch: pytest.MonkeyPatch, definition: type[Action], place: str) -> None:
    """Let the action come to the edge, or to the undo: by a step that fails, or is cancelled."""
    if place == "finished":
        return
    step = next((s for s in definition.steps if s.name == place), None)
    if step is not None:
        patch.setattr(step, "run", after(step.run))
        return
    first = next((s for s in definition.steps if s.touches_guest), definition.steps[-1])
    patch.setattr(first, "run", always(Cancelled if place == "cancelled" else refusal))


def refusal() -> Exception:
    return DriverFault(message="It was told to fail.")


def after(run: Callable[..., Any]) -> Callable[..., Any]:
    """Return a step that fails when it has had its effect."""

    def failing(definition: Action, task: Task) -> None:
        run(definition, task)
        raise refusal()

    return failing


def break_at(
    patch: pytest.MonkeyPatch, definition: type[Action], place: str, broken: Callable[..., Any]
) -> None:
    """Put what raises in the place of the edge, or of the undo."""
    if place in EDGES:
        patch.setattr(definition, place, broken)
    else:
        step: Step = next(s for s in definition.steps if s.name == place)
        patch.setattr(step, "undo_with", broken)


def real_of(definition: type[Action], place: str) -> Callable[..., Any]:
    found = getattr(definition, place, None)
    if place in EDGES and found is not None:
        return found  # type: ignore[no-any-return]
    undo = next(s for s in definition.steps if s.name == place).undo_with
    assert undo is not None
    return undo


def let_everybody_work(fleet: SmallFleet, virtual: VirtualClock) -> None:
    """Let everything be carried out that becomes due within an hour. Whatever leaves the worker fails the test."""
    until = clock.monotonic() + LONG_S
    virtual.on_sleep = None
    while clock.monotonic() < until:
        fleet.heartbeat()
        record = due().first()
        if record is not None:
            carry_out(record.pk, "worker", heartbeat=False)
        elif ActionRecord.objects.filter(
            status__in=["queued", "running", "unknown"], stalled_at=None
        ).exists():
            virtual.sleep(5)
        else:
            return


def is_visible(record: ActionRecord) -> bool:
    """Return whether the action is over, or waits for a person and says why."""
    waits = record.status == ActionStatus.UNKNOWN and record.stalled_at is not None
    return record.is_over or (waits and "It made no progress in 5 attempts." in record.error_text)


@pytest.mark.parametrize("raised", list(RAISED))
@pytest.mark.parametrize(("slug", "place"), list(places()))
def test_what_raises_always_ends_the_action_or_leaves_it_to_a_person(
    slug: str,
    place: str,
    raised: str,
    fleet: SmallFleet,
    virtual_clock: VirtualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record, definition = submit(fleet, slug), definitions[slug]
    make_it_come_to(monkeypatch, definition, place)
    break_at(monkeypatch, definition, place, always(RAISED[raised]))
    let_everybody_work(fleet, virtual_clock)
    record.refresh_from_db()
    assert is_visible(record), f"{record.status} after {record.attempt} attempts: {record.error_text}"
    assert record.attempt <= MOST_ATTEMPTS


@pytest.mark.parametrize("raised", list(RAISED))
@pytest.mark.parametrize(("slug", "place"), list(places()))
def test_what_raises_once_keeps_no_action_from_its_end(
    slug: str,
    place: str,
    raised: str,
    fleet: SmallFleet,
    virtual_clock: VirtualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record, definition = submit(fleet, slug), definitions[slug]
    make_it_come_to(monkeypatch, definition, place)
    break_at(monkeypatch, definition, place, once(RAISED[raised], real_of(definition, place)))
    let_everybody_work(fleet, virtual_clock)
    record.refresh_from_db()
    assert record.is_over, f"{record.status} after {record.attempt} attempts: {record.error_text}"
    assert not record.events.filter(finished_at=None).exists()


@pytest.mark.parametrize(("slug", "place"), [where for where in places() if where[1] not in EDGES])
def test_an_undo_that_finds_its_host_removed_ends_the_action_and_says_what_is_not_undone(
    slug: str, place: str, fleet: SmallFleet, virtual_clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, definition = submit(fleet, slug), definitions[slug]
    make_it_come_to(monkeypatch, definition, place)
    break_at(monkeypatch, definition, place, always(host_removed))
    let_everybody_work(fleet, virtual_clock)
    record.refresh_from_db()
    assert record.status == ActionStatus.FAILED, record.error_text
    assert record.result["not_undone"] == [f"{place}: {host_removed()}"]


def test_a_step_that_always_raises_after_its_effect_waits_for_a_person_and_a_reset_is_no_endless_loop(
    fleet: SmallFleet, virtual_clock: VirtualClock
) -> None:
    server = fleet.add_server()
    fleet.simulation.set_fault(
        "inject_network_info", mode="fail_after", error="KeyError", args={"message": "pid"}, times="always"
    )
    record = fleet.submit("inject-network-info", server).record
    let_everybody_work(fleet, virtual_clock)
    record.refresh_from_db()
    assert (record.status, record.attempt) == (ActionStatus.UNKNOWN, 6)  # the first made progress
    assert record.stalled_at is not None
    fleet.submit("reset-state", server, state="active")
    let_everybody_work(fleet, virtual_clock)
    record.refresh_from_db()
    assert is_visible(record)
    assert record.attempt <= 12


def test_a_backup_that_is_reset_before_it_begins_leaves_no_image(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    fleet.submit("create-backup", server, **BACKUP)
    fleet.submit("reset-state", server, state="active")
    fleet.work()
    assert [image.status for image in Image.objects.filter(server=server)] == ["deleted"]
    assert {action.status for action in server.actions.filter(slug="create-backup")} == {"cancelled"}
