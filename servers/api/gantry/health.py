"""`/gantry/v1/health`: what each check of the deployment's health has found."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from servers.api.compute.validation import Query
from servers.api.gantry.door import GantryView
from servers.api.resources import FLAG, OBJECT, TEXT, Bodies, Field, Resource
from servers.monitoring.health import RULE, Finding, Health, current

Named = tuple[str, Finding]


def named(health: Health) -> list[Named]:
    """Return each finding behind the name of its check."""
    return list(health.findings.items())


def figures(check: Named) -> dict[str, Any]:
    """Return the figures of a finding."""
    return dict(check[1].figures)


CHECK = Resource(
    "HealthCheck",
    (
        Field("name", TEXT, lambda check: check[0]),
        Field("well", FLAG, lambda check: not check[1].reason),
        Field("reason", TEXT, lambda check: check[1].reason),
        Field("figures", OBJECT, figures),
    ),
)
HEALTH = Resource("Health", (Field("ready", FLAG, "is_ready"), Field("checks", CHECK, named, many=True)))


class HealthShow(GantryView):
    """`GET /gantry/v1/health`."""

    is_of_this_process = True
    query = Query(strict="2.1")

    def get(self, request: Request) -> HttpResponse:
        self.require(RULE)
        return self.answer({"health": Bodies(HEALTH, self)(current())})
