"""What may happen in a life: requests, work and its accidents, outages, clocks that are set, and chores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseFault

from servers.actions import registry
from servers.engine.accepting import restore
from servers.engine.images import discard_left
from servers.errors import Fault, WrongState
from servers.inventory.discovery.apply import Owner, adopt
from servers.inventory.discovery.discover import discover
from servers.inventory.reconciliation.reconcile import reconcile
from servers.models import Image, Server
from servers.supervisor.overdue import confirm_overdue
from servers.supervisor.retention import prune
from tests.engine.life import Deed, Life
from tests.engine.test_killed_workers import Killed
from tests.ready import example_of

HOSTS = (None, None, "node2", "node3")
ERRORS: Mapping[str, dict[str, str]] = {
    "DriverFault": {"message": "It was told to fail."},
    "HypervisorUnavailable": {"message": "It was told to be away."},
    "HypervisorTimeout": {"host": "node1", "verb": "something", "limit_s": "1"},
    "KeyError": {"message": "an odd answer"},
}


def last_migration(server: Server) -> dict[str, Any]:
    """Return the parameters of an action on the server's newest migration."""
    found = server.migrations.order_by("-pk").first()
    return {"migration": found.pk if found else 1}


ASKED: dict[str, Callable[[Server, int], dict[str, Any]]] = {
    "live-migration": lambda _, n: {"host": HOSTS[n % 4], "block_migration": "auto"},
    "migrate": lambda _, n: {"host": HOSTS[n % 4]},
    "confirm-resize": lambda *_: {},
    "revert-resize": lambda *_: {},
    "create-backup": lambda _, n: {"name": "backup", "backup_type": "daily", "rotation": n % 3},
    "inject-network-info": lambda *_: {},
    "reset-network": lambda *_: {},
    "change-password": lambda *_: {"adminPass": "secret"},
    "reset-state": lambda _, n: {"state": ("active", "error")[n % 2]},
    "lock": lambda *_: {},
    "unlock": lambda *_: {},
    "abort-migration": lambda server, _: last_migration(server),
    "force-complete": lambda server, _: last_migration(server),
}
ASKED |= {slug: lambda *_, a=action: example_of(a) for slug, action in registry.items() if slug not in ASKED}
"""The parameters with which each action is asked for, out of a number."""


@dataclass(frozen=True)
class Ask:
    """Somebody asks for an action; of a server that waits to be confirmed, for one of the two that it can have.

    The number says with which parameters. From 4 on whoever asks for a live move waits for its checks.
    """

    slug: str
    server: int = 0
    number: int = 0

    def do(self, life: Life) -> None:
        server = life.servers[self.server % len(life.servers)]
        version = "2.30" if self.slug == "live-migration" and self.number >= 4 else "2.90"
        with suppress(Fault, DatabaseFault):
            params = ASKED[self.slug](server, self.number)
            try:
                life.accept(life.fleet.submit(self.slug, server, version, **params))
            except WrongState:
                slug = ("confirm-resize", "revert-resize")[self.number % 2]
                life.accept(life.fleet.submit(slug, server))


@dataclass(frozen=True)
class Restore:
    """Somebody asks for a new server out of the newest backup."""

    start: bool = False

    def do(self, life: Life) -> None:
        with suppress(Fault, DatabaseFault):
            image = Image.objects.filter(status="active", never_uploaded=False).order_by("created_at").last()
            if image is not None:
                params = {"name": "again", "start": self.start}
                life.accept(restore.restore(image, params, life.fleet.context()))


class Fate(StrEnum):
    """What becomes of a worker to which something happens."""

    GOES_ON = "it goes on"
    DIES = "it is killed"
    WAKES_LATE = "it wakes when others have done its work, and what was asked for meanwhile"


@dataclass(frozen=True)
class Work:
    """A worker does what is due. At the point `at`, or at that of its calls, something happens, and it meets its fate."""

    at: int | None = None
    then: tuple[Deed, ...] = ()
    fate: Fate = Fate.GOES_ON
    calls_only: bool = False

    def do(self, life: Life) -> None:
        if self.at is not None:
            life.points.arm(self.at, lambda: self.strike(life), verbs_only=self.calls_only)
        with suppress(Killed):
            life.work()
        life.points.disarm()

    def strike(self, life: Life) -> None:
        if self.fate is Fate.WAKES_LATE:
            life.clock.sleep(settings.LEASE_TTL_S + 1)
            life.heartbeat()
            life.work()
        for deed in self.then:
            life.clock.sleep(0.01)
            deed.do(life)
        if self.fate is Fate.WAKES_LATE:
            life.work()
        if self.fate is Fate.DIES:
            raise Killed


@dataclass(frozen=True)
class Wait:
    """Time goes by."""

    seconds: float

    def do(self, life: Life) -> None:
        life.clock.sleep(self.seconds)


@dataclass(frozen=True)
class SetClock:
    """The time of day is set."""

    seconds: float

    def do(self, life: Life) -> None:
        life.clock.step(self.seconds)


@dataclass(frozen=True)
class LoseHost:
    """A host is lost, or answers again."""

    host: str
    is_back: bool = False

    def do(self, life: Life) -> None:
        simulation = life.fleet.simulation
        (simulation.restore_host if self.is_back else simulation.lose_host)(self.host)


@dataclass(frozen=True)
class Fail:
    """A verb goes wrong on a host, or on every host."""

    verb: str
    host: str | None
    mode: str
    error: str
    times: int = 1

    def do(self, life: Life) -> None:
        life.fleet.simulation.set_fault(
            self.verb,
            self.host,
            mode=self.mode,
            error=self.error,
            args=ERRORS[self.error],
            times=self.times,
            hang_limit_s=5,
        )


@dataclass(frozen=True)
class LoseDatabase:
    """The database takes nothing for so many statements; it may answer what only reads."""

    statements: int
    reads_too: bool = False

    def do(self, life: Life) -> None:
        life.database.failing, life.database.reads_too = self.statements, self.reads_too


@dataclass(frozen=True)
class LoseStore:
    """The image store is away for so many calls."""

    calls: int

    def do(self, life: Life) -> None:
        life.store.failing = self.calls


class Chore(StrEnum):
    """What supervisors and operators do from time to time."""

    RECONCILE = "reconcile"
    DISCOVER = "discover"
    PRUNE = "prune"
    CONFIRM_OVERDUE = "confirm what is overdue"
    DISCARD_LEFT = "discard what images have left"

    def do(self, life: Life) -> None:
        with suppress(Fault, DatabaseFault):
            CHORES[self](life)


CHORES: dict[Chore, Callable[[Life], object]] = {
    Chore.RECONCILE: lambda life: reconcile(),
    Chore.DISCOVER: lambda life: adopt(discover(), Owner(life.fleet.project.pk, "u")),
    Chore.PRUNE: lambda life: prune(),
    Chore.CONFIRM_OVERDUE: lambda life: confirm_overdue(),
    Chore.DISCARD_LEFT: lambda life: discard_left(),
}
