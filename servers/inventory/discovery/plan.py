"""A plan of discovery: the changes of records, with the survey and the revisions behind them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any
from uuid import UUID

from servers.drivers.base import FoundGuest, HostRef
from servers.fleet.polling import HostReport, Survey, sightings
from servers.inventory.discovery.facts import GuestFacts, found_guest

DIGITS = 32
"""Length of a digest in hexadecimal digits: 128 bits are enough to tell any two changes apart."""


class ChangeKind(StrEnum):
    """What has happened to a host or a guest."""

    HOST_NEW = "host_new"
    HOST_CHANGED = "host_changed"
    HOST_SILENT = "host_silent"
    GUEST_NEW = "guest_new"
    GUEST_CHANGED = "guest_changed"
    GUEST_MOVED = "guest_moved"
    GUEST_MOVING = "guest_moving"
    GUEST_GONE = "guest_gone"
    GUEST_BACK = "guest_back"
    GUEST_TWICE = "guest_twice"
    GUEST_ODD = "guest_odd"


@dataclass(frozen=True)
class Difference:
    """One fact that differs, with its recorded and its found value in words."""

    name: str
    old: str
    new: str


@dataclass(frozen=True)
class PlannedChange:
    """A change of the record of one guest, or of one host (`uuid` is None).

    A change with an `obstacle` is reported, and not written.
    """

    kind: ChangeKind
    host: str
    name: str
    uuid: UUID | None = None
    differences: tuple[Difference, ...] = ()
    obstacle: str = ""

    @property
    def digest(self) -> str:
        """Return DIGITS hexadecimal digits that are the same for equal changes."""
        return hashlib.sha256(json.dumps(self.as_data(), sort_keys=True).encode()).hexdigest()[:DIGITS]

    @property
    def words(self) -> str:
        """Return the kind of the change, the host and the guest's name in a few words."""
        return " ".join((self.kind.replace("_", " "), self.host, self.name if self.uuid else "")).strip()

    def as_data(self) -> dict[str, Any]:
        """Return the change as JSON data."""
        return {**asdict(self), "uuid": str(self.uuid) if self.uuid else None}


@dataclass(frozen=True)
class Seen:
    """The answers of those hosts on which guests are looked for."""

    found: Survey

    @cached_property
    def places(self) -> dict[UUID, dict[str, FoundGuest]]:
        """Return each guest by UUID, then by host name. A destination that was only prepared has none."""
        return {
            uuid: {host: guest for host, guest in hosts.items() if not guest.prepared_only}
            for uuid, hosts in sightings(self.found).items()
        }

    def has_answered(self, host: str) -> bool:
        """Return whether the host was asked and has answered."""
        return host in self.found and self.found[host].value is not None

    def is_whole(self, hosts: Iterable[str]) -> bool:
        """Return whether each of these hosts has answered."""
        return all(self.has_answered(host) for host in hosts)

    def report(self, host: str) -> HostReport:
        """Return the report of a host. Raises LookupError when the host was silent."""
        report = self.found[host].value
        if report is None:
            raise LookupError(f"host {host} has said nothing")
        return report

    def facts(self, guest: FoundGuest, host: str) -> GuestFacts:
        """Return a guest as this host described it."""
        return found_guest(guest, host, self.report(host).info)


@dataclass(frozen=True)
class Plan:
    """The changes of one discovery, with what they were made from."""

    changes: tuple[PlannedChange, ...]
    hosts: tuple[HostRef, ...]
    found: Survey = field(repr=False)
    seen: Seen = field(repr=False)
    """The survey without the hosts that are silent, or have the hostname of another host."""
    revisions: Mapping[UUID, int] = field(repr=False)
    """The revision of each server's record with which the survey was compared."""
    only: frozenset[str] = frozenset()
    """The names of the hosts whose changes are in the plan; empty means all."""

    @property
    def to_write(self) -> list[PlannedChange]:
        """Return the changes that have no obstacle."""
        return [change for change in self.changes if not change.obstacle]

    def narrowed(self, digests: Collection[str]) -> Plan:
        """Return the plan with only those of its writable changes whose digest is in `digests`.

        Changes with an obstacle stay.
        """
        kept = (change for change in self.changes if change.obstacle or change.digest in digests)
        return replace(self, changes=tuple(kept))

    def told(self, left: Iterable[PlannedChange]) -> list[dict[str, Any]]:
        """Return the changes as JSON data; those in `left` with the obstacle that they have there."""
        reasons = {(change.kind, change.host, change.uuid): change for change in left}
        told = (reasons.get((change.kind, change.host, change.uuid), change) for change in self.changes)
        return [change.as_data() for change in told]
