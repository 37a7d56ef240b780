"""What may befall a worker, and at which points: each blow makes cells of a scene's points."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings
from django.db import OperationalError

from servers.actions.base import Action, Step
from servers.actions.task import Task
from servers.errors import Cancelled, DriverFault, HypervisorTimeout, HypervisorUnavailable
from servers.models import Migration, Server
from tests.matrix.points import Killed, Point
from tests.matrix.scenes import THERE
from tests.matrix.worlds import World

Arm = Callable[[World], None]
Trace = list[Point]

OUTAGE_S = 60.0
DATABASE_AWAY_S = 20.0
SEED = 12
PAIRS = 24


@dataclass(frozen=True)
class Cell:
    """One blow at one place. `arm` makes the world ready for it.

    What lasts for ever may leave an action that waits for a person, and nothing else may.
    """

    name: str
    arm: Arm
    lasts: bool = False
    point: int = -1
    """The number of the point at which it strikes first; -1 where it strikes at none of the trace."""


@dataclass(frozen=True)
class Blow:
    """A kind of mishap; `cells` says where it may strike a scene. Its group is its column in the table."""

    name: str
    group: str
    cells: Callable[[World, Trace], Iterator[Cell]]


def timeout() -> HypervisorTimeout:
    return HypervisorTimeout(host="it", verb="answer", limit_s="1")


FAULTS: dict[str, Callable[[], Exception]] = {
    "refused": lambda: DriverFault(message="it was told to fail"),
    "unavailable": HypervisorUnavailable,
    "timeout": timeout,
    "unforeseen": lambda: ValueError("nobody foresaw it"),
}
ENDS: dict[str, Callable[[], Exception]] = {
    "unforeseen": lambda: ValueError("nobody foresaw it"),
    "database": lambda: OperationalError("the database does not answer"),
    "unavailable": HypervisorUnavailable,
    "timeout": timeout,
}


# ----------------------------------------------------------------------------------- where it strikes


def at(index: int, strike: Callable[[World, Point, Any], Any]) -> Arm:
    """Return how to strike once, at the point with this number."""

    def arm(world: World) -> None:
        def hook(number: int, point: Point, answer: Any) -> Any:
            return strike(world, point, answer) if number == index else answer

        world.switch.hook = hook

    return arm


def lasting(trace: Trace) -> Iterator[tuple[int, Point]]:
    """Yield the points that differ in what has happened: what lies before a call lies after the one before it."""
    for index, point in enumerate(trace):
        if point.kind in {"verb", "write"} and (point.after or not index):
            yield index, point


def of_kind(trace: Trace, *kinds: str, after: bool | None = None) -> Iterator[tuple[int, Point]]:
    """Yield the points of these kinds, before or after where it matters."""
    for index, point in enumerate(trace):
        if point.kind in kinds and after in {None, point.after}:
            yield index, point


def everywhere(
    points: Iterator[tuple[int, Point]], strike: Callable[[World, Point, Any], Any]
) -> Iterator[Cell]:
    """Yield a cell for each of the points."""
    for index, point in points:
        yield Cell(f"{index} {point}", at(index, strike), point=index)


def failure(trace: Trace) -> int:
    """Return the number of the first point before a verb that does not return."""
    for index, point in enumerate(trace):
        returned = replace(point, after=True)
        if point.kind == "verb" and not point.after and returned not in trace[index:]:
            return index
    return len(trace)


# ------------------------------------------------------------------------------------------- strikes


def die(world: World, point: Point, answer: Any) -> Any:
    """End the worker, as kill -9 does."""
    raise Killed(str(point))


def raising(make: Callable[[], Exception]) -> Callable[[World, Point, Any], Any]:
    """Return a strike that raises."""

    def strike(world: World, point: Point, answer: Any) -> Any:
        raise make()

    return strike


def answering(odd: Any) -> Callable[[World, Point, Any], Any]:
    """Return a strike that gives another answer than was promised."""
    return lambda world, point, answer: odd


def losing(which: str) -> Callable[[World, Point, Any], Any]:
    """Return a strike that loses a host for a while: that of the guest, or the one to which it goes."""

    def strike(world: World, point: Point, answer: Any) -> Any:
        host = name_of(world, which)
        if host:
            world.fleet.simulation.lose_host(host)
            world.plan(OUTAGE_S, lambda: world.fleet.simulation.restore_host(host))
        return answer

    return strike


def name_of(world: World, which: str) -> str:
    """Return the host that is meant, or nothing where there is none yet."""
    move = Migration.objects.filter(server=world.server).last()
    if which == "destination":
        return move.dest_compute if move else ""
    return move.source_compute if move else "node1"


def stepping(seconds: float) -> Callable[[World, Point, Any], Any]:
    """Return a strike that sets the time of day, and then ends the worker."""

    def strike(world: World, point: Point, answer: Any) -> Any:
        world.now.step(seconds)
        raise Killed(str(point))

    return strike


def database_away(world: World, point: Point, answer: Any) -> Any:
    """Let no statement reach the database for a while."""
    until = world.now.counter_s + DATABASE_AWAY_S
    world.switch.is_away = lambda: world.now.counter_s < until
    return answer


def sleeping(follow_up: int) -> Callable[[World, Point, Any], Any]:
    """Return a strike that lets the worker sleep until its successor has ended the action, and somebody's next ones."""

    def strike(world: World, point: Point, answer: Any) -> Any:
        mine, world.working = world.working, []
        world.now.sleep(settings.LEASE_TTL_S + 1)
        world.work()
        follow(world, follow_up)
        world.working, world.truth_before = mine, world.truth()
        return answer

    return strike


