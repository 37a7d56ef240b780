"""Actions that wait for a person, as Gantry's own addresses show them: a table each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings

from servers.api.compute.links import Link, links, microseconds
from servers.api.resources import (
    FLAG,
    NUMBER,
    OBJECT,
    TEXT,
    TEXT_OR_NULL,
    TEXTS,
    TIME,
    TIME_OR_NULL,
    UUID,
    Field,
    Resource,
    Schema,
    an_object,
    fields,
    fixed,
    list_of,
    one_of,
    or_null,
)
from servers.engine.judgement.cases import Case
from servers.engine.judgement.judge import VERDICTS, ways_out
from servers.engine.visibility import EVENT_DETAILS
from servers.models import ActionRecord
from servers.states import ActionStatus

MOMENT: Schema = {"type": "string", "format": "date-time"}
OBJECT_OR_NULL: Schema = {"type": ["object", "null"]}


def keys(names: str, schema: Schema | Resource, **rest: Any) -> tuple[Field, ...]:
    """Return several fields of one kind, each read by the key of its name: of what is kept or told as JSON data."""
    return tuple(Field(name, schema, by_key(name), **rest) for name in names.split())


def by_key(name: str) -> Callable[[Any], Any]:
    """Return what reads the value under a key."""
    return lambda data: data[name]


# ------------------------------------------------------------------------------------------ actions


def addresses(record: ActionRecord) -> list[Link]:
    """Return where an action, its server and its judgement are."""
    own = f"{settings.PUBLIC_URL}/gantry/v1/actions/{record.pk}"
    server = f"{settings.PUBLIC_URL}/v2.1/servers/{record.server_id}"
    return [Link("self", own), Link("server", server), Link("judgement", f"{own}/judgement")]


UNRESOLVED = Resource(
    "UnresolvedAction",
    (
        Field("id", UUID, lambda record: str(record.pk)),
        *fields("request_id", TEXT),
        Field("action", TEXT, "name"),
        *fields("slug user_id project_id", TEXT),
        Field("server_name", TEXT, "server.name"),
        Field("server_id", UUID, lambda record: str(record.server_id)),
        *fields("status", one_of(*ActionStatus)),
        Field("waiting", FLAG, lambda record: record.stalled_at is not None),
        Field("waiting_since", TIME_OR_NULL, lambda record: microseconds(record.stalled_at)),
        Field("reason", TEXT_OR_NULL, or_null("error_text"), rule=EVENT_DETAILS, otherwise=None),
        Field("created_at", TIME, lambda record: microseconds(record.created_at)),
        Field("attempts", NUMBER, "attempt"),
        links(addresses),
    ),
    project="server.project_id",
)

# --------------------------------------------------------------------------- judgements and evidence

JUDGE = an_object({"id": TEXT, "name": TEXT}, additionalProperties=False)
JUDGEMENT = Resource(
    "Judgement",
    (
        *keys("at", MOMENT),
        *keys("by", JUDGE),
        *keys("door", TEXT),
        *keys("verdict", one_of(*VERDICTS)),
        *keys("reason", TEXT),
        *keys("dead_hosts", list_of(TEXT)),
        *keys("seen", TEXTS, when=lambda judgement: "seen" in judgement),
    ),
)
JUDGED = Resource(
    "JudgedAction",
    (*UNRESOLVED.fields, Field("judgements", JUDGEMENT, "judgements", many=True)),
    project="server.project_id",
)
HOST_SEEN = Resource("HostSeen", (*keys("host says", TEXT), *keys("matters up forced_down silent", FLAG)))
EVIDENCE = Resource(
    "Evidence",
    (
        *keys("server", OBJECT),
        *keys("migration image", OBJECT_OR_NULL),
        *keys("allocations steps open_events", list_of(OBJECT)),
        *keys("asked_at", MOMENT),
        *keys("hosts", HOST_SEEN, many=True),
        *keys("seen_at", TEXT_OR_NULL),
        *keys("runs_on", list_of(TEXT)),
    ),
)
WAYS_OUT = an_object(dict.fromkeys(VERDICTS, TEXT_OR_NULL), additionalProperties=False)


def with_evidence(case: Case | None = None) -> Resource:
    """Return the table of the action that a case is about: to the action come its evidence and its ways out."""
    told = case and case.as_data()
    ways = {verdict: refusal or None for verdict, refusal in ways_out(case).items()} if case else {}
    return Resource(
        "ActionWithEvidence",
        (*JUDGED.fields, Field("evidence", EVIDENCE, fixed(told)), Field("ways_out", WAYS_OUT, fixed(ways))),
        project="server.project_id",
    )
