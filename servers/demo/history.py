"""What has happened in the demo during the last week: done by the engine itself, on a clock that runs ahead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from servers.actions import registry
from servers.clock import VirtualClock
from servers.demo.identifiers import uuid_of
from servers.demo.roster import SERVERS
from servers.drivers.simulated import Fleet
from servers.engine.accepting.request_context import context_of
from servers.engine.accepting.submit import submit
from servers.engine.execution.queue import run_until_idle
from servers.fleet.drivers import refresh_host
from servers.models import Host, Project, User

WEEK = timedelta(days=7)


@dataclass(frozen=True)
class PastAction:
    """Somebody did something to a server, so many hours after the week began."""

    hour: float
    server: str
    slug: str
    user: str = "admin"
    params: Mapping[str, Any] = field(default_factory=dict)
    prepare: Callable[[Fleet], None] | None = None
    """What goes wrong just then."""


def backup(hour: float, server: str, kind: str, keep: int, user: str = "admin") -> PastAction:
    """Return a backup with rotation."""
    params = {
        "name": f"{server} {kind}",
        "backup_type": kind,
        "rotation": keep,
        "metadata": {"kept_by": "rotation"},
    }
    return PastAction(hour, server, "create-backup", user, params)


LIVE = {"host": None, "block_migration": "auto"}


def disk_breaks(fleet: Fleet) -> None:
    """Let the next cold move away from rack1-b fail."""
    facts = {"reason": "the disk image could not be read: Input/output error"}
    fleet.set_fault("migrate_disk_and_power_off", "rack1-b", error="ResizeError", args=facts, times=1)


PAST_ACTIONS = (
    *(backup(24 * day + 26, "web-1", "daily", 4) for day in range(5)),
    *(backup(24 * day + 75, "db-1", "daily", 3, "martin") for day in range(3)),
    backup(4, "db-1", "weekly", 2, "martin"),
    backup(5, "worker-3", "weekly", 4),
    backup(76, "web-3", "before-upgrade", 1),
    PastAction(30, "web-4", "live-migration", params=LIVE),
    PastAction(31, "web-4", "live-migration", params=LIVE),
    PastAction(40, "db-2", "live-migration", "mandy", LIVE),
    PastAction(52, "worker-3", "migrate"),
    PastAction(53, "worker-3", "confirm-resize"),
    PastAction(60, "grid-2", "migrate"),
    PastAction(61, "grid-2", "revert-resize"),
    PastAction(80, "web-2", "inject-network-info"),
    PastAction(81, "appliance-1", "inject-network-info"),
    PastAction(90, "web-1", "reset-network"),
    PastAction(120, "broken-1", "migrate", prepare=disk_breaks),
    PastAction(150, "worker-2", "migrate"),
)


def relive(fleet: Fleet, clock: VirtualClock) -> None:
    """Do all of it, one after the other, each at its time by `clock`."""
    began_at = clock.now()
    assert {past.server for past in PAST_ACTIONS} <= {server.name for server in SERVERS}
    for past in sorted(PAST_ACTIONS, key=lambda past: past.hour):
        clock.time = max(clock.time, began_at + timedelta(hours=past.hour))
        for host in Host.objects.all():
            refresh_host(host)
        if past.prepare is not None:
            past.prepare(fleet)
        do(past)


def do(past: PastAction) -> None:
    """Hand one request in, and carry it out."""
    user = User.objects.get(name=past.user)
    context = context_of(user, Project.objects.get(pk=user.default_project_id), door="rest")
    submit(registry[past.slug], str(uuid_of("server", past.server)), past.params, context)
    run_until_idle()
