"""Where a guest was seen, by the last reconcile pass and now; the limit is short, because a person waits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q

from servers import clock
from servers.drivers.base import FoundGuest
from servers.errors import GuestSeenTwice
from servers.fleet.drivers import ref
from servers.fleet.polling import Answer, ask_all, runs_on
from servers.models import Divergence, Host, Migration, Server
from servers.states import MIGRATION_OVER, DifferenceKind

LIMIT_S = 2.0


@dataclass(frozen=True)
class GuestSightings:
    """The evidence of where a guest is, collected before an action is accepted."""

    server: UUID
    asked_at: datetime
    seen: Mapping[str, Answer[FoundGuest | None]]
    """By host name. No value and no fault: the guest is not defined there. A fault: the host is silent."""
    divergences: tuple[Divergence, ...]
    down: frozenset[str]
    """Names of hosts that an operator has forced down."""

    @property
    def runs_on(self) -> list[str]:
        """Return, sorted, the hosts on which the guest has a process.

        A host that is silent now, and not forced down, counts when the last reconcile pass saw the guest run
        there and elsewhere.
        """
        now = runs_on({host: answer.value for host, answer in self.seen.items() if answer.value is not None})
        silent = {host for host, answer in self.seen.items() if answer.fault} - self.down
        twice = [d for d in self.divergences if d.kind == DifferenceKind.GUEST_TWICE]
        return sorted({*now, *(host for d in twice for host in d.hosts if host in silent)})

    @property
    def refusal(self) -> GuestSeenTwice | None:
        """Return GuestSeenTwice when the guest has a process on several hosts, otherwise None."""
        hosts = self.runs_on
        return GuestSeenTwice(server=self.server, hosts=" and ".join(hosts)) if len(hosts) > 1 else None

    def as_data(self) -> dict[str, Any]:
        """Return the evidence as JSON data for the action record: asked_at, hosts, last_reconcile."""
        return {
            "asked_at": self.asked_at.isoformat(),
            "hosts": {host: in_words(answer) for host, answer in sorted(self.seen.items())},
            "last_reconcile": [
                {"what": d.what, "proposal": d.proposal, "since": d.first_seen_at.isoformat()}
                for d in self.divergences
            ],
        }


def in_words(answer: Answer[FoundGuest | None]) -> str:
    """Return in a few words what one host said of the guest."""
    if answer.fault:
        return f"silent: {answer.fault}"
    if answer.value is None:
        return "not defined"
    if answer.value.prepared_only:
        return "prepared for it"
    job = f", {answer.value.job.replace('_', ' ')} runs" if answer.value.job else ""
    return f"{answer.value.power_state.word}{job}"


def collect_sightings(server: Server, limit_s: float = LIMIT_S) -> GuestSightings:
    """Return the evidence after at most `limit_s` seconds; a silent host is part of it, with its fault.

    Asked are the server's own host, the hosts with an allocation of the server or of its migrations, both
    hosts of each migration that is not over, and the hosts of unrepaired divergences.
    """
    divergences = tuple(Divergence.objects.unrepaired().filter(server=server))
    moves = Migration.objects.filter(server=server).exclude(status__in=MIGRATION_OVER)
    names = {host for d in divergences for host in d.hosts}
    for source, destination in moves.values_list("source_compute", "dest_compute"):
        names |= {source, destination}
    charged = Q(allocations__server=server) | Q(allocations__migration__server=server)
    hosts = list(Host.objects.filter(charged | Q(pk=server.host_id) | Q(name__in=names)).distinct())
    asked_at = clock.now()
    seen = ask_all(
        [ref(host) for host in hosts], lambda driver: driver.find_guest(server.pk), limit_s, "sight"
    )
    down = frozenset(host.name for host in hosts if host.forced_down)
    return GuestSightings(server.pk, asked_at, seen, divergences, down)
