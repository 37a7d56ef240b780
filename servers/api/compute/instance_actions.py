"""`/servers/{id}/os-instance-actions`: what was done to a server (Nova contract A.4)."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from servers.api.compute.door import NovaView
from servers.api.compute.instance_action_resource import INSTANCE_ACTION, INSTANCE_ACTION_BRIEF
from servers.api.compute.links import next_link
from servers.api.compute.paging import Key, is_full, limit_of, page
from servers.api.compute.periods import changed, period_terms
from servers.api.compute.validation import NUMBER, TEXT, Query, Term
from servers.api.resources import Bodies
from servers.engine.accepting.submit import find_server
from servers.errors import Invalid, Missing
from servers.models import ActionRecord, Server

RULES = "os_compute_api:os-instance-actions"
NEWEST_FIRST = (Key("created_at", descending=True), Key("uuid", descending=True))


class ActionMissing(Missing):
    """Action {request_id} not found"""


class ActionMarkerUnknown(Invalid):
    """Marker None could not be found."""


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
        limit = limit_of(self.values) if self.at_least("2.58") else None
        wanted = server.actions.filter(changed(self.values, "updated_at"))
        found = page(wanted, NEWEST_FIRST, limit, self.marker(server))
        body: dict[str, Any] = {"instanceActions": list(map(Bodies(INSTANCE_ACTION_BRIEF, self), found))}
        if is_full(found, limit):
            body["links"] = next_link(request.path_info, request.GET, found[-1].request_id)
        return self.answer(body)

    def marker(self, server: Server) -> ActionRecord | None:
        """Return the action after which the page begins. Raises ActionMarkerUnknown, whose text is Nova's own."""
        request_id = self.value("marker")
        if request_id is None:
            return None
        found = server.actions.filter(request_id=request_id).first()
        if found is None:
            raise ActionMarkerUnknown
        return found


class InstanceActionShow(InstanceActions):
    """`GET …/os-instance-actions/{request_id}`."""

    def get(self, request: Request, server_id: str, request_id: str) -> HttpResponse:
        server = self.server(server_id, "show")
        record = server.actions.filter(request_id=request_id).first()
        if record is None:
            raise ActionMissing(request_id=request_id)
        return self.answer({"instanceAction": Bodies(INSTANCE_ACTION, self)(record)})
