"""The points at which something may befall a worker: each call of a driver, each write, each edge, each statement.

A run without a blow passes them all and counts them; the same run again passes the same ones, and is struck at one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import OperationalError, connection

from servers.drivers.base import ABILITIES, Fence, HostRef, Progress
from servers.drivers.simulated import cold, guests, jobs, restore
from servers.engine.execution import lease
from servers.engine.execution.task import WorkingTask, attempt, hosts
from servers.fleet.drivers import driver_of
from servers.models import ActionRecord
from servers.models.machine import Machine
from servers.states import PowerState

LOOKS = {"find_guest", "list_guests", "describe"}
WRITING = ("INSERT", "UPDATE", "DELETE")
REPORTS = 2
"""So many reports of progress are looked at; those that follow are like them."""


class Killed(BaseException):
    """The worker is gone. It is no Exception, so nothing in the engine can catch it, as nothing can catch kill -9."""


@dataclass(frozen=True)
class Point:
    """A moment in a worker's life. `kind`: verb, look, write, edge or statement."""

    kind: str
    name: str
    host: str = ""
    after: bool = False
    inside: bool = False
    """Whether the worker holds the store of the simulated fleet, so that nobody else can do anything meanwhile."""

    def __str__(self) -> str:
        where = f" at {self.host}" if self.host else ""
        return f"{'after' if self.after else 'before'} {self.kind} {self.name}{where}"


Hook = Callable[[int, Point, Any], Any]


class Switch:
    """Sees every point pass. A hook may raise there, return another answer, or do what others do meanwhile."""

    def __init__(self) -> None:
        self.seen: list[Point] = []
        self.hook: Hook | None = None
        self.depth = 1
        self.held = 0
        self.is_away: Callable[[], bool] = lambda: False
        self.second_starts: list[str] = []
        self.reports = 0
        self.outermost = 0

    def pass_by(self, point: Point, answer: Any = None) -> Any:
        """Pass a point and return the answer with which it goes on."""
        if self.depth:
            return answer
        self.seen.append(point)
        if self.hook is None:
            return answer
        with self.quiet():
            return self.hook(len(self.seen) - 1, point, answer)

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Let nothing count that happens in the block: others do it."""
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1

    @contextmanager
    def hearing(self, hook: Hook) -> Iterator[None]:
        """Let the hook hear what passes in the block, where nothing is counted otherwise."""
        seen, mine, depth = self.seen, self.hook, self.depth
        self.seen, self.hook, self.depth = [], hook, 0
        try:
            yield
        finally:
            self.seen, self.hook, self.depth = seen, mine, depth

    @contextmanager
    def loud(self) -> Iterator[None]:
        """Count from the beginning what happens in the block."""
        self.seen, self.reports, depth, self.depth = [], 0, self.depth, 0
        try:
            yield
        finally:
            self.depth = depth

    # ------------------------------------------------------------------------------- what is watched

    def around(self, kind: str, name: str, host: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return `call` with a point before it and one after it."""

        def watched(*args: Any, **kwargs: Any) -> Any:
            self.pass_by(Point(kind, name, host))
            answer = call(*args, **kwargs)
            return self.pass_by(Point(kind, name, host, after=True), answer)

        return watched

    def statement(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        """Let a statement reach the database, unless the database is away.

        The cell is a transaction itself, which a worker does not know: what fails outside of one of its own breaks
        none.
        """
        if len(connection.savepoint_ids) == self.outermost:
            connection.needs_rollback = False
        word, _, rest = sql.partition(" ")
        if word in WRITING:
            self.pass_by(Point("statement", f"{word} {table_of(rest)}", inside=bool(self.held)))
        if word in {*WRITING, "SELECT"} and self.is_away():
            raise OperationalError("the database does not answer")
        return execute(sql, params, many, context)


def table_of(rest: str) -> str:
    """Return the table that the rest of a statement names first."""
    return rest.split('"')[1] if '"' in rest else ""


class Watched:
    """A driver, or one of its abilities, at whose verbs there are points."""

    def __init__(self, wrapped: Any, switch: Switch, host: str) -> None:
        self._wrapped, self._switch, self._host = wrapped, switch, host

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._wrapped, name)
        if name in ABILITIES:
            return Watched(value, self._switch, self._host)
        kind = "look" if name in LOOKS else "verb"
        return self._switch.around(kind, name, self._host, value) if callable(value) else value


def install(switch: Switch, patch: pytest.MonkeyPatch) -> None:
    """Put the points where a worker passes."""
    fenced, take, truth, start = lease.fenced, Machine.apply_edge, jobs.transaction, guests.start
    write, report = lease.write, WorkingTask.report

    def watched_driver(host: HostRef, fence: Fence) -> Any:
        return Watched(driver_of(host, fence), switch, host.name)

    @contextmanager
    def watched_write(held: lease.Lease, **locks: bool) -> Iterator[ActionRecord]:
        switch.pass_by(Point("write", "", inside=bool(switch.held)))
        with fenced(held, **locks) as row:
            yield row
        switch.pass_by(Point("write", "", after=True, inside=bool(switch.held)))

    def watched_update(held: lease.Lease, **values: object) -> None:
        switch.pass_by(Point("write", "", inside=bool(switch.held)))
        write(held, **values)
        switch.pass_by(Point("write", "", after=True, inside=bool(switch.held)))

    @contextmanager
    def holding(path: Any) -> Iterator[Any]:
        with truth(path) as db:
            switch.held += 1
            try:
                yield db
            finally:
                switch.held -= 1

    def watched_report(working: WorkingTask, progress: Progress) -> None:
        switch.reports += 1
        with switch.quiet() if switch.reports > REPORTS else nullcontext():
            report(working, progress)

    def watched_take(row: Machine, edge: str) -> None:
        switch.pass_by(Point("edge", f"{type(row).__name__}.{edge}", inside=bool(switch.held)))
        take(row, edge)

    def watched_start(db: Any, host: str, guest: Any, now: float) -> PowerState:
        where = guests.alive_on(db, guest.uuid)
        if where not in {None, host}:
            switch.second_starts.append(f"{guest.name} was to be started on {host} while it runs on {where}")
        return start(db, host, guest, now)

    class Starting:
        """The guests of the store for those who start one in somebody's name."""

        def __getattr__(self, name: str) -> Any:
            return watched_start if name == "start" else getattr(guests, name)

    patch.setattr(hosts, "driver_of", watched_driver)
    patch.setattr(attempt, "fenced", watched_write)
    patch.setattr(attempt, "write", watched_update)
    patch.setattr(jobs, "transaction", holding)
    patch.setattr(Machine, "apply_edge", watched_take)
    patch.setattr(WorkingTask, "report", watched_report)
    patch.setattr(cold, "guests", Starting())
    patch.setattr(restore, "guests", Starting())


@contextmanager
def statements(switch: Switch) -> Iterator[None]:
    """Let the block's statements be points as well."""
    switch.outermost = len(connection.savepoint_ids)
    with connection.execute_wrapper(switch.statement):
        yield
