"""Which processes the deployment has, and where they differ: what every way in shows of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from servers import clock
from servers.deployment.comparison import SILENT
from servers.deployment.facts import FACTS
from servers.models import DeploymentFact, Member

RULE = "gantry:deployment:show"
SET_RULE = "gantry:deployment:set"


@dataclass(frozen=True)
class KnownFact:
    """What the deployment has of a fact. The value itself is not shown: it may be long."""

    name: str
    title: str
    set_by: str
    set_at: datetime


@dataclass(frozen=True)
class Participant:
    """A process of the deployment; `differences` are those of `Difference`, as data."""

    name: str
    role: str
    machine: str
    is_alive: bool
    started_at: datetime
    seen_at: datetime
    differences: tuple[dict[str, Any], ...]

    @property
    def what(self) -> str:
        """Return in words what it is."""
        return {"web": "A web server process", "worker": "A supervisor of workers"}[self.role]

    @property
    def state(self) -> str:
        """Return in a word whether it works."""
        if not self.is_alive:
            return "silent"
        return "stays out" if self.differences else "agrees"

    @property
    def differs_in(self) -> str:
        """Return the names of the facts in which it differs."""
        return ", ".join(each["fact"] for each in self.differences)


def members() -> list[Participant]:
    """Return the processes, by machine and role; those that differ first."""
    alive = clock.now() - SILENT
    found = [
        Participant(
            row.name,
            row.role,
            row.machine,
            row.seen_at > alive,
            row.started_at,
            row.seen_at,
            tuple(row.differences),
        )
        for row in Member.objects.all()
    ]
    return sorted(found, key=lambda each: not each.differences)


def differing() -> Counter[str]:
    """Return how many living members differ, by the name of the fact."""
    alive = Member.objects.filter(seen_at__gt=clock.now() - SILENT)
    return Counter(each["fact"] for row in alive.values_list("differences", flat=True) for each in row)


def known_facts() -> list[KnownFact]:
    """Return the facts that the deployment has, in the order of FACTS."""
    rows = {row.name: row for row in DeploymentFact.objects.all()}
    return [
        KnownFact(fact.name, fact.title, rows[fact.name].set_by, rows[fact.name].set_at)
        for fact in FACTS
        if fact.name in rows
    ]


def as_data() -> dict[str, Any]:
    """Return facts and members as data for JSON."""
    return {
        "facts": [vars(fact) for fact in known_facts()],
        "members": [{**vars(each), "state": each.state} for each in members()],
    }
