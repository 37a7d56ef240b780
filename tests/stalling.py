"""Actions that come to no end by themselves, for tests of what a person makes of them."""

from __future__ import annotations

from typing import Any

from servers.engine.execution.queue import run_until_idle
from servers.models import ActionRecord, Server
from tests.small_fleet import SmallFleet

LIVE = {"host": None, "block_migration": "auto"}


def stall(
    fleet: SmallFleet, slug: str, server: Server, *verbs: tuple[str, str], **params: Any
) -> ActionRecord:
    """Return an action that waits for a judgement, because these verbs hang on these hosts; they no longer do."""
    for verb, host in verbs:
        fleet.simulation.set_fault(verb, host, mode="hang")
    record = fleet.do(slug, server, **params)
    fleet.simulation.clear_faults()
    fleet.heartbeat()
    assert record.stalled_at is not None, (record.status, record.error_text)
    return record


def stalled_move(fleet: SmallFleet, server: Server | None = None) -> ActionRecord:
    """Return a live migration that waits; its guest runs where it was."""
    return stall(fleet, "live-migration", server or fleet.add_server(), ("live_migration", "node1"), **LIVE)


def arrived_move(fleet: SmallFleet, server: Server | None = None) -> ActionRecord:
    """Return a live migration that waits; its guest runs at the destination, and nothing was recorded of it."""
    fleet.simulation.set_fault("live_migration", "node1", mode="hang_after")
    record = fleet.submit("live-migration", server or fleet.add_server(), **LIVE).record
    run_until_idle(wait=False)
    fleet.simulation.set_fault("find_guest", "node2", mode="hang")
    fleet.work()
    fleet.simulation.clear_faults()
    fleet.heartbeat()
    record.refresh_from_db()
    assert record.stalled_at is not None, (record.status, record.error_text)
    return record
