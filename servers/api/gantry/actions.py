"""`/gantry/v1/actions`: what is Gantry's own and no part of Nova: actions that wait for a person, and their judgement."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request

from servers.actions.kinds import HostName
from servers.api.compute.links import microseconds
from servers.api.compute.paging import MAX_LIMIT
from servers.api.compute.schemas import schema_of
from servers.api.compute.validation import Query, Term
from servers.api.gantry.door import GantryView
from servers.api.resources import Schema
from servers.engine.judgement.cases import (
    LIST_RULE,
    evidence_of,
    find_action,
    still_tried,
    visible_actions,
    waiting,
)
from servers.engine.judgement.judge import LONGEST_REASON, LOOK_AGAIN, RULE, UNDO, VERDICTS, judge, ways_out
from servers.models import ActionRecord

JUDGEMENT = {
    "type": "object",
    "properties": {
        "verdict": {"type": "string", "enum": list(VERDICTS)},
        "reason": {"type": "string", "minLength": 1, "maxLength": LONGEST_REASON},
        "dead_hosts": {
            "type": "array",
            "items": schema_of(HostName(nullable=False)),
            "maxItems": 100,
            "uniqueItems": True,
        },
    },
    "required": ["verdict", "reason"],
    "additionalProperties": False,
}
FLAG = {"type": "string", "enum": ["true", "false"]}


def address(record: ActionRecord, *more: str) -> str:
    """Return the address of an action here."""
    return "/".join([settings.PUBLIC_URL, "gantry/v1/actions", str(record.pk), *more])


def action_body(record: ActionRecord) -> dict[str, Any]:
    """Return what a list says of an action."""
    server = {"rel": "server", "href": f"{settings.PUBLIC_URL}/v2.1/servers/{record.server_id}"}
    judgement = {"rel": "judgement", "href": address(record, "judgement")}
    return {
        "id": str(record.pk),
        "request_id": record.request_id,
        "action": record.name,
        "slug": record.slug,
        "server_id": str(record.server_id),
        "server_name": record.server.name,
        "status": record.status,
        "waiting": record.stalled_at is not None,
        "waiting_since": microseconds(record.stalled_at),
        "reason": record.error_text or None,
        "user_id": record.user_id,
        "project_id": record.project_id,
        "created_at": microseconds(record.created_at),
        "attempts": record.attempt,
        "links": [{"rel": "self", "href": address(record)}, server, judgement],
    }


class ActionList(GantryView):
    """`GET /gantry/v1/actions`: actions of which it is not known what became."""

    query = Query(terms=(Term("waiting", FLAG),), strict="2.1")

    def get(self, request: Request) -> HttpResponse:
        self.require(LIST_RULE)
        wanted = {"true": [waiting()], "false": [still_tried()]}
        parts = wanted.get(self.value("waiting") or "", [waiting(), still_tried()])
        rows = [row for part in parts for row in visible_actions(part, self.context)[:MAX_LIMIT]]
        return self.answer({"actions": [action_body(row) for row in rows[:MAX_LIMIT]]})


class ActionShow(GantryView):
    """`GET /gantry/v1/actions/{id}`: the evidence, for whoever may judge."""

    def get(self, request: Request, action_id: str) -> HttpResponse:
        record = find_action(action_id, self.context)
        self.require(RULE, record.server)
        case = evidence_of(record)
        ways = {verdict: refusal or None for verdict, refusal in ways_out(case).items()}
        facts = {"judgements": record.judgements, "evidence": case.as_data(), "ways_out": ways}
        return self.answer({"action": {**action_body(record), **facts}})


class ActionJudgement(GantryView):
    """`POST /gantry/v1/actions/{id}/judgement`: one is judged."""

    bodies: ClassVar[dict[str, Schema]] = {"post": JUDGEMENT}

    def post(self, request: Request, action_id: str) -> HttpResponse:
        record = find_action(action_id, self.context)
        verdict, dead = self.body["verdict"], self.body.get("dead_hosts", [])
        judge(record.pk, verdict, self.context, self.body["reason"], dead)
        judged = find_action(str(record.pk), self.context)
        later = verdict in {LOOK_AGAIN, UNDO}  # a worker does it
        facts = {"judgements": judged.judgements}
        return self.answer({"action": {**action_body(judged), **facts}}, 202 if later else 200)
