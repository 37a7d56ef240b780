"""One pass: read the records, ask every host, compare, repair what is safe, and store the findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from itertools import chain, groupby
from uuid import UUID

import structlog
from django.conf import settings

from servers import clock
from servers.drivers.base import FoundGuest
from servers.fleet.drivers import ref
from servers.fleet.polling import SURVEY_LIMIT_S, Survey, sightings, survey
from servers.inventory.discovery.recorded import at_work
from servers.inventory.reconciliation.comparison import differences
from servers.inventory.reconciliation.differences import (
    Finding,
    Found,
    Records,
    Report,
    sight_of,
)
from servers.inventory.reconciliation.divergences import FAILED, keep
from servers.inventory.reconciliation.leftovers import AT_HYPERVISOR, discard
from servers.inventory.reconciliation.owing import owing
from servers.inventory.reconciliation.repairs import drop_abandoned, repair
from servers.inventory.second_look import look_again
from servers.isolation import apart, words
from servers.models import ActionRecord, Allocation, Host, Migration, ReconcilePass, Server
from servers.states import MIGRATION_OVER, OPEN_ACTION_STATUSES, DifferenceKind, MigrationStatus

log = structlog.get_logger(__name__)

MIGRATION_OPEN = frozenset(MigrationStatus) - MIGRATION_OVER
UNUSED = ("metadata", "tags", "extra_specs", "image_properties", "fault_details", "description")
"""Fields of a server that are not read, to save time and memory with ten thousand servers."""
IN_SEVERAL_PLACES = frozenset(
    {DifferenceKind.GUEST_TWICE, DifferenceKind.GUEST_ELSEWHERE, DifferenceKind.COPY_LEFT}
)
"""Kinds of findings that are true only if the guest did not move while the hosts were asked."""


def reconcile(*, dry_run: bool = False, door: str = "command", limit_s: float = SURVEY_LIMIT_S) -> Report:
    """Compare all records with all hosts, repair what is safe, store the findings; return the report.

    With `dry_run` nothing is repaired or stored. `door` is recorded with the pass. Each repair and each batch
    of findings has a transaction of its own. Raises the error when the database is unavailable.
    """
    if dry_run:
        return look(limit_s)[0]
    drop_abandoned()
    row = ReconcilePass.objects.create(door=door, started_at=clock.now())
    report, revisions = look(limit_s)
    repaired = Report(tuple(repair_all(report.found, revisions)), report.silent, report.hosts)
    keep(row, repaired)
    return repaired


def is_due() -> bool:
    """Return whether no supervisor has begun a pass within RECONCILE_INTERVAL.

    Always False when the interval is 0.
    """
    if not settings.RECONCILE_INTERVAL_S:
        return False
    now = clock.now()
    since = now - timedelta(seconds=settings.RECONCILE_INTERVAL_S)
    return not ReconcilePass.objects.filter(started_at__gt=since, started_at__lte=now).exists()


# ----------------------------------------------------------------------------------------- comparing


def look(limit_s: float = SURVEY_LIMIT_S) -> tuple[Report, dict[UUID, int]]:
    """Return the findings, with the revision of each server that was compared.

    Records are read before hosts are asked, so a later change of a record is noticed by its revision. What is
    true only if the guest did not move meanwhile has to be found by a second survey as well, and the server
    must not have changed by then. Takes at most about twice `limit_s` seconds.
    """
    records = read_records()
    found = survey(records.hosts.values(), limit_s)
    servers = sorted(records.servers.values(), key=lambda s: (s.name, str(s.pk)))
    revisions = {server.pk: server.revision for server in servers}
    differing = compare_all(servers, records, found)
    doubted = [f.finding for f in chain(*differing.values()) if is_doubtful(f.finding)]
    if doubted:
        names = concerned(doubted, records) & records.hosts.keys()
        again = look_again(found, [records.hosts[name] for name in sorted(names)], limit_s)
        sure_of(differing, doubted, compare_all([records.servers[f.server] for f in doubted], records, again))
        for server in at_work(revisions, [f.server for f in doubted]):
            differing[server] = []
    return Report(tuple(chain(*differing.values())), silent_hosts(found), len(found)), revisions


def compare_all(servers: Iterable[Server], records: Records, found: Survey) -> dict[UUID, list[Found]]:
    """Return what differs for each of the servers, by UUID.

    A server whose comparison raises gets the finding NOT_COMPARED, and stops no other.
    """
    seen = sightings(found)
    moves = own_moves(seen)

    def compare(server: Server) -> list[Finding]:
        sight = sight_of(seen.get(server.pk, {}), found, moves.get(server.pk, ()))
        return list(differences(server, sight, records))

    return {server.pk: compared(server, partial(compare, server)) for server in servers}


def compared(server: Server, compare: Callable[[], list[Finding]]) -> list[Found]:
    """Return what `compare` finds for one server, or NOT_COMPARED with the reason when it raises."""
    findings = apart(compare, "reconcile.odd_server", server=str(server.pk))
    if not isinstance(findings, Exception):
        return [Found(finding) for finding in findings]
    what = "could not be compared with what was seen of its guest"
    proposal = "Look into the log, which has the traceback."
    finding = Finding(DifferenceKind.NOT_COMPARED, server.pk, server.name, what, proposal)
    return [Found(finding, FAILED.format(reason=words(findings)))]


def is_doubtful(finding: Finding) -> bool:
    """Return whether the finding says that a guest is in several places, and is left to an operator."""
    return finding.kind in IN_SEVERAL_PLACES and not finding.safe


def concerned(doubted: Iterable[Finding], records: Records) -> set[str]:
    """Return the names of the hosts to ask again: those of the findings and of their servers' records."""
    names = {name for finding in doubted for name in finding.hosts}
    homes = (records.servers[finding.server].host for finding in doubted)
    return names | {host.name for host in homes if host is not None}


