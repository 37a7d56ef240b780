"""`/gantry/v1/deployment`: what every machine has to agree about, which processes there are, and where they differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from servers.api.compute.links import microseconds
from servers.api.compute.validation import Query
from servers.api.gantry.bodies import keys
from servers.api.gantry.door import GantryView
from servers.api.resources import FLAG, TEXT, TIME, Bodies, Field, Resource, fields
from servers.deployment.members import RULE, KnownFact, Participant, known_facts, members


def moment(name: str) -> Any:
    """Return what reads a time."""
    return lambda thing: microseconds(getattr(thing, name))


FACT = Resource(
    "DeploymentFact", (*fields("name title set_by", TEXT), Field("set_at", TIME, moment("set_at")))
)
DIFFERENCE = Resource("DeploymentDifference", keys("fact title reason remedy spoils", TEXT))
MEMBER = Resource(
    "DeploymentMember",
    (
        *fields("name role machine state", TEXT),
        Field("alive", FLAG, "is_alive"),
        Field("started_at", TIME, moment("started_at")),
        Field("seen_at", TIME, moment("seen_at")),
        Field("differences", DIFFERENCE, "differences", many=True),
    ),
)


DEPLOYMENT = Resource(
    "Deployment", (Field("facts", FACT, "facts", many=True), Field("members", MEMBER, "members", many=True))
)


@dataclass(frozen=True)
class Deployment:
    """What the address shows."""

    facts: list[KnownFact]
    members: list[Participant]


class DeploymentShow(GantryView):
    """`GET /gantry/v1/deployment`."""

    is_of_this_process = True
    query = Query(strict="2.1")

    def get(self, request: Request) -> HttpResponse:
        self.require(RULE)
        found = Deployment(known_facts(), members())
        return self.answer({"deployment": Bodies(DEPLOYMENT, self)(found)})