def waking_early(lasting_points: int) -> Callable[[World, Point, Any], Any]:
    """Return a strike that lets the worker sleep until its successor is at work, and stops that one there."""

    def strike(world: World, point: Point, answer: Any) -> Any:
        left = [lasting_points]

        def stop(number: int, passed: Point, given: Any) -> Any:
            if passed.kind in {"verb", "write"} and passed.after and not passed.inside:
                left[0] -= 1
                if not left[0]:
                    raise Killed(str(passed))
            return given

        mine, world.working = world.working, []
        world.now.sleep(settings.LEASE_TTL_S + 1)
        with world.switch.hearing(stop):
            world.survive(world.work)
        world.working, world.truth_before = mine, world.truth()
        return answer

    return strike


def follow(world: World, variant: int) -> None:
    """Do what somebody asks for next."""
    steps = world.scene.follow_ups
    for slug, params in steps[variant - 1] if variant else ():
        world.fleet.heartbeat()
        server = Server.objects.get(pk=world.server.pk)
        move = Migration.objects.filter(server=server).exclude(dest_compute="").last()
        there = move.dest_compute if move else "node2"
        given = {name: there if value == THERE else value for name, value in params.items()}
        world.fleet.submit(slug, server, **given)
        world.work()


# ---------------------------------------------------------------------------------- blows of one point


def blow(
    name: str, group: str, strike: Callable[[World, Point, Any], Any], *kinds: str, after: bool | None = None
) -> Blow:
    """Return a blow that strikes at each point of these kinds."""
    return Blow(name, group, lambda world, trace: everywhere(of_kind(trace, *kinds, after=after), strike))


def outside(trace: Trace) -> Iterator[tuple[int, Point]]:
    """Yield the points at which others can go on: the worker holds no store."""
    return ((index, point) for index, point in lasting(trace) if not point.inside)


def every_third(points: Iterator[tuple[int, Point]]) -> Iterator[tuple[int, Point]]:
    return (found for number, found in enumerate(points) if number % 3 == 0)


def moments(trace: Trace) -> Iterator[tuple[int, Point]]:
    """Yield the points that differ for a host that is lost: before each question and call, and after each write."""
    for index, point in enumerate(trace):
        if not point.inside and point.after is (point.kind == "write") and point.kind != "statement":
            yield index, point


def late(world: World, trace: Trace) -> Iterator[Cell]:
    """Yield the cells of a worker that wakes late: after its successor, and after what somebody did next."""
    for number, (index, point) in enumerate(outside(trace)):
        yield Cell(f"{index} {point}", at(index, sleeping(0)), point=index)
        if world.scene.follow_ups:
            variant = 1 + number % len(world.scene.follow_ups)
            yield Cell(
                f"{index} {point}, and next {said(world, variant)}", at(index, sleeping(variant)), point=index
            )


