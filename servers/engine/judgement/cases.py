"""The evidence about an action that waits for a judgement: records, journal, and the hosts' answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from servers import clock
from servers.drivers.base import FoundGuest, JobKind
from servers.engine.accepting.identifiers import uuid_of
from servers.engine.visibility import visible
from servers.errors import ActionNotFound, Invalid
from servers.fleet.drivers import ref
from servers.fleet.guest_sightings import in_words
from servers.fleet.polling import Answer, ask_all, runs_on
from servers.models import ActionEvent, ActionRecord, Allocation, Host, Image, Migration, Server
from servers.policy import Context
from servers.states import ActionStatus, PowerState

LIST_RULE = "gantry:actions:list"
LOOK_S = 2.0
"""Seconds that hosts have to answer when the evidence is only shown."""


def waiting() -> QuerySet[ActionRecord]:
    """Return the actions that wait for an operator's judgement, the longest waiting first."""
    return _unknown().exclude(stalled_at=None).order_by("stalled_at", "pk")


def still_tried() -> QuerySet[ActionRecord]:
    """Return the actions of unknown outcome that a worker will try again by itself, the next due first."""
    return _unknown().filter(stalled_at=None).order_by("due_at", "pk")


def _unknown() -> QuerySet[ActionRecord]:
    return ActionRecord.objects.filter(status=ActionStatus.UNKNOWN).select_related("server", "server__host")


def visible_actions(rows: QuerySet[ActionRecord], context: Context) -> QuerySet[ActionRecord]:
    """Return those of `rows` whose servers the caller may see."""
    return visible(rows, context, "server__project_id")


def find_action(text: str, context: Context) -> ActionRecord:
    """Return the action with this UUID or request id, if the caller may see its server.

    Raises ActionNotFound, and Invalid when several actions have the request id.
    """
    rows = visible_actions(ActionRecord.objects.select_related("server", "server__host"), context)
    try:
        wanted = Q(pk=uuid_of(text))
    except ValueError:
        wanted = Q(request_id=text)
    found = [] if "\0" in text else list(rows.filter(wanted)[:2])
    if not found:
        raise ActionNotFound(action=text)
    if len(found) > 1:
        raise Invalid(f"Request {text} has several actions. Say which one by its UUID.")
    return found[0]


def hosts_that_matter(action: ActionRecord) -> set[str]:
    """Return the names of the hosts on which the action's guest may be, by the records."""
    server, move = action.server, action.migration
    names = {action.source_host, server.host.name if server.host else "", action.memo.get("host") or ""}
    if move is not None:
        names |= {move.source_compute, move.dest_compute}
    return names - {""}


@dataclass(frozen=True)
class HostSeen:
    """A host, and its answer about the guest."""

    name: str
    matters: bool
    """Whether the guest may be there, by the records."""
    is_up: bool
    forced_down: bool
    answer: Answer[FoundGuest | None]

    @property
    def guest(self) -> FoundGuest | None:
        """Return the guest that is there, or None; a destination that was only prepared does not count."""
        found = self.answer.value
        return None if found is None or found.prepared_only else found

    @property
    def is_silent(self) -> bool:
        """Return whether the host did not answer."""
        return bool(self.answer.fault)

    @property
    def is_worth_a_line(self) -> bool:
        """Return whether the operator has to see this answer."""
        return self.matters or self.is_silent or self.answer.value is not None

    @property
    def words(self) -> str:
        """Return the answer in a few words."""
        return in_words(self.answer)

    def as_data(self) -> dict[str, Any]:
        """Return the host and its answer as JSON data."""
        facts = {"up": self.is_up, "forced_down": self.forced_down, "silent": self.is_silent}
        return {"host": self.name, "matters": self.matters, "says": self.words, **facts}


