"""One pass: read the records, ask every hypervisor, compare, repair what is safe, and keep what was found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q

from servers import clock
from servers.conductor.comparison import differences
from servers.conductor.differences import DifferenceKind, Finding, Records, sight_of
from servers.conductor.fleet import ref
from servers.conductor.repairs import discard, drop_abandoned, repair
from servers.conductor.survey import SURVEY_LIMIT_S, Survey, sightings, survey
from servers.drivers.base import FoundGuest
from servers.models import ActionRecord, Allocation, Divergence, Host, Migration, ReconcilePass, Server
from servers.states import MIGRATION_OVER, OPEN_ACTION_STATUSES

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Found:
    """A finding, and what became of its repair; empty where none was tried."""

    finding: Finding
    outcome: str = ""


@dataclass(frozen=True)
class Report:
    """What one pass has found. `silent` are the hosts that did not answer, each with the reason."""

    found: tuple[Found, ...]
    silent: dict[str, str]
    hosts: int


def reconcile(*, dry_run: bool = False, door: str = "command", limit_s: float = SURVEY_LIMIT_S) -> Report:
    """Compare everything, and repair what is safe unless it is only to be shown; what was found is kept."""
    if dry_run:
        return look(limit_s)[0]
    drop_abandoned()
    row = ReconcilePass.objects.create(door=door, started_at=clock.now())
    report, revisions = look(limit_s)
    repaired = Report(tuple(repair_all(report.found, revisions)), report.silent, report.hosts)
    keep(row, repaired)
    return repaired


def is_due() -> bool:
    """Return whether nobody has begun a pass within the interval; several supervisors share the work."""
    if not settings.RECONCILE_INTERVAL_S:
        return False
    since = clock.now() - timedelta(seconds=settings.RECONCILE_INTERVAL_S)
    return not ReconcilePass.objects.filter(started_at__gt=since).exists()


# ----------------------------------------------------------------------------------------- comparing


def look(limit_s: float = SURVEY_LIMIT_S) -> tuple[Report, dict[UUID, int]]:
    """Return what differs, with the revision of each server that was compared. Records are read first:

    whoever changes one while hypervisors are asked is noticed by its revision.
    """
    records = read_records()
    found = survey([ref(host) for host in Host.objects.all()], limit_s)
    seen = sightings(found)
    ours = own_destinations(seen)
    findings = [
        finding
        for server in sorted(records.servers.values(), key=lambda s: (s.name, str(s.pk)))
        for finding in differences(
            server, sight_of(seen.get(server.pk, {}), found, ours.get(server.pk, frozenset())), records
        )
    ]
    revisions = {server.pk: server.revision for server in records.servers.values()}
    return Report(tuple(Found(f) for f in findings), silent_hosts(found), len(found)), revisions


def read_records() -> Records:
    """Return the database's side, with as many queries for many servers as for one."""
    holding = Q(allocations__isnull=False) | Q(migrations__allocations__isnull=False)
    servers = Server.objects.filter(Q(deleted_at=None) | holding).select_related("host").distinct()
    records = Records(
        servers={server.pk: server for server in servers},
        actions={},
        migrations={},
        allocations={},
        overdue_at=clock.now() - timedelta(seconds=settings.LEASE_TTL_S),
    )
    for action in ActionRecord.objects.filter(status__in=OPEN_ACTION_STATUSES):
        records.actions.setdefault(action.server_id, []).append(action)
    for move in Migration.objects.exclude(status__in=MIGRATION_OVER).order_by("pk"):
        records.migrations.setdefault(move.server_id, []).append(move)
    for room in Allocation.objects.select_related("host", "migration"):
        owner = room.server_id or (room.migration.server_id if room.migration else None)
        if owner is not None:
            records.allocations.setdefault(owner, []).append(room)
    return records


def own_destinations(seen: dict[UUID, dict[str, FoundGuest]]) -> dict[UUID, frozenset[str]]:
    """Return, for guests for which a host is prepared, to which hosts we have ever sent them (law 4)."""
    prepared = [uuid for uuid, places in seen.items() if any(g.prepared_only for g in places.values())]
    ours: dict[UUID, frozenset[str]] = {}
    moves = Migration.objects.filter(server_id__in=prepared).values_list("server_id", "dest_compute")
    for server, host in moves:
        ours[server] = ours.get(server, frozenset()) | {host}
    return ours


def silent_hosts(found: Survey) -> dict[str, str]:
    """Return the hosts that did not answer, each with the reason."""
    return {host: answer.fault for host, answer in sorted(found.items()) if answer.value is None}


# ----------------------------------------------------------------------------------------- repairing


def repair_all(found: Iterable[Found], revisions: dict[UUID, int]) -> Iterable[Found]:
    """Yield each finding with what became of it, server by server."""
    for server, group in groupby(found, key=lambda f: f.finding.server):
        findings = [f.finding for f in group]
        yield from (Found(f) for f in findings if not f.safe)
        yield from repair_one(server, revisions[server], [f for f in findings if f.safe])


def repair_one(server: UUID, revision: int, findings: list[Finding]) -> Iterable[Found]:
    """Yield the safe findings of one server with what became of them: leftovers first, they change no record."""
    for finding in (f for f in findings if f.kind is DifferenceKind.DESTINATION_LEFT):
        outcome = discard(server, revision, finding)
        log.info("reconcile.discard", server=str(server), host=finding.hosts[0], outcome=outcome)
        yield Found(finding, outcome)
    records = [f for f in findings if f.kind is not DifferenceKind.DESTINATION_LEFT]
    if records:
        outcome = repair(server, revision, records)
        log.info(
            "reconcile.repair", server=str(server), found="; ".join(f.what for f in records), outcome=outcome
        )
        yield from (Found(finding, outcome) for finding in records)


@transaction.atomic
def keep(row: ReconcilePass, report: Report) -> None:
    """Keep what a pass has found, and since when it has been so; forget the passes before it."""
    known = {
        (d.server_id, d.kind, tuple(d.hosts)): d.first_seen_at
        for d in Divergence.objects.filter(outcome="").order_by("-first_seen_at")
    }
    Divergence.objects.bulk_create(
        Divergence(
            reconcile=row,
            server_id=f.finding.server,
            kind=f.finding.kind,
            hosts=list(f.finding.hosts),
            what=f.finding.what,
            proposal=f.finding.proposal,
            safe=f.finding.safe,
            outcome=f.outcome,
            first_seen_at=known.get((f.finding.server, f.finding.kind, f.finding.hosts), row.started_at),
        )
        for f in report.found
    )
    row.finished_at, row.hosts, row.silent = clock.now(), report.hosts, report.silent
    row.save(update_fields=["finished_at", "hosts", "silent"])
    ReconcilePass.objects.filter(started_at__lt=row.started_at).delete()
