"""The scenes of the matrix: what there is, what is asked for, and what somebody asks for next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from servers import clock
from servers.actions import registry
from servers.clock import VirtualClock
from servers.engine.accepting.restore import restore
from servers.engine.execution.queue import run_until_idle
from servers.models import ActionRecord, Image, Migration, Server
from servers.states import ImageStatus, PowerState
from tests.matrix.points import Killed
from tests.ready import example_of, ready_server
from tests.small_fleet import SmallFleet

SetUp = Callable[[SmallFleet], Server]
Next = tuple[str, dict[str, Any]]

LIVE = {"host": None, "block_migration": "auto"}
BACKUP = {"name": "new", "backup_type": "daily", "rotation": 1}
IN_REQUEST = "2.30"
"""A microversion whose caller waits for the checks of a live migration."""


@dataclass(frozen=True)
class Scene:
    """An action in a situation. `follow_ups` are what somebody does when it is done, one list a variant."""

    slug: str
    set_up: SetUp
    params: dict[str, Any] = field(default_factory=dict)
    follow_ups: tuple[tuple[Next, ...], ...] = ()
    version: str = ""
    in_request: bool = False
    """Whether some of it, or all, is done before its caller has the answer."""
    fails: bool = False
    """Whether a verb fails in it. It is struck from there on: what comes before is struck in the scene without the fault."""

    def submit(self, fleet: SmallFleet, server: Server) -> ActionRecord:
        """Ask for the action; return its record."""
        if self.slug == "restore":
            image = Image.objects.filter(status=ImageStatus.ACTIVE).latest("created_at")
            params = {"name": "again", "host": None, **self.params}
            return restore(image, params, fleet.context()).record
        params = dict(self.params)
        if "migration" in params:
            params["migration"] = server.migrations.latest("pk").pk
        given = (self.version,) if self.version else ()
        return fleet.submit(self.slug, server, *given, **params).record


# -------------------------------------------------------------------------------------- what there is


def running(storage: str) -> SetUp:
    """Return how to set up a server that runs, with its disk in such storage."""
    return lambda fleet: fleet.add_server(storage=storage)


def stopped(fleet: SmallFleet) -> Server:
    return fleet.add_server(storage="local", vm_state="stopped", power_state=PowerState.SHUTDOWN)


def migrated(set_up: SetUp) -> SetUp:
    """Return how to set up a server that was moved cold, and waits to be confirmed."""

    def waiting(fleet: SmallFleet) -> Server:
        server = set_up(fleet)
        fleet.do("migrate", server)
        return server

    return waiting


def backed_up(fleet: SmallFleet) -> Server:
    server = fleet.add_server()
    fleet.do("create-backup", server, name="old", backup_type="daily", rotation=1)
    return server


def with_fault(set_up: SetUp, verb: str, **fault: Any) -> SetUp:
    """Return how to set up a fleet on which a verb goes wrong once."""

    def faulty(fleet: SmallFleet) -> Server:
        server = set_up(fleet)
        fleet.simulation.set_fault(verb, times=1, **fault)
        return server

    return faulty


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
        try:
            run_until_idle()
        except Killed:
            fleet.simulation.clear_faults()  # what is held stays held; what begins later ends by itself
            return server
    raise AssertionError("the move is over already")


# --------------------------------------------------------------------------------- what comes next


def live(host: str) -> Next:
    return "live-migration", {"host": host, "block_migration": "auto"}


def cold(host: str) -> Next:
    return "migrate", {"host": host}


CONFIRM: Next = ("confirm-resize", {})
REVERT: Next = ("revert-resize", {})
BACK, THERE, ELSEWHERE = "node1", "there", "node3"
AFTER_MOVE = (
    (live(BACK),),
    (cold(BACK), CONFIRM),
    (live(ELSEWHERE), live(BACK)),
)
AFTER_COLD = (
    (REVERT,),
    (CONFIRM, cold(BACK), CONFIRM),
    (REVERT, cold(THERE)),
)
AFTER_RETURN = (
    (cold(THERE),),
    (cold(THERE), CONFIRM),
    (live(THERE),),
)
AGAIN = (("create-backup", {**BACKUP, "name": "later"}),)

NET = running("shared")
LOCAL = running("local")

SCENES = {
    "live-migration": Scene("live-migration", NET, LIVE, AFTER_MOVE),
    "live-migration with disks": Scene("live-migration", LOCAL, LIVE, AFTER_MOVE),
    "live-migration, checked in the request": Scene(
        "live-migration", NET, LIVE, AFTER_MOVE, version=IN_REQUEST, in_request=True
    ),
    "live-migration, prepare fails": Scene(
        "live-migration", with_fault(NET, "pre_live_migration"), LIVE, AFTER_RETURN, fails=True
    ),
    "live-migration, move fails": Scene(
        "live-migration", with_fault(LOCAL, "live_migration"), LIVE, AFTER_RETURN, fails=True
    ),
    "live-migration, fails when moved": Scene(
        "live-migration", with_fault(NET, "live_migration", mode="fail_after"), LIVE, AFTER_MOVE, fails=True
    ),
    "migrate": Scene("migrate", LOCAL, {}, AFTER_COLD),
    "migrate stopped": Scene("migrate", stopped, {}, AFTER_COLD),
    "migrate, move fails": Scene(
        "migrate", with_fault(LOCAL, "migrate_disk_and_power_off"), {}, AFTER_RETURN, fails=True
    ),
    "migrate, fails when moved": Scene(
        "migrate",
        with_fault(LOCAL, "migrate_disk_and_power_off", mode="fail_after"),
        {},
        AFTER_RETURN,
        fails=True,
    ),
    "migrate, finish fails": Scene("migrate", with_fault(LOCAL, "finish_migration"), {}, (), fails=True),
    "confirm-resize": Scene("confirm-resize", migrated(LOCAL), {}, ((cold(BACK), CONFIRM), (live(BACK),))),
    "confirm-resize stopped": Scene("confirm-resize", migrated(stopped), {}, ((cold(BACK), CONFIRM),)),
    "revert-resize": Scene("revert-resize", migrated(LOCAL), {}, AFTER_RETURN),
    "revert-resize stopped": Scene("revert-resize", migrated(stopped), {}, AFTER_RETURN[:2]),
    "create-backup": Scene("create-backup", backed_up, BACKUP, (AGAIN, (cold(ELSEWHERE),))),
    "create-backup, copy fails": Scene(
        "create-backup", with_fault(backed_up, "snapshot"), BACKUP, (AGAIN,), fails=True
    ),
    "create-backup, keep none": Scene("create-backup", backed_up, {**BACKUP, "rotation": 0}, (AGAIN,)),
    "restore": Scene("restore", backed_up, {}, (AGAIN,)),
    "restore and start": Scene("restore", backed_up, {"start": True}, (AGAIN,)),
    "restore, copy fails": Scene(
        "restore", with_fault(backed_up, "restore"), {"start": True}, (AGAIN,), fails=True
    ),
    "inject-network-info": Scene("inject-network-info", NET, {}, ((live(ELSEWHERE),),)),
    "reset-network": Scene("reset-network", NET, {}, ((live(ELSEWHERE),),)),
    "change-password": Scene("change-password", NET, {"adminPass": "secret"}, ((live(ELSEWHERE),),)),
    "abort-migration": Scene("abort-migration", left_moving, {"migration": True}, AFTER_RETURN),
    "force-complete": Scene("force-complete", left_moving, {"migration": True}, AFTER_MOVE),
    "reset-state": Scene("reset-state", left_moving, {"state": "active"}, AFTER_RETURN, in_request=True),
}
SCENES |= {
    slug: Scene(slug, partial(ready_server, action=action), example_of(action), in_request=not action.steps)
    for slug, action in registry.items()
    if slug not in SCENES
}
