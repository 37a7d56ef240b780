"""The addresses that are Gantry's own: what each accepts and answers."""

from __future__ import annotations

from django.views import View

from servers.api.compute.links import LINK
from servers.api.gantry import actions
from servers.api.resources import (
    FLAG,
    NUMBER,
    OBJECT,
    TEXT,
    TEXT_OR_NULL,
    TIME,
    TIME_OR_NULL,
    UUID,
    Field,
    Resource,
    Schema,
    fields,
    list_of,
    one_of,
)
from servers.api.schema.operation import Operation, Reply, shows, wrapped
from servers.engine.judgement.judge import VERDICTS
from servers.states import ActionStatus

MOMENT: Schema = {"type": "string", "format": "date-time"}
JUDGE: Schema = {
    "type": "object",
    "properties": {"id": TEXT, "name": TEXT},
    "required": ["id", "name"],
    "additionalProperties": False,
}
JUDGEMENT = Resource(
    "Judgement",
    (
        Field("at", MOMENT),
        Field("by", JUDGE),
        Field("door", TEXT),
        Field("verdict", one_of(*VERDICTS)),
        Field("reason", TEXT),
        Field("dead_hosts", list_of(TEXT)),
        Field("seen", {"type": "object", "additionalProperties": TEXT}, optional=True),
    ),
)
HOST_SEEN = Resource("HostSeen", (*fields("host says", TEXT), *fields("matters up forced_down silent", FLAG)))
OBJECT_OR_NULL: Schema = {"type": ["object", "null"]}
EVIDENCE = Resource(
    "Evidence",
    (
        Field("server", OBJECT),
        *fields("migration image", OBJECT_OR_NULL),
        *fields("allocations steps open_events", list_of(OBJECT)),
        Field("asked_at", MOMENT),
        Field("hosts", HOST_SEEN, many=True),
        Field("seen_at", TEXT_OR_NULL),
        Field("runs_on", list_of(TEXT)),
    ),
)
BRIEF = (
    Field("id", UUID),
    *fields("request_id action slug server_name user_id project_id", TEXT),
    Field("server_id", UUID),
    Field("status", one_of(*ActionStatus)),
    Field("waiting", FLAG),
    Field("waiting_since", TIME_OR_NULL),
    Field("reason", TEXT_OR_NULL),
    Field("created_at", TIME),
    Field("attempts", NUMBER),
    Field("links", LINK, many=True),
)
UNRESOLVED = Resource("UnresolvedAction", BRIEF)
JUDGED = Resource("JudgedAction", (*BRIEF, Field("judgements", JUDGEMENT, many=True)))
WAYS_OUT: Schema = {
    "type": "object",
    "properties": dict.fromkeys(VERDICTS, TEXT_OR_NULL),
    "required": list(VERDICTS),
    "additionalProperties": False,
}
CASE = Resource(
    "ActionWithEvidence", (*JUDGED.fields, Field("evidence", EVIDENCE), Field("ways_out", WAYS_OUT))
)

OPERATIONS: dict[tuple[type[View], str], Operation] = {
    (actions.ActionList, "get"): Operation(
        "List actions of which it is not known what became",
        (Reply(200, wrapped("actions", UNRESOLVED, many=True)),),
        "With `waiting=true` those that wait for somebody to judge them, with `waiting=false` those that are looked at"
        " again by themselves.",
    ),
    (actions.ActionShow, "get"): shows("Show an action with the evidence and the ways out", "action", CASE),
    (actions.ActionJudgement, "post"): Operation(
        "Judge an action that waits for it",
        (
            Reply(200, wrapped("action", JUDGED), text="It is closed"),
            Reply(202, wrapped("action", JUDGED), text="A worker looks at it again, or takes it back"),
        ),
        "`dead_hosts` are hosts that do not answer, and for which the caller answers: nothing waits for them.",
        body=actions.JUDGEMENT,
        refusals=(409,),
        examples={
            "look again": {"verdict": "look_again", "reason": "the switch is mended"},
            "close": {"verdict": "failed", "reason": "node1 has burnt", "dead_hosts": ["node1"]},
        },
    ),
}
"""By view and method."""

REFUSALS = (400, 401, 403, 404, 413, 415, 503)
"""With which any of these addresses may answer."""
