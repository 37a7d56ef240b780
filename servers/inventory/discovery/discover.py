"""Comparing what hypervisors have with what is recorded: the result is a plan, and nothing is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from uuid import UUID

from servers.drivers.base import FoundGuest, HostRef, JobKind
from servers.errors import GuestNotFound
from servers.fleet.drivers import ref
from servers.fleet.polling import Answer, HostReport, Survey, survey
from servers.inventory.discovery.facts import GuestFacts, HostFacts, found_host, known_guest, known_host
from servers.inventory.discovery.plan import ChangeKind, Difference, Plan, PlannedChange, Seen
from servers.inventory.discovery.recorded import Known, at_work, read_known
from servers.inventory.second_look import look_again
from servers.isolation import apart, words
from servers.models import Host, Server
from servers.states import VmState

BUSY = "an action is going on"
TWICE = "seen on {hosts}: a person has to decide which one is right"
NOT_SURE = "{host}, where it is recorded, does not answer"
DELETED = "a server with this UUID was deleted"
WAITS = "its move waits to be confirmed or reverted"
NOT_ALL = "not every host has answered"
UNREAD = "it could not be read: {reason}"
SAME_HOST = "{host} says of itself what host {other} says: {hostname}"
ODD = "what its host says of it cannot be used: {error}"

MOVES = frozenset({JobKind.LIVE_MIGRATION, JobKind.DISK_MOVE})
"""Jobs of a guest that is being moved to another host."""


def discover(added: Iterable[HostRef] = (), only: Iterable[str] = (), *, limit_s: float = 30.0) -> Plan:
    """Ask every recorded host and the `added` ones; return what would change on hosts in `only`, or on all.

    Takes at most about twice `limit_s` seconds. Records are read before hosts are asked; a server whose
    record changes meanwhile counts as busy. What is true only if the guest did not move meanwhile (it is
    gone, or on several hosts) is checked by a second survey; a guest for which that says something else
    counts as busy.
    """
    known, wanted = read_known(), frozenset(only)
    recorded = {host.name: ref(host) for host in known.hosts.values()}
    hosts = tuple({**recorded, **{host.name: host for host in added}}.values())
    found = survey(hosts, limit_s)
    known.busy |= at_work(known.revisions)
    plan = make_plan(hosts, found, known, wanted)
    doubted = [change for change in plan.changes if is_doubtful(change)]
    if not doubted:
        return plan
    again = make_plan(hosts, look_again(found, concerned(plan, doubted), limit_s), known, wanted)
    known.busy |= {change.uuid for change in doubted if change.uuid and change not in again.changes}
    known.busy |= at_work(known.revisions)
    return make_plan(hosts, found, known, wanted)


def is_doubtful(change: PlannedChange) -> bool:
    """Return whether a change is true only if the guest did not move while the hosts were asked."""
    gone = change.kind is ChangeKind.GUEST_GONE and not change.obstacle
    return gone or change.kind is ChangeKind.GUEST_TWICE


def concerned(plan: Plan, doubted: Iterable[PlannedChange]) -> list[HostRef]:
    """Return the hosts to ask again: those where the guests were seen, or all when one was seen nowhere."""
    names: set[str] = set()
    for change in doubted:
        names |= plan.seen.places.get(change.uuid, {}).keys() if change.uuid else set()
        if change.kind is ChangeKind.GUEST_GONE:
            return list(plan.hosts)
    return [host for host in plan.hosts if host.name in names]


def make_plan(hosts: tuple[HostRef, ...], found: Survey, known: Known, only: frozenset[str]) -> Plan:
    """Return the plan that follows from the survey `found` and the records `known`; nothing is asked."""
    host_changes = list(changes_of_hosts(hosts, found, known))
    refused = {change.host for change in host_changes if change.obstacle}
    seen = Seen({name: answer for name, answer in found.items() if name not in refused})
    changes = [*host_changes, *changes_of_guests(seen, known)]
    wanted = tuple(change for change in changes if not only or change.host in only)
    return Plan(wanted, hosts, found, seen, known.revisions, only)


# ------------------------------------------------------------------------------------------------ hosts


def changes_of_hosts(hosts: Iterable[HostRef], found: Survey, known: Known) -> Iterator[PlannedChange]:
    """Yield a change for each host that is new, differs from its record, or does not answer; by name."""
    named = {host.hypervisor_hostname: host.name for host in known.hosts.values()}
    for host in sorted(hosts, key=lambda h: h.name):
        change = change_of_host(host, found[host.name], known.hosts.get(host.name), named)
        if change is not None:
            yield change


def change_of_host(
    host: HostRef, answer: Answer[HostReport], row: Host | None, named: dict[str, str]
) -> PlannedChange | None:
    """Return the change of one host, or None when it is as it is recorded; `row` is None for a new host.

    `named` is the name of the recorded host by hypervisor hostname; the host is added to it. A host that has
    the hostname of another one gets an obstacle.
    """
    if answer.value is None:
        return PlannedChange(ChangeKind.HOST_SILENT, host.name, host.name, obstacle=answer.fault)
    facts = found_host(host, answer.value)
    holder = named.setdefault(facts.hostname, host.name)
    same = SAME_HOST.format(host=host.name, other=holder, hostname=facts.hostname)
    differences = compare(known_host(row) if row else HostFacts(), facts)
    kind = ChangeKind.HOST_CHANGED if row else ChangeKind.HOST_NEW
    obstacle = "" if holder == host.name else same
    return PlannedChange(kind, host.name, host.name, None, differences, obstacle) if differences else None


def compare(old: HostFacts | GuestFacts, new: HostFacts | GuestFacts) -> tuple[Difference, ...]:
    """Return the facts that differ, each with the old and the new value in words; a missing one is empty."""
    before, after = old.in_words(), new.in_words()
    return tuple(
        Difference(name, before.get(name, ""), after.get(name, ""))
        for name in {**before, **after}
        if before.get(name, "") != after.get(name, "")
    )


# ----------------------------------------------------------------------------------------------- guests


def changes_of_guests(seen: Seen, known: Known) -> Iterator[PlannedChange]:
    """Yield a change for each guest that is new, gone, elsewhere or different; by host and name."""
    everybody = seen.is_whole(known.hosts)
    uuids = sorted({*seen.places, *known.servers}, key=str)
    changes = (change_of_guest(uuid, seen, known, everybody=everybody) for uuid in uuids)
    yield from sorted((c for c in changes if c is not None), key=lambda c: (c.host, str(c.name)))


def change_of_guest(uuid: UUID, seen: Seen, known: Known, *, everybody: bool) -> PlannedChange | None:
    """Return the change of one guest, or None when it is as it is recorded.

    `everybody` says whether every recorded host has answered. The old copy that a cold migration keeps until
    it is confirmed is left out. An error is logged and returned as a change of kind GUEST_ODD, so that it
    stops no other guest.
    """
    server, places = known.servers.get(uuid), dict(seen.places.get(uuid, {}))
    if server is not None and server.host is not None and server.host.name in places:
        places.pop(known.old_copies.get(uuid, ""), None)

    def change() -> PlannedChange | None:
        if server is None:
            return change_of_stranger(places, seen, known)
        return change_of_server(server, places, seen, known, everybody=everybody)

    found = apart(change, "discovery.odd_guest", guest=str(uuid))
    return odd(uuid, server, places, found) if isinstance(found, Exception) else found


def odd(uuid: UUID, server: Server | None, places: dict[str, FoundGuest], error: Exception) -> PlannedChange:
    """Return the change for a guest whose description cannot be used; `error` is its obstacle."""
    host = min(places, default="")
    name = server.name if server else next((str(guest.name) for guest in places.values()), "")
    return PlannedChange(ChangeKind.GUEST_ODD, host, name, uuid, (), ODD.format(error=words(error)))


def change_of_stranger(places: dict[str, FoundGuest], seen: Seen, known: Known) -> PlannedChange | None:
    """Return the change that adopts a guest without a server, or None when no host has it."""
    if not places:
        return None
    host, guest = min(places.items())
    busy = what_goes_on(guest.uuid, places, known)
    if len(places) > 1:
        return on_many(guest.uuid, guest.name, host, places, busy)
    differences = compare(GuestFacts(), seen.facts(guest, host))
    obstacle = DELETED if guest.uuid in known.deleted else busy or unread(guest)
    return PlannedChange(ChangeKind.GUEST_NEW, host, guest.name, guest.uuid, differences, obstacle)


def what_goes_on(uuid: UUID, places: Mapping[str, FoundGuest], known: Known) -> str:
    """Return BUSY when the guest has an open action or a job that moves it; otherwise an empty string."""
    moves = any(guest.job in MOVES for guest in places.values())
    return BUSY if moves or uuid in known.busy else ""


def on_many(uuid: UUID, name: str, host: str, places: Iterable[str], busy: str) -> PlannedChange:
    """Return the change for a guest on several hosts: GUEST_MOVING while it is busy, else GUEST_TWICE."""
    if busy:
        return PlannedChange(ChangeKind.GUEST_MOVING, host, name, uuid, (), busy)
    obstacle = TWICE.format(hosts=" and ".join(sorted(places)))
    return PlannedChange(ChangeKind.GUEST_TWICE, host, name, uuid, (), obstacle)


def change_of_server(
    server: Server, places: dict[str, FoundGuest], seen: Seen, known: Known, *, everybody: bool
) -> PlannedChange | None:
    """Return the change of a server's record, or None when its guest is as it is recorded."""
    recorded = server.host.name if server.host else ""
    busy = what_goes_on(server.pk, places, known)
    if len(places) > 1:
        return on_many(server.pk, server.name, recorded or min(places), places, busy)
    if not places:
        return gone(server, recorded, seen, busy or ("" if everybody else NOT_ALL))
    ((host, guest),) = places.items()
    differences = () if guest.unread else compare(known_guest(server), seen.facts(guest, host))
    kind, obstacle = ChangeKind.GUEST_CHANGED, busy
    if host != recorded:
        kind = ChangeKind.GUEST_MOVED
        differences = (Difference("host", recorded, host), *differences)
        silent = bool(recorded) and not seen.has_answered(recorded)
        obstacle = busy or (NOT_SURE.format(host=recorded) if silent else "")
        obstacle = obstacle or (WAITS if server.pk in known.old_copies else "")
    elif is_missed(server):
        kind = ChangeKind.GUEST_BACK
        differences = (Difference("guest", "missing", "found"), *differences)
    obstacle = obstacle or unread(guest)
    return PlannedChange(kind, host, server.name, server.pk, differences, obstacle) if differences else None


def unread(guest: FoundGuest) -> str:
    """Return why the guest's definition could not be read, as an obstacle; otherwise an empty string."""
    return UNREAD.format(reason=guest.unread) if guest.unread else ""


def gone(server: Server, recorded: str, seen: Seen, obstacle: str) -> PlannedChange | None:
    """Return the change for a server whose guest no host has.

    None when the server is recorded on no host or on a silent one, or when its record says already that the
    guest is missing.
    """
    if not seen.has_answered(recorded) or is_missed(server):
        return None
    differences = (Difference("vm_state", server.vm_state, VmState.ERROR.value),)
    return PlannedChange(ChangeKind.GUEST_GONE, recorded, server.name, server.pk, differences, obstacle)


def is_missed(server: Server) -> bool:
    """Return whether the record says already that the guest is missing: vm_state error, GuestNotFound."""
    return server.vm_state == VmState.ERROR and server.fault_code == GuestNotFound.code