def early(world: World, trace: Trace) -> Iterator[Cell]:
    """Yield the cells of a worker that wakes while its successor is at work, some points after its beginning."""
    for number, (index, point) in enumerate(outside(trace)):
        later = (2, 4, 7, 11)[number % 4]
        yield Cell(
            f"{index} {point}, {later} into its successor", at(index, waking_early(later)), point=index
        )


def said(world: World, variant: int) -> str:
    """Return what somebody does next, in words."""
    return ", ".join(slug for slug, _ in world.scene.follow_ups[variant - 1])


# ------------------------------------------------------------------------------ exceptions in the end


def bombed(function: Any, make: Callable[[], Exception], *, always: bool) -> Any:
    """Return the function with an exception in it, once or always."""
    left = [True]

    def bomb(*args: Any, **kwargs: Any) -> Any:
        if left[0]:
            left[0] = always
            raise make()
        return function(*args, **kwargs)

    return bomb


def ending(step: Step, error: Callable[[], Exception]) -> Step:
    """Return the step as one that is done, and then fails; one that looks itself where the guest is fails before."""
    looks_itself = step.touches_guest and step.undo_with is None

    def do_and_fail(definition: Action, task: Task) -> None:
        if not looks_itself:
            step.run(definition, task)
        raise error()

    return replaced(step, run=do_and_fail)


def replaced(step: Step, **changes: Any) -> Step:
    """Return the step with something else in it."""
    return replace(step, **changes)


def bad_ends(world: World, trace: Trace) -> Iterator[Cell]:
    """Yield exceptions in what ends an action: in each undo, and in what it writes when it is over."""
    definition = world.definition
    for kind, make in ENDS.items():
        for always in (False, True):
            how = f"{kind} {'always' if always else 'once'}"
            yield Cell(f"{how} in finished", in_method("finished", make, always), always)
            for step in turning_points(definition.steps):
                for word, error in (("failed", failing), ("cancelled", Cancelled)):
                    yield Cell(
                        f"{how} in {word}, after {step.name}", after(step, error, word, make, always), always
                    )
            for step in definition.steps:
                if step.undo_with is not None:
                    yield Cell(f"{how} in the undo of {step.name}", in_undo(step, make, always), always)


def turning_points(steps: tuple[Step, ...]) -> list[Step]:
    """Return the steps after which a fault differs: the first, those with an undo, and the last with a way back."""
    back = [step for step in steps if not step.forward_only]
    return [step for step in back if step in (back[0], back[-1]) or step.undo_with is not None]


def failing() -> Exception:
    return DriverFault(message="it was told to fail")


def in_method(word: str, make: Callable[[], Exception], always: bool) -> Arm:
    """Return how to put an exception into what a definition writes at the end."""

    def arm(world: World) -> None:
        world.cell_patch.setattr(
            world.definition, word, bombed(getattr(world.definition, word), make, always=always)
        )

    return arm


def after(
    step: Step, error: Callable[[], Exception], word: str, make: Callable[[], Exception], always: bool
) -> Arm:
    """Return how to end an action after one of its steps, with an exception in what it writes then."""

    def arm(world: World) -> None:
        in_method(word, make, always)(world)
        with_steps(world, {step.name: ending(step, error)})

    return arm


def in_undo(step: Step, make: Callable[[], Exception], always: bool) -> Arm:
    """Return how to let an action fail after a step, with an exception in the step's undo."""

    def arm(world: World) -> None:
        bomb = bombed(step.undo_with, make, always=always)
        with_steps(world, {step.name: replaced(ending(step, failing), undo_with=bomb)})

    return arm


def with_steps(world: World, others: dict[str, Step]) -> None:
    steps = tuple(others.get(step.name, step) for step in world.definition.steps)
    world.cell_patch.setattr(world.definition, "steps", steps)


