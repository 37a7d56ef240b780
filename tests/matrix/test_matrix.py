"""The crash matrix: each action, in each of its scenes, is struck by each blow at each point, and comes to a right end."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers.actions import definitions
from servers.states import ActionStatus
from tests.matrix.blows import BLOWS, Blow, Cell, Trace, failure
from tests.matrix.invariants import conduct, problems, stalled, state
from tests.matrix.scenes import SCENES
from tests.matrix.worlds import World
from tests.shares import is_wanted

pytestmark = pytest.mark.django_db

WANTED = os.environ.get("MATRIX", "")
"""Which cells are played: all, a third of them (0, 1 or 2), or another share, as 3/8."""
RESULTS = os.environ.get("MATRIX_RESULTS", "")
WAITS = "waits for a person"
ONLY = os.environ.get("CELL", "")
TRACES: dict[str, Trace] = {}


def test_each_action_has_a_scene() -> None:
    assert {scene.slug for scene in SCENES.values()} == set(definitions)


@pytest.fixture
def world(tmp_path: Path, settings: object, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def chosen(cells: Iterator[Cell], place: int, since: int) -> Iterator[Cell]:
    """Yield the cells of the share that is asked for, of those that strike at `since` or later, and have CELL in their name."""
    for number, cell in enumerate(cell for cell in cells if cell.point >= since):
        if ONLY and ONLY not in cell.name:
            continue
        if is_wanted(WANTED, number + place):
            yield cell


@pytest.mark.parametrize("scene", list(SCENES))
def test_scene_comes_to_a_right_end_when_nothing_happens(scene: str, world: World) -> None:
    world.choose(scene, SCENES[scene])
    world.set_up()
    with world.cell():
        world.play()
        world.make_peace()
        assert problems(world) == []


@pytest.mark.skipif(not WANTED, reason="the crash matrix is run by: make matrix")
@pytest.mark.parametrize("blow", BLOWS, ids=lambda blow: blow.name)
@pytest.mark.parametrize("scene", list(SCENES))
def test_struck_worker_is_followed_by_a_right_end(scene: str, blow: Blow, world: World) -> None:
    world.choose(scene, SCENES[scene])
    if scene not in TRACES:
        TRACES[scene] = trace_of(world)
    place = list(SCENES).index(scene) + BLOWS.index(blow)
    wrong, ends = [], Counter[str]()
    waiting: list[str] = []
    since = failure(TRACES[scene]) if world.scene.fails else -1
    for cell in chosen(blow.cells(world, TRACES[scene]), place, since):
        world.set_up()
        end, found = play(world, cell)
        ends[end] += 1
        waiting += [f"{cell.name}: {end}"] if end.startswith(WAITS) else []
        wrong += [f"{cell.name}: {'; '.join(found)} [{end}]"] if found else []
    note(scene, blow, ends, waiting, wrong)
    assert wrong == []


def trace_of(world: World) -> Trace:
    """Return the points that the scene passes when nothing happens: they are the same each time."""
    world.set_up()
    with world.cell():
        world.play()
        return world.switch.seen


def play(world: World, cell: Cell) -> tuple[str, list[str]]:
    """Return how the scene's action ended in this cell, and what is wrong afterwards."""
    with world.cell():
        cell.arm(world)
        world.play()
        world.note_late_changes()
        world.make_peace()
        found = state(world)
        if found:
            world.reconcile()
            found = state(world)
        end = end_of(world)
        early = [] if cell.lasts or not stalled() else [f"GIVEN UP: {end}"]
        return end, [*conduct(world), *found, *early]


def end_of(world: World) -> str:
    """Return how the scene's action has ended, in a word."""
    waiting = stalled()
    if waiting:
        return f"{WAITS}: " + "; ".join(f"{row.slug} in {row.step}: {row.error_text}" for row in waiting)
    if world.record is None:
        return "not accepted"
    world.record.refresh_from_db()
    status = ActionStatus(world.record.status)
    return f"{status} ({world.record.error_code})" if status is ActionStatus.FAILED else status.value


def note(scene: str, blow: Blow, ends: Counter[str], waiting: list[str], wrong: list[str]) -> None:
    """Keep what came of a scene and a blow, for the table."""
    if RESULTS:
        line = {"scene": scene, "blow": blow.name, "ends": ends, "stalled": waiting, "wrong": wrong}
        with Path(RESULTS).open("ab", buffering=0) as file:  # one write a line: several processes do so
            file.write(json.dumps(line).encode() + b"\n")
