"""What is left of a guest on other hosts: copies, prepared destinations, what actions did not undo."""

from __future__ import annotations

from collections.abc import Iterator

from servers.inventory.reconciliation import owing
from servers.inventory.reconciliation.at_rest import AtRest
from servers.inventory.reconciliation.differences import Finding, Sight
from servers.models import ActionRecord, Migration
from servers.states import MIGRATION_OVER, DifferenceKind, MigrationStatus, MigrationType

ARRIVED = frozenset({MigrationStatus.CONFIRMED, MigrationStatus.COMPLETED, MigrationStatus.DONE})
"""After a move that ended with one of these, the guest at its destination is no copy."""
STAYED = frozenset({MigrationStatus.REVERTED, MigrationStatus.FAILED, MigrationStatus.CANCELLED})
"""After a move that ended with one of these, the guest at its source is no copy."""


def copies(at_rest: AtRest) -> Iterator[Finding]:
    """Yield COPY_LEFT for the copies of a guest that is on its recorded host.

    A copy that a recorded cold migration has left is a safe finding of its own, when the move is over and the
    guest has a process on its recorded host alone. All other copies are one finding.
    """
    expected = {at_rest.recorded, at_rest.old_copy, *at_rest.older_copies}
    extra = sorted(at_rest.sight.defined.keys() - expected)
    runs_at_home = at_rest.is_certain and at_rest.sight.alive == [at_rest.recorded]
    ours = {host: left_by(at_rest.sight, host) for host in extra if runs_at_home}
    for host in extra:
        if (move := ours.get(host)) is not None:
            yield at_rest.finding(
                DifferenceKind.COPY_LEFT,
                f"runs on {at_rest.recorded}, and migration {move.pk} has left a copy of it on {host}",
                f"Remove the copy on {host}.",
                safe=True,
                hosts=(host,),
                row=move.pk,
                owner=str(move.uuid),
            )
    others = [host for host in extra if ours.get(host) is None]
    if others:
        yield at_rest.finding(
            DifferenceKind.COPY_LEFT,
            f"is on {at_rest.recorded}, and shut down on {' and '.join(others)} as well",
            f"Make sure that the one on {at_rest.recorded} is right, then remove the other one by hand.",
            hosts=tuple(others),
        )


def left_by(sight: Sight, host: str) -> Migration | None:
    """Return the cold migration, now over, that has left the copy on `host`; None if that is not certain."""
    move = sight.move_of(sight.defined[host])
    if move is None or move.migration_type != MigrationType.COLD or move.status not in MIGRATION_OVER:
        return None
    at_source = host == move.source_compute and move.status not in STAYED
    at_destination = host == move.dest_compute and move.status not in ARRIVED
    return move if at_source or at_destination else None


def leftovers(at_rest: AtRest) -> Iterator[Finding]:
    """Yield a finding for each destination only prepared, and for each action that did not undo all."""
    for host, guest in sorted(at_rest.sight.prepared.items()):
        move = at_rest.sight.move_of(guest)
        ours = move is not None if guest.owner else host in at_rest.sight.own_destinations
        over = move is None or move.status in MIGRATION_OVER
        yield at_rest.finding(
            DifferenceKind.DESTINATION_LEFT,
            f"{host} is prepared for the guest, and no move is under way",
            f"Remove what was prepared on {host}."
            if ours
            else f"No move of ours went to {host}: look who did it.",
            safe=ours and over and at_rest.is_certain and at_rest.is_whole,
            hosts=(host,),
            owner=guest.owner,
        )
    yield from (undo_left(at_rest, action) for action in at_rest.owed if hosts_of(at_rest, action))


def undo_left(at_rest: AtRest, action: ActionRecord) -> Finding:
    """Return the finding that an action has left something on a host where the guest is not."""
    hosts, left = hosts_of(at_rest, action), owing.left_by(action)
    return at_rest.finding(
        DifferenceKind.UNDO_LEFT,
        f"{action.name} ({action.request_id}) could not remove all that it had to: {left}",
        f"Remove what it has left on {' and '.join(hosts)}.",
        safe=at_rest.is_certain and at_rest.is_whole and at_rest.sight.answered >= set(hosts),
        hosts=hosts,
        action=action.pk,
    )


def hosts_of(at_rest: AtRest, action: ActionRecord) -> tuple[str, ...]:
    """Return the host on which an action has left something of a guest, in a tuple.

    Empty when the host is not recorded any more, or when the guest is there now.
    """
    return tuple(sorted(({action.left_on} & at_rest.sight.asked) - {at_rest.here or at_rest.recorded}))
