"""`/gantry/v1/actions`: what is Gantry's own and no part of Nova: actions that wait for a person, and their judgement."""

from __future__ import annotations

from typing import ClassVar

from django.http import HttpResponse
from rest_framework.request import Request

from servers.actions.kinds import HostName
from servers.api.compute.paging import MAX_LIMIT
from servers.api.compute.schemas import schema_of
from servers.api.compute.validation import Query, Term
from servers.api.gantry.bodies import JUDGED, UNRESOLVED, with_evidence
from servers.api.gantry.door import GantryView
from servers.api.idempotency import keeping, once
from servers.api.resources import Bodies, Schema, an_object, one_of
from servers.api.validation import bounded_text
from servers.engine.judgement.cases import (
    LIST_RULE,
    evidence_of,
    find_action,
    still_tried,
    visible_actions,
    waiting,
)
from servers.engine.judgement.judge import LONGEST_REASON, LOOK_AGAIN, RULE, UNDO, VERDICTS, judge
from servers.models import ActionRecord

JUDGEMENT = an_object(
    {
        "verdict": one_of(*VERDICTS),
        "reason": bounded_text(LONGEST_REASON, shortest=1),
    },
    {
        "dead_hosts": {
            "type": "array",
            "items": schema_of(HostName(nullable=False)),
            "maxItems": 100,
            "uniqueItems": True,
        }
    },
    additionalProperties=False,
)
FLAG = {"type": "string", "enum": ["true", "false"]}


class ActionList(GantryView):
    """`GET /gantry/v1/actions`: actions of which it is not known what became."""

    query = Query(terms=(Term("waiting", FLAG),), strict="2.1")

    def get(self, request: Request) -> HttpResponse:
        self.require(LIST_RULE)
        wanted = {"true": [waiting()], "false": [still_tried()]}
        parts = wanted.get(self.value("waiting") or "", [waiting(), still_tried()])
        rows = [row for part in parts for row in visible_actions(part, self.context)[:MAX_LIMIT]]
        return self.answer({"actions": [*map(Bodies(UNRESOLVED, self), rows[:MAX_LIMIT])]})


class ActionShow(GantryView):
    """`GET /gantry/v1/actions/{id}`: the evidence, for whoever may judge."""

    def get(self, request: Request, action_id: str) -> HttpResponse:
        record = find_action(action_id, self.context)
        self.require(RULE, record.server)
        return self.answer({"action": Bodies(with_evidence(evidence_of(record)), self)(record)})


class ActionJudgement(GantryView):
    """`POST /gantry/v1/actions/{id}/judgement`: one is judged."""

    bodies: ClassVar[dict[str, Schema]] = {"post": JUDGEMENT}

    @once(in_transaction=False)
    def post(self, request: Request, action_id: str) -> HttpResponse:
        record = find_action(action_id, self.context)
        verdict, dead = self.body["verdict"], self.body.get("dead_hosts", [])
        keep = keeping(self, self.shown)
        judge(record.pk, verdict, self.context, self.body["reason"], dead, keep)
        return self.shown(record)

    def shown(self, record: ActionRecord) -> HttpResponse:
        """Return the answer that shows the action as it is now."""
        judged = find_action(str(record.pk), self.context)
        later = self.body["verdict"] in {LOOK_AGAIN, UNDO}  # a worker does it
        return self.answer({"action": Bodies(JUDGED, self)(judged)}, 202 if later else 200)
