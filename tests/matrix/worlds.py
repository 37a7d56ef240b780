"""A world for one cell of the matrix: a scene is set once, and each cell plays it on a copy of its own.

Time is virtual. While one worker waits, others do what is due; who works keeps its lease, as a heartbeat would.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.db import Error as DatabaseFault
from django.db import transaction

from servers import clock
from servers.actions import definitions
from servers.clock import VirtualClock
from servers.engine import images
from servers.engine.execution import lease as leases
from servers.engine.execution import run
from servers.engine.execution.choice import due
from servers.engine.execution.lease import Lease
from servers.inventory.reconciliation.reconcile import reconcile
from servers.models import ActionRecord, Host, Image, Server
from servers.states import OPEN_ACTION_STATUSES, ActionStatus, ImageStatus
from tests.matrix.points import Killed, Switch, install, statements
from tests.matrix.scenes import Scene
from tests.small_fleet import SmallFleet

MOST_ROUNDS = 300
MOST_AT_ONCE = 3
ASKED_AGAIN_S = 30.0
"""After how long somebody who got no answer asks again."""
MOST_DEATHS = 40
LONGEST_NAP_S = 2.0


class Endless(Exception):
    """Actions are due again and again, and come to no end."""


class World:
    """A fleet with one scene set on it, and everybody who works there."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.patch = patch
        self.switch = Switch()
        self.clock = VirtualClock()
        self.working: list[Lease] = []
        self.planned: list[tuple[float, Callable[[], None]]] = []
        self.leaked: list[str] = []
        self.changed_late: list[str] = []
        self.is_set = False
        install(self.switch, patch)

    def choose(self, name: str, scene: Scene) -> None:
        """Say which scene will be played."""
        self.scene_name, self.scene = name, scene
        self.definition = definitions[scene.slug]

    def set_up(self) -> None:
        """Set the scene once, and note what has to be kept."""
        if self.is_set:
            return
        self.is_set = True
        settings.SIMULATED_FLEET = self.folder / "fleet.sqlite3"
        settings.IMAGE_DIR = self.folder / "images"
        settings.LEASE_TTL_S = 3
        with clock.use(self.clock):
            self.fleet = SmallFleet()
            self.server: Server = self.scene.set_up(self.fleet)
            self.fleet.heartbeat()
        self.ran = self.fleet.simulation.running_on(self.server.pk) is not None
        self.backups = Image.objects.filter(status=ImageStatus.ACTIVE).count()
        shutil.copy(settings.SIMULATED_FLEET, self.folder / "as-it-was")
        Path(settings.IMAGE_DIR).mkdir(exist_ok=True)
        shutil.copytree(settings.IMAGE_DIR, self.folder / "images-as-they-were")

    @contextmanager
    def cell(self) -> Iterator[World]:
        """Play the scene on a copy; nothing of it is left afterwards."""
        shutil.copy(self.folder / "as-it-was", settings.SIMULATED_FLEET)
        shutil.rmtree(settings.IMAGE_DIR)
        shutil.copytree(self.folder / "images-as-they-were", settings.IMAGE_DIR)
        now = VirtualClock(self.clock.time, on_sleep=self.time_passes)
        self.working, self.planned, self.leaked, self.changed_late = [], [], [], []
        self.switch.hook, self.switch.is_away, self.switch.second_starts = None, lambda: False, []
        self.record: ActionRecord | None = None
        self.truth_before: dict[str, Any] | None = None
        point = transaction.atomic()
        point.__enter__()
        try:
            with clock.use(now), self.patch.context() as self.cell_patch, statements(self.switch):
                self.now = now
                yield self
        finally:
            transaction.set_rollback(True)
            point.__exit__(None, None, None)

    # ------------------------------------------------------------------------------------- who works

    def submit(self) -> None:
        """Ask for what the scene is about."""
        self.record = self.scene.submit(self.fleet, self.server)

    def ask_again(self) -> None:
        """Ask for it once more when nothing was accepted, as whoever got no answer does: what goes on may wait for it."""
        if not ActionRecord.objects.filter(slug=self.scene.slug).exists():
            self.submit()

    def play(self) -> None:
        """Let the scene happen under the eyes of the switch, whatever strikes, until nobody has anything to do."""
        if not self.scene.in_request:
            self.submit()
        with self.switch.loud():
            if self.scene.in_request:
                self.plan(ASKED_AGAIN_S, self.ask_again)
                self.survive(self.submit)
                self.note_late_changes()
            for _ in range(MOST_DEATHS):
                if self.survive(self.work) or self.leaked:
                    return

    def survive(self, deed: Callable[[], None]) -> bool:
        """Do it; return whether it came to its end. What leaks that was no blow is written down."""
        try:
            deed()
        except Killed:
            self.working.clear()
            return False
        except DatabaseFault:  # the one who asks what is due met it, or somebody at a door
            self.survive(lambda: self.now.sleep(1))  # the others work on, and may die of it
            return False
        except Exception as error:  # noqa: BLE001 (it is what is looked for)
            if not self.scene.in_request or isinstance(error, Endless):
                self.leaked.append(f"{type(error).__name__} leaked: {error}")
            return False
        return True

    def work(self, limit: int = MOST_ROUNDS) -> None:
        """Work on everything that is due, and wait for what is not due yet."""
        idle = 0
        for _ in range(limit):
            record = due().first()
            if record is not None:
                self.carry_out(record.pk)
                idle = 0
                continue
            wait_s = self.seconds_to_next()
            if wait_s is None:
                return
            self.now.sleep(max(wait_s, min(0.01 * 2**idle, LONGEST_NAP_S)))
            idle += 1
        raise Endless(f"actions are still due after {limit} rounds")

    def carry_out(self, action: UUID) -> None:
        """Work on one action as a worker process does it, with a lease that is kept meanwhile."""
        held = leases.claim(action, "worker")
        if held is None:
            return
        self.working.append(held)
        try:
            run.work(held, heartbeat=False)
        finally:
            if self.truth_before is not None and held in self.working:  # the one that woke late is done
                self.note_late_changes()
            if held in self.working:
                self.working.remove(held)

    def seconds_to_next(self) -> float | None:
        """Return how long it takes until something is due, None where nothing will be."""
        opened = ActionRecord.objects.filter(status__in=OPEN_ACTION_STATUSES, stalled_at=None)
        times = [
            row.lease_until if row.status == ActionStatus.RUNNING else row.due_at
            for row in opened.only("status", "lease_until", "due_at")
        ]
        waits = [max((time - clock.now()).total_seconds(), 0) + 0.01 for time in times if time is not None]
        return min(min(waits), 60.0) if waits else None

    def time_passes(self) -> None:
        """Do what happens while somebody waits: what is planned, heartbeats, and the work of others."""
        if self.truth_before is not None:  # the one that woke late is alone, so that what it does is seen
            return
        with self.switch.quiet():
            self.do_what_is_planned()
        try:
            for held in self.working:
                leases.renew(held)
            if len(self.working) < MOST_AT_ONCE:
                for record in due():
                    self.carry_out(record.pk)
        except DatabaseFault:
            return

    def do_what_is_planned(self) -> None:
        """Let what was planned for this moment happen."""
        ripe = [deed for at, deed in self.planned if at <= self.now.counter_s]
        self.planned = [(at, deed) for at, deed in self.planned if at > self.now.counter_s]
        for deed in ripe:
            deed()

    def plan(self, delay_s: float, deed: Callable[[], None]) -> None:
        """Let something happen in a while."""
        self.planned.append((self.now.counter_s + delay_s, deed))

    # ----------------------------------------------------------------------------------------- peace

    def make_peace(self) -> None:
        """Bring everything back that was lost, and let everybody work until nothing is due."""
        self.switch.hook, self.switch.is_away = None, lambda: False
        self.working.clear()
        for _, deed in self.planned:
            deed()
        self.planned = []
        for host in Host.objects.all():
            self.fleet.simulation.restore_host(host.name)
        self.fleet.simulation.clear_faults()
        for _ in range(3):
            self.fleet.heartbeat()
            self.now.sleep(settings.LEASE_TTL_S + 1)
            if self.survive(self.work) and self.seconds_to_next() is None:
                break
        images.discard_left()

    def reconcile(self) -> None:
        """Let the reconciler pass by twice."""
        for _ in range(2):
            self.now.sleep(settings.RECONCILE_INTERVAL_S + 1)
            self.fleet.heartbeat()
            reconcile(door="periodic", limit_s=20)
        images.discard_left()

    # -------------------------------------------------------------------------------------- the truth

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return a table of the fleet's store."""
        db = sqlite3.connect(self.fleet.simulation.path)
        db.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in db.execute(f"SELECT * FROM {table}")]
        finally:
            db.close()

    def guests_of(self, server: Server) -> list[dict[str, Any]]:
        """Return the guest as each host has it."""
        return [row for row in self.rows("guest") if row["uuid"] == str(server.pk)]

    def truth(self) -> dict[str, Any]:
        """Return all that a late worker could have changed, at the hypervisor and in the records."""
        tables = {name: self.rows(name) for name in ("guest", "disk", "volume", "job", "nic")}
        records = {server.pk: self.fleet.state(server) for server in Server.objects.all()}
        return {**tables, "records": records}

    def note_late_changes(self) -> None:
        """Note what a worker that woke late has changed, where one did."""
        if self.truth_before is None:
            return
        now, self.truth_before, then = self.truth(), None, self.truth_before
        for name, before in then.items():
            if now[name] != before:
                self.changed_late.append(f"LATE: {name} was {before}, is {now[name]}")