def sure_of(
    differing: dict[UUID, list[Found]], doubted: Iterable[Finding], again: dict[UUID, list[Found]]
) -> None:
    """Keep in `differing`, for the servers of `doubted`, only the findings that `again` has as well."""
    for server in {finding.server for finding in doubted}:
        differing[server] = [found for found in differing[server] if found in again[server]]


def read_records() -> Records:
    """Return the recorded side, with as many queries for many servers as for one.

    Deleted servers are part of it only when they still hold an allocation.
    """
    hosts = Host.objects.in_bulk()
    records = Records(
        hosts={host.name: ref(host) for host in hosts.values()},
        servers={server.pk: server for server in Server.objects.filter(deleted_at=None).defer(*UNUSED)},
        actions={},
        migrations={},
        allocations={},
        owed={},
        overdue_at=clock.now() - timedelta(seconds=settings.LEASE_TTL_S),
    )
    for action in ActionRecord.objects.filter(status__in=OPEN_ACTION_STATUSES):
        records.actions.setdefault(action.server_id, []).append(action)
    for move in Migration.objects.filter(status__in=MIGRATION_OPEN).order_by("pk"):
        records.migrations.setdefault(move.server_id, []).append(move)
    for action in owing().select_related("migration"):
        records.owed.setdefault(action.server_id, []).append(action)
    for room in Allocation.objects.select_related("migration"):
        room.host = hosts.get(room.host_id) or room.host
        owner = room.server_id or (room.migration.server_id if room.migration else None)
        if owner is not None:
            records.allocations.setdefault(owner, []).append(room)
    deleted = records.allocations.keys() - records.servers.keys()
    if deleted:
        records.servers |= Server.objects.in_bulk(deleted)
    for server in records.servers.values():
        if server.host_id in hosts:
            server.host = hosts[server.host_id]
    return records


def own_moves(seen: dict[UUID, dict[str, FoundGuest]]) -> dict[UUID, tuple[Migration, ...]]:
    """Return every migration of the guests that are on several hosts, or prepared on one (engine law 4).

    By the server's UUID, oldest first.
    """
    more = [uuid for uuid, places in seen.items() if len(places) > 1 or is_prepared(places.values())]
    moves = Migration.objects.filter(server__in=more).order_by("server", "pk")
    return {uuid: tuple(own) for uuid, own in groupby(moves, key=lambda move: move.server_id)}


def is_prepared(guests: Iterable[FoundGuest]) -> bool:
    """Return whether one of these is only a destination that was prepared for the guest."""
    return any(guest.prepared_only for guest in guests)


def silent_hosts(found: Survey) -> dict[str, str]:
    """Return the hosts that did not answer, each with the reason."""
    return {host: answer.fault for host, answer in sorted(found.items()) if answer.value is None}


# ----------------------------------------------------------------------------------------- repairing


def repair_all(found: Iterable[Found], revisions: dict[UUID, int]) -> Iterator[Found]:
    """Yield each finding with the outcome of its repair, server by server.

    An error of one server's repair stops no other. `found` has the findings of a server next to each other.
    """
    for server, group in groupby(found, key=lambda f: f.finding.server):
        those = list(group)
        yield from (f for f in those if not f.finding.safe)
        yield from repair_one(server, revisions[server], [f.finding for f in those if f.finding.safe])


def repair_one(server: UUID, revision: int, findings: Sequence[Finding]) -> Iterator[Found]:
    """Yield the safe findings of one server with their outcome.

    Leftovers on hosts come first, because removing them does not change the server's revision; the records
    follow in one transaction.
    """
    for finding in (f for f in findings if f.kind in AT_HYPERVISOR):
        outcome = outcome_of(server, [finding], partial(discard, server, revision, finding))
        yield Found(finding, outcome)
    records = [f for f in findings if f.kind not in AT_HYPERVISOR]
    if records:
        outcome = outcome_of(server, records, partial(repair, server, revision, records))
        yield from (Found(finding, outcome) for finding in records)


def outcome_of(server: UUID, findings: Sequence[Finding], do: Callable[[], str]) -> str:
    """Call `do` and return the outcome, in words, which is logged; an error becomes a failed outcome."""
    done = apart(do, "reconcile.repair_failed", server=str(server))
    outcome = FAILED.format(reason=words(done)) if isinstance(done, Exception) else done
    log.info(
        "reconcile.repair", server=str(server), found="; ".join(f.what for f in findings), outcome=outcome
    )
    return outcome
