"""A life of a small fleet in virtual time: what people, machines and accidents do to it, and then peace.

A life is data, a list of deeds, so that one which failed can be kept as a test by its own text.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import pytest
from django.conf import settings
from django.db import Error as DatabaseFault
from django.db import transaction
from django.test import override_settings

from servers import clock
from servers.clock import VirtualClock
from servers.drivers.base import Guest
from servers.drivers.simulated import guests
from servers.engine.accepting.submit import Accepted
from servers.engine.execution.choice import due
from servers.engine.execution.task import WorkingTask
from servers.models import ActionRecord, Host, Migration, Server, ServerGroup
from servers.states import OPEN_ACTION_STATUSES, PowerState
from tests.carrying_out import carry_out
from tests.engine.shaking import Database, Points, Store, shaking
from tests.small_fleet import SmallFleet

PATIENCE = 60
"""How often a worker sleeps over one action until somebody asks for its abort."""

SETTINGS = {
    "LEASE_TTL_S": 3,
    "LIVE_MIGRATION_BANDWIDTH_MIB_S": 200,
    "RESIZE_CONFIRM_WINDOW_S": 7200,
    "KEEP_ACTIONS_DAYS": 0,
}


class Deed(Protocol):
    """Something that is done to the fleet, or in it."""

    def do(self, life: Life) -> None: ...


@dataclass
class Life:
    """A fleet, and what has been seen of it that records do not keep."""

    fleet: SmallFleet
    servers: list[Server]
    points: Points
    database: Database
    store: Store
    clock: VirtualClock
    accepted: dict[UUID, tuple[str, UUID]] = field(default_factory=dict)
    """Every action that was accepted, with its slug and server."""
    rotations: dict[UUID, int] = field(default_factory=dict)
    """What each accepted backup has promised to keep."""
    ends: list[tuple[UUID, str]] = field(default_factory=list)
    """Every end of an action, as it was written."""
    excused: set[UUID] = field(default_factory=set)
    """Servers of which an action has said that they are in error."""
    contents: dict[UUID, str | None] = field(default_factory=dict)
    """What the disk of each server held at the beginning."""
    twice: list[str] = field(default_factory=list)
    """Each start of a guest that ran already."""
    naps: int = 0

    def accept(self, accepted: Accepted) -> None:
        """Take note of an action that was accepted."""
        record = accepted.record
        self.accepted[record.pk] = (record.slug, record.server_id)
        if record.slug == "create-backup":
            self.rotations[record.pk] = record.params["rotation"]

    def heartbeat(self) -> None:
        """Let every host have been heard of that answers."""
        with self.database.answering():
            up = [name for name in self.hosts() if not self.fleet.simulation.is_lost(name)]
            Host.objects.filter(name__in=up).update(heartbeat_at=clock.now())

    def hosts(self) -> list[str]:
        return ["node1", "node2", "node3"]

    def work(self) -> None:
        """Carry out what is due at this moment, and what becomes due by it; a worker that the database leaves, ends."""
        for _ in range(12):
            try:
                waiting = list(due())
                for record in waiting:
                    self.naps = 0
                    carry_out(record.pk, "worker", heartbeat=False)
            except DatabaseFault:
                return
            if not waiting:
                return

    def on_sleep(self) -> None:
        """Let what is to happen meanwhile happen; somebody aborts a move that never ends."""
        self.points.reach()
        self.naps += 1
        if self.naps == PATIENCE:
            moving = Migration.objects.filter(status="running")
            ActionRecord.objects.filter(migration__in=moving).update(cancel_requested_at=clock.now())

    def see_start(self, host: str, guest: Guest, runs_on: str | None) -> None:
        """Take note of a start of a guest; one that runs elsewhere would now run twice."""
        if runs_on not in {None, host}:
            self.twice.append(f"{guest.name} is started on {host}, and runs on {runs_on}")

    def see_end(self, action: ActionRecord, edge: str, server_edges: Sequence[str]) -> None:
        """Take note of an action's end."""
        self.ends.append((action.pk, edge))
        if "set_error" in server_edges:
            self.excused.add(action.server_id)

    # ----------------------------------------------------------------------------------------- peace

    def make_peace(self) -> None:
        """Let everything answer again, and everybody work until nothing is left to do but by a person."""
        self.points.disarm()
        self.database.failing = self.store.failing = 0
        self.fleet.simulation.clear_faults()
        for name in self.hosts():
            self.fleet.simulation.restore_host(name)
        for _ in range(100):
            self.heartbeat()
            self.work()
            open_ones = ActionRecord.objects.filter(status__in=OPEN_ACTION_STATUSES, stalled_at=None)
            if not open_ones.exists():
                return
            self.clock.sleep(self.next_turn())

    def next_turn(self) -> float:
        """Return how long to wait until somebody may have something to do."""
        waiting = ActionRecord.objects.filter(status__in=["queued", "unknown"], stalled_at=None)
        soonest = waiting.order_by("due_at").values_list("due_at", flat=True).first()
        wait_s = (soonest - clock.now()).total_seconds() if soonest else 0.0
        return min(max(wait_s + 0.01, settings.LEASE_TTL_S + 1), 400)

    @property
    def double_ends(self) -> list[UUID]:
        """The actions that have ended more than once."""
        return [pk for pk, times in Counter(pk for pk, _ in self.ends).items() if times > 1]


@contextmanager
def begin(storage: str) -> Iterator[Life]:
    """Begin a life: two servers that are to stay apart, and one more, on three hosts."""
    with (
        tempfile.TemporaryDirectory() as folder,
        override_settings(
            SIMULATED_FLEET=Path(folder) / "fleet", IMAGE_DIR=Path(folder) / "images", **SETTINGS
        ),
        clock.use(VirtualClock()) as virtual,
        transaction.atomic(),
    ):
        assert isinstance(virtual, VirtualClock)
        fleet = SmallFleet()
        group = ServerGroup.objects.create(
            name="apart", project_id=fleet.project.pk, user_id="u", policy="anti-affinity"
        )
        servers = [
            fleet.add_server("one", "node1", storage=storage, group=group),
            fleet.add_server("two", "node2", storage=storage, group=group),
            fleet.add_server("three", "node1", storage=storage),
        ]
        life = Life(fleet, servers, Points(), Database(), Store(), virtual)
        for server in servers:
            life.contents[server.pk] = fleet.simulation.disk_md5(server.host.name, server.pk)
        with shaking(life.points, life.database, life.store) as patch:
            watch(life, patch)
            virtual.on_sleep = life.on_sleep
            yield life
        transaction.set_rollback(True)


def watch(life: Life, patch: pytest.MonkeyPatch) -> None:
    """See each start of a guest at its hypervisor, and each end of an action."""
    start, end = guests.start, WorkingTask.end

    def seen_start(db: sqlite3.Connection, host: str, guest: Guest, now: float) -> PowerState:
        life.see_start(host, guest, guests.alive_on(db, guest.uuid))
        return start(db, host, guest, now)

    def seen_end(task: WorkingTask, edge: str, change: Any, *rest: Any) -> None:
        end(task, edge, change, *rest)
        life.see_end(task.row, edge, change.server)

    patch.setattr(guests, "start", seen_start)
    patch.setattr(WorkingTask, "end", seen_end)


def live(storage: str, deeds: Sequence[Deed]) -> Iterator[Life]:
    """Yield a life in which all of this was done, and peace was made."""
    with begin(storage) as life:
        for deed in deeds:
            life.clock.sleep(0.01)  # no two things happen at the same moment
            deed.do(life)
            life.heartbeat()
        life.make_peace()
        yield life
