"""Every action of the registry, wherever it stopped and wherever its guest is: it can be closed, and what is left is right.

The registry is walked, the rest is drawn by a fixed seed: where the guest is, what it does, how far the journal goes,
the server's state and the migration's.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from servers import clock
from servers.actions import Action, definitions
from servers.actions.base import Exclusivity
from servers.engine.capacity import claims
from servers.engine.judgement.endings import Outcome
from servers.engine.judgement.judge import close
from servers.errors import CannotClose
from servers.fleet.drivers import guest_of
from servers.fleet.guest_sightings import collect_sightings
from servers.models import ActionRecord, Allocation, Migration, Server
from servers.states import MIGRATION_OVER, MigrationStatus, MigrationType, PowerState, TaskState, VmState
from tests.factories import make_action, make_image, make_migration
from tests.small_fleet import SmallFleet

LIVES = 12
WHY = "I have looked"
LIVE = ("accepted", "queued", "preparing", "running", "completed")
COLD = ("pre-migrating", "migrating", "post-migrating")
STATUSES = {
    "live-migration": LIVE,
    "migrate": COLD,
    "confirm-resize": ("confirming",),
    "revert-resize": ("reverting",),
}
RUNS = {VmState.ACTIVE, VmState.RESCUED, VmState.RESIZED}
IS_OFF = {VmState.STOPPED, VmState.SUSPENDED, VmState.RESIZED}


def journal(action: type[Action], draw: random.Random) -> list[dict[str, Any]]:
    """Return a journal that goes up to some step of the action."""
    now = clock.now().isoformat()
    names = [step.name for step in action.steps][: draw.randint(0, len(action.steps))]
    return [
        {
            "name": n,
            "began": now,
            "effect": draw.choice([now, None]),
            "ended": now if n != names[-1] else None,
        }
        for n in names
    ]


def stopped_somewhere(fleet: SmallFleet, action: type[Action], draw: random.Random) -> ActionRecord:
    """Return an action that waits, with a guest that is somewhere, or nowhere."""
    allowed = sorted(action.transition.allowed or {VmState.ACTIVE, VmState.STOPPED, VmState.ERROR})
    server = fleet.add_server(vm_state=draw.choice(allowed), memory_mb=64, vcpus=0)
    fields: dict[str, Any] = {}
    if action.slug in STATUSES:
        fields["migration"] = make_migration(
            server,
            migration_type=MigrationType.LIVE if action.slug == "live-migration" else MigrationType.COLD,
            status=draw.choice(STATUSES[action.slug]),
            source_compute="node1",
            dest_compute="node2",
        )
        claims.charge_migration(server.pk, fields["migration"])
        claims.claim(server.pk, "node2")
    if action.slug == "create-backup":
        fields["image"] = make_image(fleet.project, server=server, status=draw.choice(["saving", "active"]))
    place_guest(fleet, server, draw)
    Server.objects.filter(pk=server.pk).update(task_state=draw.choice(sorted(TaskState)))
    return make_action(
        server,
        action.record_name,
        slug=action.slug,
        definition=action.version,
        exclusive=action.exclusivity in {Exclusivity.EXCLUSIVE, Exclusivity.QUEUED},
        status="unknown",
        stalled_at=clock.now(),
        source_host="node1",
        steps=journal(action, draw),
        **fields,
    )


def place_guest(fleet: SmallFleet, server: Server, draw: random.Random) -> None:
    """Let the guest be where the draw says, and do what it says."""
    host = draw.choice(["node1", "node2", "node3", None])
    fleet.simulation.remove_guest("node1", server.pk)
    if host is not None:
        power = draw.choice([PowerState.RUNNING, PowerState.PAUSED, PowerState.SHUTDOWN])
        guest = guest_of(server)
        fleet.simulation.add_guest(host, guest, power)


def check(server_id: Any, action: ActionRecord, outcome: Outcome) -> None:
    """Check everything that has to be right once an action is closed."""
    server = Server.objects.select_related("host").get(pk=server_id)
    seen = {host: a.value for host, a in collect_sightings(server).seen.items() if a.value is not None}
    power = next((guest.power_state for guest in seen.values()), None)
    assert action.stalled_at is None and action.lease_until is None
    assert action.status == outcome.value and len(action.judgements) == 1
    assert action.events.filter(finished_at=None).count() == 0
    if definitions[action.slug].exclusivity is not Exclusivity.EXCLUSIVE:
        return
    assert server.task_state == TaskState.IDLE
    if server.vm_state == VmState.DELETED:
        assert not Allocation.objects.filter(server=server).exists()
        return
    assert server.host is not None
    assert [a.host_id for a in Allocation.objects.filter(server=server)] == [server.host_id]
    if not seen:
        assert server.vm_state == VmState.ERROR
    elif power is PowerState.RUNNING:
        assert server.vm_state in RUNS and server.host.name in seen
    elif power is PowerState.SHUTDOWN:
        assert server.vm_state in IS_OFF and server.host.name in seen
    if action.migration is not None:
        move = Migration.objects.get(pk=action.migration.pk)
        waits = move.status == MigrationStatus.FINISHED
        assert waits or move.status in MIGRATION_OVER
        assert waits == (server.vm_state == VmState.RESIZED)
        assert Allocation.objects.filter(migration=move).exists() == waits


@pytest.mark.parametrize("outcome", list(Outcome))
@pytest.mark.parametrize("slug", sorted(definitions))
def test_it_is_closed_as_it_was_seen_or_refused_and_left_alone(
    fleet: SmallFleet, slug: str, outcome: Outcome
) -> None:
    draw = random.Random(f"{slug} {outcome}")
    closed = 0
    for _ in range(LIVES):
        record = stopped_somewhere(fleet, definitions[slug], draw)
        before = fleet.state(record.server)
        try:
            close(record.pk, fleet.context(), WHY, outcome)
        except CannotClose:
            assert outcome is Outcome.SUCCEEDED
            assert fleet.state(record.server) == before
            record.refresh_from_db()
            assert (record.status, record.judgements) == ("unknown", []) and record.stalled_at is not None
            continue
        closed += 1
        check(record.server_id, ActionRecord.objects.get(pk=record.pk), outcome)
    assert closed > 0
    assert closed == LIVES or outcome is Outcome.SUCCEEDED
