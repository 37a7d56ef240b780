"""Where a guest was seen, at the last reconcile and at this moment: asked briefly, because a person waits for it."""

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
    """What is known of a guest's whereabouts."""

    server: UUID
    asked_at: datetime
    seen: Mapping[str, Answer[FoundGuest | None]]
    """By host; a guest that is not there is None, a host that is silent has a fault."""
    divergences: tuple[Divergence, ...]
    down: frozenset[str]
    """Hosts of which a person has said that they are dead."""

    @property
    def runs_on(self) -> list[str]:
        """Return where the guest runs. What the last pass saw on a host counts while that host is silent."""
        now = runs_on({host: answer.value for host, answer in self.seen.items() if answer.value is not None})
        silent = {host for host, answer in self.seen.items() if answer.fault} - self.down
        twice = [d for d in self.divergences if d.kind == DifferenceKind.GUEST_TWICE]
        return sorted({*now, *(host for d in twice for host in d.hosts if host in silent)})

    @property
    def refusal(self) -> GuestSeenTwice | None:
        """Return the refusal of whatever would hide that the guest runs twice, or None."""
        hosts = self.runs_on
        return GuestSeenTwice(server=self.server, hosts=" and ".join(hosts)) if len(hosts) > 1 else None

    def as_data(self) -> dict[str, Any]:
        """Return the evidence in the form in which it is kept with an action."""
        return {
            "asked_at": self.asked_at.isoformat(),
            "hosts": {host: in_words(answer) for host, answer in sorted(self.seen.items())},
            "last_reconcile": [
                {"what": d.what, "proposal": d.proposal, "since": d.first_seen_at.isoformat()}
                for d in self.divergences
            ],
        }


def in_words(answer: Answer[FoundGuest | None]) -> str:
    """Return what a host said of the guest."""
    if answer.fault:
        return f"silent: {answer.fault}"
    if answer.value is None:
        return "not defined"
    if answer.value.prepared_only:
        return "prepared for it"
    job = f", {answer.value.job.replace('_', ' ')} runs" if answer.value.job else ""
    return f"{answer.value.power_state.word}{job}"


def collect_sightings(server: Server, limit_s: float = LIMIT_S) -> GuestSightings:
    """Return the evidence, at the latest after `limit_s`; a host that does not answer is part of it."""
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
