"""Writing a plan of discovery in short transactions, as far as records still are as they were planned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Model

from servers.drivers.base import HostRef
from servers.engine.records.batches import in_batches
from servers.errors import Missing
from servers.inventory.discovery.apply_hosts import write_host, write_pools
from servers.inventory.discovery.apply_servers import Owner, write_changed, write_gone, write_new
from servers.inventory.discovery.discover import change_of_guest, change_of_host
from servers.inventory.discovery.facts import HostFacts, found_host
from servers.inventory.discovery.plan import ChangeKind, Plan, PlannedChange
from servers.inventory.discovery.recorded import Known, lock_known
from servers.isolation import apart, words
from servers.models import Host, Project, Server

__all__ = ["Adopted", "Owner", "adopt", "default_owner"]

DEFAULT_PROJECT = "admin"
GUESTS_AT_ONCE = 50
"""How many guests are written in one transaction, which takes about half a second."""

CHANGED = "it has changed meanwhile: look again"
NO_HOST = "its host {host} is not recorded"
NOT_WRITTEN = "it could not be written: {error}"
WITHOUT = "written without {pools}"


@dataclass(frozen=True)
class Adopted:
    """The outcome of a plan, each change in one of two groups.

    `left` are changes that were not written, and hosts that were written without some of their pools; the
    `obstacle` of each says why.
    """

    written: tuple[PlannedChange, ...]
    left: tuple[PlannedChange, ...]


def adopt(plan: Plan, owner: Owner) -> Adopted:
    """Write the changes of the plan that have no obstacle; return which were written, and which were not.

    Hosts come first, each with its pools, then guests, GUESTS_AT_ONCE in a transaction. No host is asked:
    each change is made again, from the plan's survey and from the records under lock, and written only if it
    is still the same. When the process dies, complete transactions stay written, and the next plan has the
    rest. Raises the error when the database is unavailable.
    """
    hosts = [change for change in plan.to_write if change.uuid is None]
    guests = [change for change in plan.to_write if change.uuid is not None]
    done = [adopt_host(plan, change) for change in hosts]  # first, because servers refer to their host
    for batch in in_batches(guests, GUESTS_AT_ONCE):
        done += adopt_guests(plan, batch, owner)
    written = tuple(change for change in done if not change.obstacle)
    return Adopted(written, tuple(change for change in done if change.obstacle))


def default_owner(project: Project | None, user_id: str) -> Owner:
    """Return the owner of adopted servers: in `project`, or in the enabled project "admin".

    Raises Missing when there is none.
    """
    chosen = project or Project.objects.filter(name=DEFAULT_PROJECT, enabled=True).first()
    if chosen is None:
        raise Missing("Say to which project adopted servers are to belong.")
    return Owner(chosen.pk, user_id)


def not_written(change: PlannedChange, error: Exception, rows: type[Model], **key: object) -> PlannedChange:
    """Return the change with an obstacle: the reason why `error` prevented its writing.

    `rows` and `key` name the row that another transaction may have inserted first.
    """
    raced = isinstance(error, IntegrityError) and rows._default_manager.filter(**key).exists()
    return replace(change, obstacle=CHANGED if raced else NOT_WRITTEN.format(error=words(error)))


# ------------------------------------------------------------------------------------------------ hosts


def adopt_host(plan: Plan, change: PlannedChange) -> PlannedChange:
    """Write a host, then its pools, if it still is as it was planned.

    Return the change, with an obstacle when the host, or some of its pools, could not be written.
    """
    target = next(host for host in plan.hosts if host.name == change.host)
    facts = found_host(target, plan.seen.report(change.host))
    host = apart(lambda: write_as_planned(plan, change, target, facts), "adoption.odd_host", host=change.host)
    if isinstance(host, Exception):
        return not_written(change, host, Host, name=change.host)
    if isinstance(host, str):
        return replace(change, obstacle=host)
    odd = write_pools(host, facts.pools)
    return replace(change, obstacle=WITHOUT.format(pools=", ".join(odd))) if odd else change


@transaction.atomic
def write_as_planned(plan: Plan, change: PlannedChange, target: HostRef, facts: HostFacts) -> Host | str:
    """Write a host and return its row, or return the reason why it is not written.

    One transaction, with the host's row locked.
    """
    row = Host.objects.select_for_update().filter(name=change.host).first()
    namesakes = Host.objects.filter(hypervisor_hostname=facts.hostname)
    named = dict(namesakes.values_list("hypervisor_hostname", "name"))
    now = change_of_host(target, plan.found[change.host], row, named)
    if now != change:
        return (now.obstacle if now else "") or CHANGED
    return write_host(target, facts)


# ----------------------------------------------------------------------------------------------- guests


@transaction.atomic
def adopt_guests(plan: Plan, batch: Sequence[PlannedChange], owner: Owner) -> list[PlannedChange]:
    """Write a batch of guests in one transaction, with the rows of their servers locked.

    Return each change, with an obstacle when it was not written.
    """
    known = lock_known([change.uuid for change in batch if change.uuid])
    everybody = plan.seen.is_whole(known.hosts)
    return [adopt_guest(plan, change, known, owner, everybody=everybody) for change in batch]


def adopt_guest(
    plan: Plan, change: PlannedChange, known: Known, owner: Owner, *, everybody: bool
) -> PlannedChange:
    """Write one guest if it still is as it was planned, in a savepoint: an error of one stops no other.

    Return the change, with an obstacle when it was not written. `everybody` says whether every recorded host
    has answered.
    """
    reason = differs_now(plan, change, known, everybody=everybody)
    if reason:
        return replace(change, obstacle=reason)
    done = apart(
        lambda: write_guest(plan, change, known, owner), "adoption.odd_guest", guest=str(change.uuid)
    )
    new = change.uuid not in known.servers
    if isinstance(done, Exception):
        return not_written(change, done, Server, pk=change.uuid if new else None)
    return change


def differs_now(plan: Plan, change: PlannedChange, known: Known, *, everybody: bool) -> str:
    """Return why a change is not the same any more as when the plan was made, or an empty string.

    The change is made again from the plan's survey and the locked records; the server's revision has to be
    the same.
    """
    uuid = uuid_of(change)
    if change.host not in known.hosts:
        return NO_HOST.format(host=change.host)
    now = change_of_guest(uuid, plan.seen, known, everybody=everybody)
    if now is not None and now.obstacle:
        return now.obstacle
    as_planned = now == change and known.revisions.get(uuid) == plan.revisions.get(uuid)
    return "" if as_planned else CHANGED


def uuid_of(change: PlannedChange) -> UUID:
    """Return the UUID of the guest that a change is about. Raises LookupError for a change of a host."""
    if change.uuid is None:
        raise LookupError(f"{change.kind} of {change.host} is about no guest")
    return change.uuid


@transaction.atomic
def write_guest(plan: Plan, change: PlannedChange, known: Known, owner: Owner) -> None:
    """Write the change of one guest to its server, in a savepoint."""
    server, host = known.servers.get(uuid_of(change)), known.hosts[change.host]
    if server is not None and change.kind is ChangeKind.GUEST_GONE:
        write_gone(server, host)
        return
    guest = plan.seen.places[uuid_of(change)][change.host]
    facts = plan.seen.facts(guest, change.host)
    if server is None:
        write_new(guest, facts, host, owner)
    else:
        write_changed(server, guest, facts, host, back=change.kind is ChangeKind.GUEST_BACK)
