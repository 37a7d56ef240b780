"""`/gantry/v1/actions`: what is Gantry's own and no part of Nova: actions that wait for a person, and their judgement."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from servers.api.answers import plain_refusal
from servers.api.compute.door import NovaView, Unrouted
from servers.api.compute.paging import MAX_LIMIT
from servers.api.compute.validation import Query, Term, check_body
from servers.api.gantry.bodies import JUDGED, UNRESOLVED, with_evidence
from servers.api.resources import Bodies, an_object, one_of
from servers.api.validation import bounded_text
from servers.engine.judgement.cases import evidence_of, find_action, still_tried, visible_actions, waiting
from servers.engine.judgement.judge import LONGEST_REASON, LOOK_AGAIN, RULE, UNDO, VERDICTS, judge

LIST_RULE = "os_compute_api:os-instance-actions:list"
HOST_NAME = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[a-zA-Z0-9._-]+$"}
JUDGEMENT = an_object(
    {
        "verdict": one_of(*VERDICTS),
        "reason": bounded_text(LONGEST_REASON, shortest=1),
    },
    {"dead_hosts": {"type": "array", "items": HOST_NAME, "maxItems": 100, "uniqueItems": True}},
    additionalProperties=False,
)
FLAG = {"type": "string", "enum": ["true", "false"]}


class GantryView(NovaView):
    """An address of Gantry's own: tokens and refusals are those of the compute service, and there is one version."""

    def handle_exception(self, exc: Exception) -> HttpResponse:  # type: ignore[override]
        """Answer 405 to a method that a resource lacks (RFC 9110), where Nova has 404."""
        if not isinstance(exc, Unrouted) or "\0" in self.request.path:
            return super().handle_exception(exc)
        text = "The method is not allowed for this address."
        response = plain_refusal(self.request._request, 405, "Method Not Allowed", text)
        known = [name.upper() for name in self.http_method_names if hasattr(self, name)]
        response["Allow"] = ", ".join(known)
        return response


class ActionList(GantryView):
    """`GET /gantry/v1/actions`: actions of which it is not known what became."""

    query = Query(terms=(Term("waiting", FLAG),), strict="2.1")

    def get(self, request: Request) -> HttpResponse:
        self.require(LIST_RULE)
        wanted = {"true": [waiting()], "false": [still_tried()]}
        parts = wanted.get(self.value("waiting") or "", [waiting(), still_tried()])
        rows = [row for part in parts for row in visible_actions(part, self.context)[:MAX_LIMIT]]
        return self.answer({"actions": [*map(Bodies(UNRESOLVED), rows[:MAX_LIMIT])]})


class ActionShow(GantryView):
    """`GET /gantry/v1/actions/{id}`: the evidence, for whoever may judge."""

    def get(self, request: Request, action_id: str) -> HttpResponse:
        record = find_action(action_id, self.context)
        self.require(RULE, record.server)
        return self.answer({"action": Bodies(with_evidence(evidence_of(record)))(record)})


class ActionJudgement(GantryView):
    """`POST /gantry/v1/actions/{id}/judgement`: one is judged."""

    bodies = {"post": JUDGEMENT}

    def check_body(self) -> None:
        check_body(self.body, self.bodies["post"])

    def post(self, request: Request, action_id: str) -> HttpResponse:
        record = find_action(action_id, self.context)
        verdict, dead = self.body["verdict"], self.body.get("dead_hosts", [])
        judge(record.pk, verdict, self.context, self.body["reason"], dead)
        judged = find_action(str(record.pk), self.context)
        later = verdict in {LOOK_AGAIN, UNDO}  # a worker does it
        return self.answer({"action": Bodies(JUDGED)(judged)}, 202 if later else 200)
