"""A process that keeps one small fleet in files: it sets scenes, ends what others have begun, and says what is true.

Reads a command a line from its input and answers each with a line of JSON: `set VERB`, `end`, `truth`.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402

from servers import clock  # noqa: E402
from servers.actions import registry  # noqa: E402
from servers.engine.accepting.restore import restore  # noqa: E402
from servers.engine.execution.queue import run_until_idle  # noqa: E402
from servers.models import ActionRecord, Image, Server  # noqa: E402
from servers.states import OPEN_ACTION_STATUSES  # noqa: E402
from tests.matrix import scenes  # noqa: E402
from tests.ready import ready_server  # noqa: E402
from tests.small_fleet import SmallFleet  # noqa: E402

TABLES = ("guest", "disk", "volume", "nic")
LIVE_THERE = {"host": "node2", "block_migration": "auto"}


@dataclass(frozen=True)
class Moment:
    """A situation in which a worker will come to call a verb."""

    slug: str
    set_up: scenes.SetUp
    params: Any = None

    def submit(self, fleet: SmallFleet, server: Server) -> ActionRecord:
        params = dict(self.params or {})
        if self.slug == "restore":
            image = Image.objects.latest("created_at")
            return restore(image, {"name": "again", **params}, fleet.context()).record
        if "migration" in params:
            params["migration"] = server.migrations.latest("pk").pk
        return fleet.submit(self.slug, server, **params).record


def left_prepared(fleet: SmallFleet) -> Server:
    """Return a server for which a move has prepared node2, failed, and could not clear it."""
    server = fleet.add_server(storage="local")
    fleet.simulation.set_fault("pre_live_migration", mode="fail_after", times=1)
    fleet.simulation.set_fault("rollback_live_migration", times=1)
    fleet.do("live-migration", server, **LIVE_THERE)
    return server


LOCAL = scenes.LOCAL
MOMENTS: dict[str, Moment] = {
    "live_migration.prepare": Moment("live-migration", LOCAL, LIVE_THERE),
    "live_migration.move": Moment("live-migration", LOCAL, LIVE_THERE),
    "live_migration.clean_source": Moment("live-migration", LOCAL, LIVE_THERE),
    "live_migration.discard": Moment(
        "live-migration", scenes.with_fault(LOCAL, "live_migration"), LIVE_THERE
    ),
    "live_migration.abort": Moment("abort-migration", scenes.left_moving, {"migration": True}),
    "live_migration.force_complete": Moment("force-complete", scenes.left_moving, {"migration": True}),
    "cold_migration.move_disk_and_power_off": Moment("migrate", LOCAL),
    "cold_migration.finish": Moment("migrate", LOCAL),
    "cold_migration.confirm": Moment("confirm-resize", scenes.migrated(LOCAL)),
    "cold_migration.discard": Moment("revert-resize", scenes.migrated(LOCAL)),
    "cold_migration.finish_revert": Moment("revert-resize", scenes.migrated(LOCAL)),
    "power.power_off": Moment("revert-resize", scenes.migrated(scenes.stopped)),
    "backup.snapshot": Moment("create-backup", LOCAL, scenes.BACKUP),
    "backup.discard": Moment(
        "create-backup", scenes.with_fault(LOCAL, "snapshot", mode="fail_after"), scenes.BACKUP
    ),
    "restore.make": Moment("restore", scenes.backed_up, {"start": True}),
    "restore.discard": Moment(
        "restore", scenes.with_fault(scenes.backed_up, "restore", mode="fail_after"), {"start": True}
    ),
    "agent.inject_network_info": Moment("inject-network-info", LOCAL),
    "agent.reset_network": Moment("reset-network", LOCAL),
    "agent.set_admin_password": Moment("change-password", LOCAL, {"adminPass": "secret"}),
    "disown": Moment("live-migration", left_prepared, LIVE_THERE),
}
MOMENTS |= {
    f"{kind.attribute}.{slug}": Moment(slug, partial(ready_server, action=action))
    for slug, action in registry.items()
    for step in action.steps
    for kind in step.takes
    if slug in kind.__abstractmethods__
}
"""Each verb of the drivers that has an effect, with a situation in which it is called.

A verb that an action has its name of is called by it.
"""


class Stage:
    """The fleet of one cell after the other."""

    def __init__(self) -> None:
        call_command("migrate", verbosity=0)
        connection.close()
        self.file = Path(settings.DATABASES["default"]["NAME"])
        self.empty = self.file.with_suffix(".empty")
        shutil.copy(self.file, self.empty)

    def set(self, verb: str) -> str:
        """Set the scene of a verb on an empty fleet; return the action in which it will be called."""
        connection.close()
        for left in (Path(f"{self.file}-wal"), Path(f"{self.file}-shm"), Path(settings.SIMULATED_FLEET)):
            left.unlink(missing_ok=True)
        shutil.copy(self.empty, self.file)
        self.fleet = SmallFleet()
        server = MOMENTS[verb].set_up(self.fleet)
        return str(MOMENTS[verb].submit(self.fleet, server).pk)

    def end(self) -> list[str]:
        """Do all that is left, be it of the one who sleeps; return how each action has ended."""
        opened = ActionRecord.objects.filter(status__in=OPEN_ACTION_STATUSES, stalled_at=None)
        while opened.exists():
            run_until_idle(wait=False)
            clock.sleep(0.1)
        return [f"{row.slug} {row.status}" for row in ActionRecord.objects.order_by("created_at")]

    def truth(self) -> dict[str, Any]:
        """Return all that the hypervisors and the records say."""
        db = sqlite3.connect(settings.SIMULATED_FLEET)
        tables: dict[str, Any] = {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in TABLES}
        db.close()
        records = {str(server.pk): self.fleet.state(server) for server in Server.objects.all()}
        return {**tables, "records": records}


def answers(stage: Stage) -> dict[str, Callable[..., Any]]:
    """Return what the stage can be asked for."""
    return {"set": stage.set, "end": stage.end, "truth": stage.truth}


if __name__ == "__main__":
    asked = answers(Stage())
    print("ready", flush=True)
    for line in sys.stdin:
        word, *given = line.split()
        print(json.dumps(asked[word](*given), default=str), flush=True)