def bad_edges(world: World, trace: Trace) -> Iterator[Cell]:
    """Yield exceptions in each edge that the scene takes: once at each place, and always."""
    for index, point in of_kind(trace, "edge"):
        yield Cell(f"{index} {point}", at(index, raising(ENDS["unforeseen"])), point=index)
    for name in sorted({point.name for _, point in of_kind(trace, "edge")}):
        yield Cell(f"always {name}", at_each(name, raising(ENDS["unforeseen"])), lasts=True)


def at_each(name: str, strike: Callable[[World, Point, Any], Any]) -> Arm:
    """Return how to strike at each point of a name."""

    def arm(world: World) -> None:
        def hook(number: int, point: Point, answer: Any) -> Any:
            return strike(world, point, answer) if point.name == name else answer

        world.switch.hook = hook

    return arm


# --------------------------------------------------------------------------------------------- pairs

PAIRED = {
    "kill": die,
    "kill 3 h later": stepping(3 * 3600),
    **{name: raising(make) for name, make in FAULTS.items()},
    "source lost": losing("source"),
    "destination lost": losing("destination"),
    "database away": database_away,
    "database blip": raising(ENDS["database"]),
}


def pairs(world: World, trace: Trace) -> Iterator[Cell]:
    """Yield pairs of blows, drawn by a fixed seed; the second may strike whoever goes on after the first."""
    draw = random.Random(f"{SEED} {world.scene_name}")
    places = [(index, point) for index, point in enumerate(trace) if point.kind in {"verb", "write"}]
    places = [(index, point) for index, point in places if not point.inside]
    for _ in range(PAIRS if places else 0):
        first, second = sorted(draw.sample(sorted(PAIRED), 1) + draw.sample(sorted(PAIRED), 1))
        index, point = draw.choice(places)
        delay = draw.randrange(1, 40)
        yield Cell(
            f"{first} {index} {point}, then {second} {delay} points later",
            twice(index, PAIRED[first], delay, PAIRED[second]),
            point=index,
        )


def twice(index: int, first: Callable[..., Any], delay: int, second: Callable[..., Any]) -> Arm:
    """Return how to strike at one point, and again at the first possible one so many points later."""

    def arm(world: World) -> None:
        struck: list[int] = []

        def hook(number: int, point: Point, answer: Any) -> Any:
            if not struck and number == index:
                struck.append(number)
                return first(world, point, answer)
            is_place = point.kind in {"verb", "write"} and not point.inside
            if len(struck) == 1 and number >= index + delay and is_place:
                struck.append(number)
                return second(world, point, answer)
            return answer

        world.switch.hook = hook

    return arm


BLOWS = [
    Blow("kill", "kill", lambda world, trace: everywhere(lasting(trace), die)),
    *(
        blow(f"{name} {'after' if late else 'before'}", "driver", raising(make), "verb", after=late)
        for name, make in FAULTS.items()
        for late in (False, True)
    ),
    blow("cannot look", "driver", raising(HypervisorUnavailable), "look", after=False),
    blow("no look in time", "driver", raising(timeout), "look", after=False),
    blow("answer: nothing", "answer", answering(None), "verb", after=True),
    blow("answer: odd", "answer", answering("what?"), "verb", "look", after=True),
    Blow("source lost", "host lost", lambda world, trace: everywhere(moments(trace), losing("source"))),
    Blow(
        "destination lost",
        "host lost",
        lambda world, trace: everywhere(moments(trace), losing("destination")),
    ),
    blow("one statement fails", "database", raising(ENDS["database"]), "statement"),
    blow("commit unheard", "database", raising(ENDS["database"]), "write", after=True),
    Blow(
        "database away 20 s",
        "database",
        lambda world, trace: everywhere(every_third(of_kind(trace, "statement")), database_away),
    ),
    Blow("late worker", "late worker", late),
    Blow("late worker beside its successor", "late worker", early),
    Blow("exception at the end", "end", bad_ends),
    Blow("exception in an edge", "end", bad_edges),
    *(
        Blow(
            f"clock {minutes:+d} min, kill",
            "clock",
            lambda world, trace, minutes=minutes: everywhere(
                every_third(lasting(trace)), stepping(minutes * 60.0)
            ),  # type: ignore[misc]
        )
        for minutes in (-10, 60, 180)
    ),
    Blow("two blows", "pairs", pairs),
]
