"""`/servers/{id}/os-instance-actions`: what was done to a server (Nova contract A.4)."""

from __future__ import annotations

import hashlib
from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from servers.api.compute.door import NovaView
from servers.api.compute.links import microseconds, next_link
from servers.api.compute.paging import Key, is_full, limit_of, page
from servers.api.compute.periods import changed, period_terms
from servers.api.compute.validation import NUMBER, TEXT, Query, Term
from servers.engine.accepting.submit import find_server
from servers.errors import Invalid, Missing
from servers.models import ActionEvent, ActionRecord, Server

RULES = "os_compute_api:os-instance-actions"
NEWEST_FIRST = (Key("created_at", descending=True), Key("uuid", descending=True))


class ActionMissing(Missing):
    """Action {request_id} not found"""


class ActionMarkerUnknown(Invalid):
    """Marker None could not be found."""


def action_body(view: NovaView, record: ActionRecord) -> dict[str, Any]:
    """Return an action without its events."""
    body = {
        "action": record.name,
        "instance_uuid": str(record.server_id),
        "request_id": record.request_id,
        "user_id": record.user_id,
        "project_id": record.project_id,
        "start_time": microseconds(record.created_at),
        "message": record.message or None,
    }
    if view.at_least("2.58"):
        body["updated_at"] = microseconds(record.updated_at)
    return body


class InstanceActions(NovaView):
    """What both addresses have in common."""

    def server(self, server_id: str, rule: str) -> Server:
        """Return the server, since 2.21 also a deleted one. Raises InstanceMissing or NotPermitted."""
        server = find_server(server_id, self.context, deleted=self.at_least("2.21"))
        self.require(f"{RULES}:{rule}", server)
        return server


class InstanceActionList(InstanceActions):
    """`GET …/os-instance-actions`."""

    query = Query(
        terms=(
            Term("limit", NUMBER, since="2.58"),
            Term("marker", TEXT, since="2.58"),
            *period_terms("2.58"),
        ),
        strict="2.58",
    )

    def get(self, request: Request, server_id: str) -> HttpResponse:
        server = self.server(server_id, "list")
        records = ActionRecord.objects.filter(server=server)
        limit = limit_of(self.values) if self.at_least("2.58") else None
        wanted = records.filter(changed(self.values, "updated_at"))
        found = page(wanted, NEWEST_FIRST, limit, self.marker(server))
        body: dict[str, Any] = {"instanceActions": [action_body(self, record) for record in found]}
        if is_full(found, limit):
            body["links"] = next_link(request.path, request.GET, found[-1].request_id)
        return self.answer(body)

    def marker(self, server: Server) -> ActionRecord | None:
        """Return the action after which the page begins. Raises ActionMarkerUnknown, whose text is Nova's own."""
        request_id = self.value("marker")
        if request_id is None:
            return None
        found = ActionRecord.objects.filter(server=server, request_id=request_id).first()
        if found is None:
            raise ActionMarkerUnknown
        return found


class InstanceActionShow(InstanceActions):
    """`GET …/os-instance-actions/{request_id}`."""

    def get(self, request: Request, server_id: str, request_id: str) -> HttpResponse:
        server = self.server(server_id, "show")
        record = ActionRecord.objects.filter(server=server, request_id=request_id).first()
        if record is None:
            raise ActionMissing(request_id=request_id)
        body = action_body(self, record)
        sees_all = self.allows(f"{RULES}:events", server.project_id)
        if sees_all or self.at_least("2.51"):
            events = record.events.order_by("-id")
            body["events"] = [self.event_body(event, server, sees_all) for event in events]
        return self.answer({"instanceAction": body})

    def event_body(self, event: ActionEvent, server: Server, sees_all: bool) -> dict[str, Any]:
        """Return an event with as much as this caller may know."""
        body: dict[str, Any] = {
            "event": event.name,
            "start_time": microseconds(event.started_at),
            "finish_time": microseconds(event.finished_at),
            "result": event.result or None,
        }
        if sees_all:
            body["traceback"] = event.traceback or None
        if self.at_least("2.62"):
            if sees_all:
                body["host"] = event.host or None
            digest = hashlib.sha224(f"{server.project_id}{event.host}".encode()).hexdigest()
            body["hostId"] = digest if event.host else ""
        if self.at_least("2.84") and self.allows(f"{RULES}:events:details", server.project_id):
            body["details"] = event.details or None
        return body
