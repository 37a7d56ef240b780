"""A worker is killed at every point at which it matters, and another one brings the action to the one right end.

The points are found by counting: every call of a driver and every write of the engine, before it and after it.
`Killed` is no Exception, so nothing in the engine can catch it, as nothing can catch kill -9.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction

from servers import clock
from servers.actions import registry
from servers.clock import VirtualClock
from servers.drivers.base import ABILITIES, Fence, HostRef
from servers.engine.execution import lease
from servers.engine.execution.queue import run_until_idle
from servers.engine.execution.task import attempt, hosts
from servers.fleet.drivers import driver_of
from servers.models import ActionRecord, Migration, Server
from servers.states import ActionStatus
from tests.ready import example_of, ready_server
from tests.small_fleet import SmallFleet

pytestmark = pytest.mark.django_db

ASKING = {"find_guest", "list_guests", "describe"}


class Killed(BaseException):
    """The worker is gone."""


class KillSwitch:
    """Counts the points at which a worker may die, and lets it die at the one that is chosen."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.fatal: int | None = None

    def point(self, name: str) -> None:
        """Pass a point, or die at it."""
        self.seen.append(name)
        if self.fatal == len(self.seen) - 1:
            raise Killed(name)

    def around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return `call` with a point before it and one after it."""

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            self.point(f"before {name}")
            answer = call(*args, **kwargs)
            self.point(f"after {name}")
            return answer

        return wrapped


class Mortal:
    """A driver, or one of its abilities, at whose verbs the worker may die."""

    def __init__(self, wrapped: Any, switch: KillSwitch) -> None:
        self._wrapped, self._switch = wrapped, switch

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._wrapped, name)
        if name in ABILITIES:
            return Mortal(value, self._switch)
        return self._switch.around(name, value) if callable(value) and name not in ASKING else value


@pytest.fixture
def switch(monkeypatch: pytest.MonkeyPatch) -> KillSwitch:
    switch = KillSwitch()
    fenced = lease.fenced

    def mortal_driver(host: HostRef, fence: Fence) -> Any:
        return Mortal(driver_of(host, fence), switch)

    @contextmanager
    def mortal_write(held: lease.Lease, **locks: bool) -> Iterator[ActionRecord]:
        switch.point("before a write")
        with fenced(held, **locks) as row:
            yield row
        switch.point("after a write")

    monkeypatch.setattr(hosts, "driver_of", mortal_driver)
    monkeypatch.setattr(attempt, "fenced", mortal_write)
    monkeypatch.setattr(attempt, "write", switch.around("a write", lease.write))
    return switch


def migrated(fleet: SmallFleet) -> Server:
    server = fleet.add_server(storage="local")
    fleet.do("migrate", server)
    return server


def running(storage: str) -> Callable[[SmallFleet], Server]:
    return lambda fleet: fleet.add_server(storage=storage)


def backed_up(fleet: SmallFleet) -> Server:
    server = fleet.add_server()
    fleet.do("create-backup", server, name="old", backup_type="daily", rotation=1)
    return server


def left_moving(fleet: SmallFleet) -> Server:
    """Return a server whose live migration goes on by itself, because its worker has just been killed."""
    server = fleet.add_server()
    fleet.simulation.set_hold("live_migration", "node1")

    def die() -> None:
        if Migration.objects.filter(server=server, status="running").exists():
            raise Killed

    a_second_ago = clock.now() - timedelta(seconds=1)  # whose turn it is goes by when it was asked for
    with clock.use(VirtualClock(a_second_ago, on_sleep=die)):
        fleet.submit("live-migration", server, **LIVE)
        with pytest.raises(Killed):
            run_until_idle()
    return server


LIVE = {"host": None, "block_migration": "auto"}
BACKUP = {"name": "new", "backup_type": "daily", "rotation": 1}
SCENES = {
    "live-migration": (running("shared"), "live-migration", LIVE),
    "migrate": (running("local"), "migrate", {}),
    "confirm-resize": (migrated, "confirm-resize", {}),
    "revert-resize": (migrated, "revert-resize", {}),
    "create-backup": (backed_up, "create-backup", BACKUP),
    "inject-network-info": (running("shared"), "inject-network-info", {}),
    "reset-network": (running("shared"), "reset-network", {}),
    "abort-migration": (left_moving, "abort-migration", {"migration": True}),
    "force-complete": (left_moving, "force-complete", {"migration": True}),
    "reset-state": (left_moving, "reset-state", {"state": "error"}),
    "change-password": (running("shared"), "change-password", {"adminPass": "secret"}),
}
SCENES |= {
    slug: (partial(ready_server, action=action), slug, example_of(action))
    for slug, action in registry.items()
    if action.steps and slug not in SCENES
}


def play(fleet: SmallFleet, scene: str) -> tuple[Server, ActionRecord]:
    """Set the scene and let the worker die in it if it has to; then let another worker take over."""
    set_up, slug, params = SCENES[scene]
    server = set_up(fleet)
    if "migration" in params:
        params = {"migration": server.migrations.latest("pk").pk}
    return server, fleet.submit(slug, server, **params).record


def finish(virtual_clock: VirtualClock) -> None:
    """Let the dead worker's lease expire, and others do what is left; while one waits the next one works."""
    virtual_clock.on_sleep = None
    virtual_clock.sleep(settings.LEASE_TTL_S + 1)
    virtual_clock.on_sleep = lambda: run_until_idle(wait=False)
    run_until_idle()


@pytest.mark.parametrize("scene", list(SCENES))
def test_killed_worker_is_followed_by_one_that_reaches_the_same_end(
    scene: str, virtual_clock: VirtualClock, switch: KillSwitch, tmp_path: Any, settings: Any
) -> None:
    with scratch(tmp_path, settings, "unharmed"):
        fleet = SmallFleet()
        server, record = play(fleet, scene)
        switch.seen.clear()
        finish(virtual_clock)
        record.refresh_from_db()
        assert record.status == ActionStatus.SUCCEEDED, record.error_text
        expected, points = fleet.state(server), list(switch.seen)
    assert len(points) > 5
    for fatal, name in enumerate(points):
        if fatal and name.startswith("before"):
            continue  # nothing lasting lies between it and the point that was passed last
        with scratch(tmp_path, settings, str(fatal)):
            fleet = SmallFleet()
            switch.fatal = None
            server, record = play(fleet, scene)
            switch.seen.clear()
            switch.fatal = fatal
            with pytest.raises(Killed):
                finish(virtual_clock)
            switch.fatal = None
            finish(virtual_clock)
            assert fleet.state(server) == expected, f"killed {name} ({fatal} of {len(points)})"


@contextmanager
def scratch(tmp_path: Any, settings: Any, name: str) -> Iterator[None]:
    """Give the block a database and a fleet of its own."""
    settings.SIMULATED_FLEET = tmp_path / f"{name}.sqlite3"
    settings.IMAGE_DIR = tmp_path / name
    settings.LEASE_TTL_S = 3
    point = transaction.atomic()
    point.__enter__()
    try:
        yield
    finally:
        transaction.set_rollback(True)
        point.__exit__(None, None, None)
