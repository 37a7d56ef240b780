"""Ground that shakes: points at which something may happen to a worker, and databases and stores that are away."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from django.db import OperationalError, connection

from servers.drivers.base import ABILITIES, Fence, HostRef
from servers.engine import images
from servers.engine.execution import lease
from servers.engine.execution.task import WorkingTask, attempt, hosts
from servers.errors import ImageStoreUnavailable
from servers.fleet.drivers import driver_of
from servers.models import ActionRecord

ASKING = {"find_guest", "list_guests", "describe", "check_destination", "check_source"}
WRITES = ("INSERT", "UPDATE", "DELETE")


class Points:
    """Counts what a worker passes: calls of verbs, writes and sleeps; at one of them something happens."""

    def __init__(self) -> None:
        self.left: int | None = None
        self.verbs_only = False
        self.strike: Callable[[], None] = lambda: None
        self.thread = threading.get_ident()

    def arm(self, left: int, strike: Callable[[], None], *, verbs_only: bool) -> None:
        """Let `strike` be called once, when `left` more points were passed, of all or of those at verbs."""
        self.left, self.strike, self.verbs_only = left, strike, verbs_only

    def disarm(self) -> None:
        """Let nothing happen any more."""
        self.left = None

    @contextmanager
    def passed_by(self) -> Iterator[None]:
        """Let nothing happen inside the block: between a proof and its effect a hypervisor has no time to lose."""
        left, self.left = self.left, None
        try:
            yield
        finally:
            self.left = left

    def reach(self, *, verb: bool = False) -> None:
        """Pass a point; other threads only ask hypervisors, and nothing happens to them."""
        if self.left is None or threading.get_ident() != self.thread or (self.verbs_only and not verb):
            return
        self.left -= 1
        if self.left < 0:
            self.disarm()
            self.strike()


class Shaken:
    """A driver, or one of its abilities, with a point before each verb and one after it."""

    def __init__(self, wrapped: Any, points: Points) -> None:
        self._wrapped, self._points = wrapped, points

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._wrapped, name)
        if name in ABILITIES and value is not None:
            return Shaken(value, self._points)
        return self._around(value) if callable(value) and name not in ASKING else value

    def _around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            self._points.reach(verb=True)
            answer = call(*args, **kwargs)
            self._points.reach(verb=True)
            return answer

        return wrapped


class Database:
    """Whether the database takes anything: for so many statements, or writes, it raises what a lost one raises."""

    def __init__(self) -> None:
        self.failing = 0
        self.reads_too = False
        self.depth = len(connection.savepoint_ids)

    def wrap(self, execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if len(connection.savepoint_ids) == self.depth:
            connection.needs_rollback = False  # the test's own transaction stands for none
        verb = sql.split(" ", 1)[0]
        if self.failing and (verb in WRITES or (self.reads_too and verb == "SELECT")):
            self.failing -= 1
            raise OperationalError("the database is away")
        return execute(sql, *rest)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Let the database answer inside the block, whatever is the matter with it."""
        failing, self.failing = self.failing, 0
        try:
            yield
        finally:
            self.failing = failing


class Store:
    """The image store, which is away for so many calls."""

    def __init__(self) -> None:
        self.failing = 0
        self.real = images.store

    def __call__(self) -> Any:
        return self

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self.failing:
                self.failing -= 1
                raise ImageStoreUnavailable(reason="it is away")
            return getattr(self.real(), name)(*args, **kwargs)

        return call


@contextmanager
def shaking(points: Points, database: Database, store: Store) -> Iterator[pytest.MonkeyPatch]:
    """Let workers pass points, and meet the database and the store, inside the block."""
    fenced, renew, write = lease.fenced, lease.renew, lease.write

    def shaken_driver(host: HostRef, fence: Fence) -> Any:
        return Shaken(driver_of(host, fence), points)

    @contextmanager
    def shaken_write(held: lease.Lease, **locks: bool) -> Iterator[ActionRecord]:
        points.reach()
        with fenced(held, **locks) as row:
            yield row
        points.reach()

    def shaken_update(held: lease.Lease, **values: object) -> None:
        points.reach()
        write(held, **values)
        points.reach()

    def shaken_renewal(held: lease.Lease, **journal: object) -> bool:
        points.reach()
        return renew(held, **journal)

    def around(proof: Callable[..., None]) -> Callable[..., None]:
        def shaken_proof(*args: Any) -> None:
            with points.passed_by():
                proof(*args)

        return shaken_proof

    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(hosts, "driver_of", shaken_driver)
        patch.setattr(attempt, "fenced", shaken_write)
        patch.setattr(attempt, "write", shaken_update)
        patch.setattr(attempt, "renew", shaken_renewal)
        patch.setattr(WorkingTask, "prove", around(WorkingTask.prove))
        patch.setattr(WorkingTask, "prove_alone", around(WorkingTask.prove_alone))
        patch.setattr(images, "store", store)
        stack.enter_context(connection.execute_wrapper(database.wrap))
        yield patch
