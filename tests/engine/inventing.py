"""Inventing lives: what is asked for, what goes wrong with just that, and what happens to its worker meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from servers.drivers.simulated.faults import VERBS, FaultMode
from tests.engine.life import Deed
from tests.engine.life_events import (
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

LOOKS = frozenset({"describe", "find_guest", "list_guests"})
COLD = ["migrate_disk_and_power_off", "finish_migration", "revert", "finish_revert_migration"]
VERBS_OF: dict[str, list[str]] = {
    "live-migration": [
        "check_can_live_migrate_destination",
        "pre_live_migration",
        "live_migration",
        "rollback_live_migration",
        "live_migration_abort",
        "post_live_migration",
        "find_guest",
    ],
    "migrate": COLD,
    "confirm-resize": ["confirm_migration", "find_guest"],
    "revert-resize": ["revert", "finish_revert_migration", "power_off"],
    "create-backup": ["snapshot", "discard_backup"],
    "restore": ["restore", "discard_restore"],
}
SLUGS = [
    *["live-migration", "migrate", "create-backup"] * 6,
    *["confirm-resize", "revert-resize", "restore"] * 2,
    *sorted(ASKED),
]
CONTROL = ["abort-migration", "force-complete", "reset-state"]
NEXT = ["live-migration", "migrate", "create-backup", "reset-state"]
MODES = sorted(set(FaultMode) - {FaultMode.LOSE})
NODES = ["node1", "node2", "node3"]
SERVERS = [0, 0, 0, 0, 0, 0, 1, 2, 3]
NUMBERS = [0, 1, 4, 5, *range(8)]
HOSTS = [None, None, None, *NODES]


def invent(random: Random) -> list[Deed]:
    """Return a life of one to four chapters."""
    deeds: list[Deed] = []
    slug = ""
    for _ in range(random.randint(1, 4)):
        waits = slug == "migrate" and random.random() < 0.6
        slug = random.choice(["confirm-resize", "revert-resize"] if waits else SLUGS)
        deeds += chapter(random, slug)
    return deeds


def chapter(random: Random, slug: str) -> list[Deed]:
    """Return what somebody asks for, and what comes between."""
    deeds: list[Deed] = []
    if random.random() < 0.6:
        deeds.append(fail(random, random.choice(VERBS_OF.get(slug, sorted(VERBS)))))
    if random.random() < 0.2:
        deeds.append(accident(random))
    if slug == "restore":
        deeds += [Ask("create-backup", 0, 1), Work(), Restore(random.random() < 0.5)]
    else:
        deeds.append(Ask(slug, random.choice(SERVERS), random.choice(NUMBERS)))
    deeds.append(work(random))
    if random.random() < 0.3:
        deeds.append(random.choice([work, accident])(random))
    return deeds


def work(random: Random) -> Deed:
    return random.choice([lambda _: Work(), disturbed, killed, killed, late, late, late])(random)


def disturbed(random: Random) -> Work:
    """Let something be asked for, or happen, while a worker works."""
    then = [random.choice([control, accident])(random) for _ in range(random.randint(1, 2))]
    return Work(random.randrange(70), tuple(then))


def killed(random: Random) -> Work:
    """Let a worker be killed anywhere, often after somebody has asked for something."""
    then = [control(random)] if random.random() < 0.3 else []
    calls_only = random.random() < 0.5
    return Work(random.randrange(8 if calls_only else 60), tuple(then), Fate.DIES, calls_only)


def late(random: Random) -> Work:
    """Let a worker wake, before or after one of its calls, when others have done its work and the next one."""
    then = [Ask(random.choice(NEXT), 0, random.choice(NUMBERS)) for _ in range(random.choice([0, 1, 1, 2]))]
    if random.random() < 0.2:
        then.insert(0, accident(random))  # type: ignore[arg-type]
    return Work(random.randrange(6), tuple(then), Fate.WAKES_LATE, calls_only=True)


def control(random: Random) -> Deed:
    """Ask for something of the server on which there is most work."""
    return Ask(random.choice([*CONTROL * 4, *sorted(ASKED)]), 0, random.choice(NUMBERS))


def accident(random: Random) -> Deed:
    return random.choice(ACCIDENTS)(random)


def fail(random: Random, verb: str) -> Deed:
    times = random.choice([1, 1, 2, 8])
    if verb in LOOKS:
        # other threads ask as well: what hangs there would make a life play differently each time
        silence = random.choice(["HypervisorTimeout", "HypervisorUnavailable"])
        return Fail(verb, random.choice(NODES), FaultMode.REFUSE, silence, times)
    return Fail(verb, random.choice(HOSTS), random.choice(MODES), random.choice(list(ERRORS)), times)


ACCIDENTS: list[Callable[[Random], Deed]] = [
    *[lambda random: fail(random, random.choice(sorted(VERBS)))] * 2,
    lambda random: LoseHost(random.choice(NODES), random.random() < 0.3),
    lambda random: LoseDatabase(random.choice([1, 1, 3, 30]), random.random() < 0.5),
    lambda random: LoseStore(random.choice([1, 2, 20])),
    lambda random: SetClock(random.choice([-10_800.0, -600.0, 600.0, 10_800.0])),
    lambda random: Wait(random.choice([1.0, 5.0, 40.0, 8000.0])),
    lambda random: random.choice(list(Chore)),
]
