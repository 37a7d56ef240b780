"""What hypervisors have that the database does not know, or knows otherwise: a plan, of which nothing is written yet."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from servers.conductor.fleet import ref
from servers.conductor.inventory import (
    GuestFacts,
    HostFacts,
    found_guest,
    found_host,
    known_guest,
    known_host,
)
from servers.conductor.survey import Survey, sightings, survey
from servers.drivers.base import FoundGuest, HostRef
from servers.errors import GuestNotFound
from servers.models import ActionRecord, Host, Migration, Server
from servers.states import OPEN_ACTION_STATUSES, MigrationStatus, VmState

BUSY = "an action is going on"
TWICE = "seen on {hosts}: a person has to decide which one is right"
NOT_SURE = "{host}, where it is recorded, does not answer"
DELETED = "a server with this UUID was deleted"
WAITS = "its move waits to be confirmed or reverted"
NOT_ALL = "not every host has answered"
UNREAD = "it could not be read: {reason}"
SAME_HOST = "{host} says of itself what host {other} says: {hostname}"


class ChangeKind(StrEnum):
    """What has happened to a host or a guest."""

    HOST_NEW = "host_new"
    HOST_CHANGED = "host_changed"
    HOST_SILENT = "host_silent"
    GUEST_NEW = "guest_new"
    GUEST_CHANGED = "guest_changed"
    GUEST_MOVED = "guest_moved"
    GUEST_GONE = "guest_gone"
    GUEST_BACK = "guest_back"
    GUEST_TWICE = "guest_twice"


@dataclass(frozen=True)
class Difference:
    """One fact that would change, in words."""

    name: str
    old: str
    new: str


@dataclass(frozen=True)
class PlannedChange:
    """A host or guest whose record would change. With an `obstacle` it is reported, and not written."""

    kind: ChangeKind
    host: str
    name: str
    uuid: UUID | None = None
    differences: tuple[Difference, ...] = ()
    obstacle: str = ""


@dataclass(frozen=True)
class Plan:
    """All that would be written, with what it was made from."""

    changes: tuple[PlannedChange, ...]
    hosts: tuple[HostRef, ...]
    found: Survey = field(repr=False)
    only: frozenset[str] = frozenset()

    @property
    def to_write(self) -> list[PlannedChange]:
        return [change for change in self.changes if not change.obstacle]

    @property
    def digest(self) -> str:
        """Return what two plans have in common when they say the same."""
        text = json.dumps(self.as_data(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def as_data(self) -> list[dict[str, Any]]:
        """Return the changes in the form of JSON."""
        return [{**asdict(c), "uuid": str(c.uuid) if c.uuid else None} for c in self.changes]


@dataclass
class Known:
    """The database's opinion, read with as many queries for many servers as for one."""

    hosts: dict[str, Host]
    servers: dict[UUID, Server]
    deleted: frozenset[UUID]
    busy: frozenset[UUID]
    old_copies: dict[UUID, str]
    """Where a server that waits for its confirmation has its old copy."""


def read_known(*, lock: bool = False) -> Known:
    """Return what is recorded, its servers locked when they are about to be changed."""
    rows = Server.objects.filter(deleted_at=None)
    if lock:
        rows = rows.order_by("pk").select_for_update(of=("self",))
    servers = rows.select_related("host", "flavor").prefetch_related("disks__pool", "interfaces")
    busy = ActionRecord.objects.filter(status__in=OPEN_ACTION_STATUSES).values_list("server_id", flat=True)
    waiting = Migration.objects.filter(status=MigrationStatus.FINISHED).order_by("pk")
    return Known(
        hosts={host.name: host for host in Host.objects.prefetch_related("pools")},
        servers={server.pk: server for server in servers},
        deleted=frozenset(Server.objects.exclude(deleted_at=None).values_list("pk", flat=True)),
        busy=frozenset(busy),
        old_copies=dict(waiting.values_list("server_id", "source_compute")),
    )


def discover(added: Iterable[HostRef] = (), only: Iterable[str] = (), *, limit_s: float = 30.0) -> Plan:
    """Ask every known host and the added ones; return what would change, on the hosts `only` names or on all."""
    known = {host.name: ref(host) for host in Host.objects.all()}
    hosts = tuple({**known, **{host.name: host for host in added}}.values())
    return make_plan(hosts, survey(hosts, limit_s), read_known(), frozenset(only))


def make_plan(hosts: tuple[HostRef, ...], found: Survey, known: Known, only: frozenset[str]) -> Plan:
    """Return the plan that follows from what was found and what is known."""
    host_changes = list(changes_of_hosts(hosts, found, known))
    refused = {change.host for change in host_changes if change.obstacle}
    usable = {name: answer for name, answer in found.items() if name not in refused}
    changes = [*host_changes, *changes_of_guests(usable, known)]
    wanted = tuple(change for change in changes if not only or change.host in only)
    return Plan(wanted, hosts, found, only)


# ------------------------------------------------------------------------------------------------ hosts


