"""Inventing lives: mostly work that something happens to, as a row of deeds of which each matters."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from servers.drivers.simulated.faults import VERBS, FaultMode
from tests.conductor.deeds import (
    ASKED,
    ERRORS,
    Ask,
    Chore,
    Fail,
    Fate,
    LoseDatabase,
    LoseHost,
    LoseStore,
    Restore,
    SetClock,
    Wait,
    Work,
)
from tests.conductor.life import Deed

LOOKS = frozenset({"describe", "find_guest", "list_guests"})
MOVES = ["live-migration", "migrate", "create-backup"]
SLUGS = [*MOVES, *MOVES, *MOVES, "confirm-resize", "revert-resize", *sorted(ASKED)]
SILENCE = ["HypervisorTimeout", "HypervisorUnavailable"]
MODES = sorted(set(FaultMode) - {FaultMode.LOSE})
NODES = ["node1", "node2", "node3"]


def invent(random: Random) -> list[Deed]:
    """Return a life: a few times something is asked for, something happens to its worker, and something else."""
    deeds: list[Deed] = []
    for _ in range(random.randint(1, 4)):
        if random.random() < 0.3:
            deeds.append(accident(random))
        deeds += [ask(random), work(random)]
        if random.random() < 0.5:
            deeds.append(random.choice([ask, work, accident, restore])(random))
    return deeds


def ask(random: Random) -> Deed:
    return Ask(random.choice(SLUGS), random.choice([0, 0, 0, 1, 2, 3]), random.randrange(8))


def restore(random: Random) -> Deed:
    return Restore(random.random() < 0.5)


def work(random: Random) -> Deed:
    if random.random() < 0.2:
        return Work()
    meanwhile = [random.choice([ask, accident])(random) for _ in range(random.choice([0, 0, 1, 1, 2]))]
    return Work(random.randrange(random.choice([12, 40, 90])), tuple(meanwhile), random.choice(list(Fate)))


def accident(random: Random) -> Deed:
    return random.choice(ACCIDENTS)(random)


def fail(random: Random) -> Deed:
    verb = random.choice(sorted(VERBS))
    if (
        verb in LOOKS
    ):  # other threads ask as well: what hangs there would make a life play differently each time
        return Fail(
            verb, random.choice(NODES), FaultMode.REFUSE, random.choice(SILENCE), random.randint(1, 3)
        )
    mode, error = random.choice(MODES), random.choice(list(ERRORS))
    return Fail(verb, random.choice(NODES), mode, error, random.choice([1, 1, 2, 8]))


ACCIDENTS: list[Callable[[Random], Deed]] = [
    fail,
    fail,
    fail,
    lambda random: LoseHost(random.choice(NODES), random.random() < 0.3),
    lambda random: LoseDatabase(random.choice([1, 1, 3, 30]), random.random() < 0.5),
    lambda random: LoseStore(random.choice([1, 2, 20])),
    lambda random: SetClock(random.choice([-10_800.0, -600.0, 600.0, 10_800.0])),
    lambda random: Wait(random.choice([1.0, 5.0, 40.0, 8000.0])),
    lambda random: random.choice(list(Chore)),
]
