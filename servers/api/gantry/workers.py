"""`/gantry/v1/workers`: who carries actions out, since when, and which ones now."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from servers.api.compute.links import microseconds
from servers.api.compute.validation import Query
from servers.api.gantry.door import GantryView
from servers.api.resources import FLAG, NUMBER, TEXT, TIME, UUID, Bodies, Field, Resource
from servers.engine.execution.workers import RULE, AtWork, at_work


def started(thing: Any) -> str | None:
    """Return since when something goes on."""
    return microseconds(thing.started_at)


def seen(worker: AtWork) -> str | None:
    """Return when a supervisor was last heard of."""
    return microseconds(worker.seen_at)


CARRIED_OUT = Resource(
    "ActionCarriedOut",
    (
        Field("id", UUID, lambda action: str(action.pk)),
        Field("slug", TEXT, "slug"),
        Field("server_id", UUID, lambda action: str(action.server_id)),
        Field("server_name", TEXT, "server.name"),
        Field("process", TEXT, "worker"),
        Field("step", TEXT, "step"),
        Field("progress_percent", NUMBER, "progress_percent"),
        Field("started_at", TIME, started),
    ),
)
WORKER = Resource(
    "Worker",
    (
        Field("name", TEXT, "name"),
        Field("machine", TEXT, "machine"),
        Field("alive", FLAG, "is_alive"),
        Field("started_at", TIME, started),
        Field("seen_at", TIME, seen),
        Field("processes", NUMBER, "processes"),
        Field("actions", CARRIED_OUT, "actions", many=True),
    ),
)


class WorkerList(GantryView):
    """`GET /gantry/v1/workers`."""

    is_of_this_process = True
    query = Query(strict="2.1")

    def get(self, request: Request) -> HttpResponse:
        self.require(RULE)
        return self.answer({"workers": list(map(Bodies(WORKER, self), at_work()))})