def changes_of_hosts(hosts: tuple[HostRef, ...], found: Survey, known: Known) -> Iterator[PlannedChange]:
    """Yield a change for each host that is new, says something new, or does not answer."""
    named = {host.hypervisor_hostname: host.name for host in known.hosts.values()}
    for host in sorted(hosts, key=lambda h: h.name):
        answer = found[host.name]
        if answer.value is None:
            yield PlannedChange(ChangeKind.HOST_SILENT, host.name, host.name, obstacle=answer.fault)
            continue
        facts = found_host(host, answer.value)
        holder = named.setdefault(facts.hostname, host.name)
        obstacle = (
            ""
            if holder == host.name
            else SAME_HOST.format(host=host.name, other=holder, hostname=facts.hostname)
        )
        row = known.hosts.get(host.name)
        differences = compare(known_host(row) if row else HostFacts(), facts)
        if differences:
            kind = ChangeKind.HOST_CHANGED if row else ChangeKind.HOST_NEW
            yield PlannedChange(kind, host.name, host.name, None, differences, obstacle)


def compare(old: HostFacts | GuestFacts, new: HostFacts | GuestFacts) -> tuple[Difference, ...]:
    """Return the facts that differ, in words."""
    before, after = old.in_words(), new.in_words()
    return tuple(
        Difference(name, before.get(name, ""), after.get(name, ""))
        for name in {**before, **after}
        if before.get(name, "") != after.get(name, "")
    )


# ----------------------------------------------------------------------------------------------- guests


def changes_of_guests(found: Survey, known: Known) -> Iterator[PlannedChange]:
    """Yield a change for each guest that appeared, went, moved or is not as it is recorded."""
    seen = {
        uuid: {host: guest for host, guest in places.items() if not guest.prepared_only}
        for uuid, places in sightings(found).items()
    }
    everybody = all(name in found and found[name].value is not None for name in known.hosts)
    changes = []
    for uuid in sorted({*seen, *known.servers}, key=str):
        server, places = known.servers.get(uuid), dict(seen.get(uuid, {}))
        if server is not None and server.host is not None and server.host.name in places:
            places.pop(known.old_copies.get(uuid, ""), None)
        if server is not None:
            change = change_of_server(server, places, found, known, everybody=everybody)
        else:
            change = change_of_stranger(places, found, known.deleted)
        if change is not None:
            changes.append(change)
    yield from sorted(changes, key=lambda c: (c.host, c.name))


def change_of_stranger(
    places: dict[str, FoundGuest], found: Survey, deleted: frozenset[UUID]
) -> PlannedChange | None:
    """Return the adoption of a guest that no server stands for."""
    if not places:
        return None
    host, guest = min(places.items())
    if len(places) > 1:
        return seen_twice(guest.uuid, guest.name, host, places)
    differences = compare(GuestFacts(), facts_found(guest, host, found))
    obstacle = (DELETED if guest.uuid in deleted else "") or unread(guest)
    return PlannedChange(ChangeKind.GUEST_NEW, host, guest.name, guest.uuid, differences, obstacle)


def facts_found(guest: FoundGuest, host: str, found: Survey) -> GuestFacts:
    """Return a guest as the survey has it on this host."""
    report = found[host].value
    if report is None:
        raise LookupError(f"host {host} has said nothing")
    return found_guest(guest, host, report.info)


def seen_twice(uuid: UUID, name: str, host: str, places: Iterable[str]) -> PlannedChange:
    obstacle = TWICE.format(hosts=" and ".join(sorted(places)))
    return PlannedChange(ChangeKind.GUEST_TWICE, host, name, uuid, (), obstacle)


def change_of_server(
    server: Server, places: dict[str, FoundGuest], found: Survey, known: Known, *, everybody: bool
) -> PlannedChange | None:
    """Return what would change in a server's record, or None."""
    recorded = server.host.name if server.host else ""
    busy = BUSY if server.pk in known.busy else ""
    if len(places) > 1:
        return None if busy else seen_twice(server.pk, server.name, recorded or min(places), places)
    if not places:
        return gone(server, recorded, found, busy or ("" if everybody else NOT_ALL))
    ((host, guest),) = places.items()
    differences = () if guest.unread else compare(known_guest(server), facts_found(guest, host, found))
    kind = ChangeKind.GUEST_CHANGED
    obstacle = busy
    if host != recorded:
        kind = ChangeKind.GUEST_MOVED
        differences = (Difference("host", recorded, host), *differences)
        silent = bool(recorded) and (recorded not in found or found[recorded].value is None)
        obstacle = busy or (NOT_SURE.format(host=recorded) if silent else "")
        obstacle = obstacle or (WAITS if server.pk in known.old_copies else "")
    elif is_missed(server):
        kind = ChangeKind.GUEST_BACK
        differences = (Difference("guest", "missing", "found"), *differences)
    obstacle = obstacle or unread(guest)
    return PlannedChange(kind, host, server.name, server.pk, differences, obstacle) if differences else None


def unread(guest: FoundGuest) -> str:
    """Return why a guest cannot be recorded as it was found, or an empty string."""
    return UNREAD.format(reason=guest.unread) if guest.unread else ""


def gone(server: Server, recorded: str, found: Survey, obstacle: str) -> PlannedChange | None:
    """Return that the guest is nowhere, unless nobody expects it, its host is silent, or it is known to be gone."""
    answered = recorded in found and found[recorded].value is not None
    if not answered or is_missed(server):
        return None
    differences = (Difference("vm_state", server.vm_state, VmState.ERROR.value),)
    return PlannedChange(ChangeKind.GUEST_GONE, recorded, server.name, server.pk, differences, obstacle)


def is_missed(server: Server) -> bool:
    """Return whether the record says already that the guest is gone."""
    return server.vm_state == VmState.ERROR and server.fault_code == GuestNotFound.code