@dataclass(frozen=True)
class Case:
    """The evidence about one action: its rows, its journal, and the answers of all hosts."""

    action: ActionRecord
    server: Server
    migration: Migration | None
    image: Image | None
    allocations: tuple[Allocation, ...]
    open_events: tuple[ActionEvent, ...]
    asked_at: datetime
    hosts: tuple[HostSeen, ...]

    def host(self, name: str) -> HostSeen | None:
        """Return the host of this name, or None."""
        return next((host for host in self.hosts if host.name == name), None)

    @property
    def runs_on(self) -> list[str]:
        """Return the hosts on which the guest has a process; in a live migration only where it runs."""
        return runs_on({host.name: host.guest for host in self.hosts if host.guest is not None})

    @property
    def is_moving(self) -> list[str]:
        """Return the names of the hosts from which a live migration of the guest runs."""
        jobs = [(host.name, host.guest.job) for host in self.hosts if host.guest is not None]
        return [name for name, job in jobs if job is JobKind.LIVE_MIGRATION]

    @property
    def silent(self) -> list[str]:
        """Return the names of the hosts that did not answer."""
        return [host.name for host in self.hosts if host.is_silent]

    def unanswered(self, dead: Iterable[str]) -> list[str]:
        """Return the silent hosts that may run the guest, except those forced down and those in `dead`."""
        left = {h.name for h in self.hosts if h.matters and h.is_silent and not h.forced_down}
        return sorted(left - set(dead))

    @property
    def at(self) -> str | None:
        """Return the host where the guest runs, else is defined (the recorded host first), or None."""
        if self.runs_on:
            return self.runs_on[0]
        defined = [host.name for host in self.hosts if host.guest is not None]
        recorded = self.server.host.name if self.server.host else ""
        return min(
            defined, key=lambda name: (name != recorded, name != self.action.source_host), default=None
        )

    @property
    def power_state(self) -> PowerState:
        """Return the guest's power state where it is; NOSTATE when it is seen nowhere."""
        host = self.host(self.at or "")
        return host.guest.power_state if host is not None and host.guest is not None else PowerState.NOSTATE

    @property
    def said(self) -> dict[str, str]:
        """Return the answers that the operator has to see, in words, by host name."""
        return {host.name: host.words for host in self.hosts if host.is_worth_a_line}

    def as_data(self) -> dict[str, Any]:
        """Return the case as JSON data."""
        return {
            "server": self._server(),
            "migration": self._migration(),
            "image": self._image(),
            "allocations": [self._allocation(held) for held in self.allocations],
            "steps": self.action.steps,
            "open_events": [
                {"event": e.name, "host": e.host, "attempt": e.attempt} for e in self.open_events
            ],
            "asked_at": self.asked_at.isoformat(),
            "hosts": [host.as_data() for host in self.hosts if host.is_worth_a_line],
            "seen_at": self.at,
            "runs_on": self.runs_on,
        }

    def _server(self) -> dict[str, Any]:
        row = self.server
        return {
            "id": str(row.pk),
            "name": row.name,
            "vm_state": row.vm_state,
            "task_state": row.task_state or None,
            "power_state": PowerState(row.power_state).word,
            "host": row.host.name if row.host else None,
        }

    def _migration(self) -> dict[str, Any] | None:
        row = self.migration
        if row is None:
            return None
        route = {"source": row.source_compute, "destination": row.dest_compute or None}
        return {"id": row.pk, "type": row.migration_type, "status": row.status, **route}

    def _image(self) -> dict[str, Any] | None:
        row = self.image
        return None if row is None else {"id": str(row.pk), "name": row.name, "status": row.status}

    def _allocation(self, row: Allocation) -> dict[str, Any]:
        sizes = {"vcpus": row.vcpus, "memory_mb": row.memory_mb, "disk_gb": row.disk_gb}
        return {"host": row.host.name, "held_by": "server" if row.server_id else "migration", **sizes}


def evidence_of(action: ActionRecord, limit_s: float = LOOK_S) -> Case:
    """Return the evidence about an action, its rows read again; hosts get `limit_s` seconds to answer.

    All hosts are asked side by side; silence of one is part of the evidence. Changes and locks nothing.
    """
    row = ActionRecord.objects.select_related("server", "server__host", "migration", "image").get(
        pk=action.pk
    )
    matters = hosts_that_matter(row)
    hosts = list(Host.objects.order_by("name"))
    asked_at = clock.now()
    said = ask_all([ref(h) for h in hosts], lambda d: d.find_guest(row.server_id), limit_s, "judgement")
    held = Q(server=row.server) | Q(migration__server=row.server)
    return Case(
        action=row,
        server=row.server,
        migration=row.migration,
        image=row.image,
        allocations=tuple(Allocation.objects.filter(held).select_related("host").order_by("pk")),
        open_events=tuple(ActionEvent.objects.filter(action=row, finished_at=None)),
        asked_at=asked_at,
        hosts=tuple(HostSeen(h.name, h.name in matters, h.is_up, h.forced_down, said[h.name]) for h in hosts),
    )
