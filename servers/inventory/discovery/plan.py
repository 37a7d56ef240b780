"""A plan of discovery: what would change in the records, and what was found when it was made."""

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
"""Of a digest: 128 bits tell any two changes apart."""


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

    @property
    def digest(self) -> str:
        """Return what two changes have in common when they say the same."""
        return hashlib.sha256(json.dumps(self.as_data(), sort_keys=True).encode()).hexdigest()[:DIGITS]

    @property
    def words(self) -> str:
        """Return in a few words what has happened to what."""
        return " ".join((self.kind.replace("_", " "), self.host, self.name if self.uuid else "")).strip()

    def as_data(self) -> dict[str, Any]:
        """Return the change in the form of JSON."""
        return {**asdict(self), "uuid": str(self.uuid) if self.uuid else None}


@dataclass(frozen=True)
class Seen:
    """What the hosts that count have said."""

    found: Survey

    @cached_property
    def places(self) -> dict[UUID, dict[str, FoundGuest]]:
        """On which hosts each guest is; one that was only prepared for it has it not."""
        return {
            uuid: {host: guest for host, guest in hosts.items() if not guest.prepared_only}
            for uuid, hosts in sightings(self.found).items()
        }

    def has_answered(self, host: str) -> bool:
        """Return whether the host was asked, and has said something."""
        return host in self.found and self.found[host].value is not None

    def is_whole(self, hosts: Iterable[str]) -> bool:
        """Return whether all of these hosts have answered."""
        return all(self.has_answered(host) for host in hosts)

    def report(self, host: str) -> HostReport:
        """Return what a host has said. Raises LookupError where it was silent."""
        report = self.found[host].value
        if report is None:
            raise LookupError(f"host {host} has said nothing")
        return report

    def facts(self, guest: FoundGuest, host: str) -> GuestFacts:
        """Return a guest as the host told it."""
        return found_guest(guest, host, self.report(host).info)


@dataclass(frozen=True)
class Plan:
    """All that would be written, with what it was made from."""

    changes: tuple[PlannedChange, ...]
    hosts: tuple[HostRef, ...]
    found: Survey = field(repr=False)
    seen: Seen = field(repr=False)
    """As found, without hosts that are not what they are taken for."""
    revisions: Mapping[UUID, int] = field(repr=False)
    """With which records it was compared."""
    only: frozenset[str] = frozenset()

    @property
    def to_write(self) -> list[PlannedChange]:
        return [change for change in self.changes if not change.obstacle]

    def narrowed(self, digests: Collection[str]) -> Plan:
        """Return the plan without what would be written and is not among these."""
        kept = (change for change in self.changes if change.obstacle or change.digest in digests)
        return replace(self, changes=tuple(kept))

    def told(self, left: Iterable[PlannedChange]) -> list[dict[str, Any]]:
        """Return the changes in the form of JSON; those that were left alone with the reason."""
        reasons = {(change.kind, change.host, change.uuid): change for change in left}
        told = (reasons.get((change.kind, change.host, change.uuid), change) for change in self.changes)
        return [change.as_data() for change in told]
