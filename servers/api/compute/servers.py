"""`/servers`: the list, short and with details, and one server."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.http import HttpResponse
from rest_framework.request import Request

from servers.api.compute.booleans import boolean
from servers.api.compute.door import NovaView
from servers.api.compute.links import next_link
from servers.api.compute.paging import Key, is_full, limit_of, page
from servers.api.compute.server_filters import ListScope, listable, select
from servers.api.compute.server_query import LIST_QUERY, SORT_ADMIN_ONLY, SORT_FIELDS
from servers.api.compute.server_resource import SERVER, SERVER_BRIEF, SERVER_DETAIL
from servers.api.resources import Bodies, Resource
from servers.engine.accepting.submit import find_server
from servers.errors import Invalid
from servers.models import Server

NEWEST_FIRST = (Key("created_at", descending=True), Key("uuid", descending=True))


class ServerMarkerUnknown(Invalid):
    """marker [{marker}] not found"""


class ServerList(NovaView):
    """`GET /servers`."""

    query = LIST_QUERY
    rule: ClassVar[str] = "os_compute_api:servers:index"
    resource: ClassVar[Resource] = SERVER_BRIEF

    def get(self, request: Request) -> HttpResponse:
        self.require(self.rule)
        scope = self.scope()
        limit = limit_of(self.values)
        rows = self.related(scope).order_by()
        found = page(rows, self.sort_keys(), limit, self.marker(scope))
        body: dict[str, Any] = {"servers": list(map(Bodies(self.resource, self), found))}
        if is_full(found, limit):
            body["servers_links"] = next_link(request.path_info, request.GET, found[-1].uuid)
        return self.answer(body)

    def scope(self) -> ListScope:
        """Return who asks, and for whose servers. Raises NotPermitted."""
        given = self.value("all_tenants")
        all_tenants = given is not None and boolean(given)
        if all_tenants:
            self.require(f"{self.rule}:get_all_tenants")
        return ListScope(self.context, self.is_admin, all_tenants, self.version)

    def related(self, scope: ListScope) -> Any:
        """Return the servers, with all that their bodies need."""
        return select(self.values, scope)

    def marker(self, scope: ListScope) -> Server | None:
        """Return the server after which the page begins. Raises ServerMarkerUnknown."""
        text = self.value("marker")
        if text is None:
            return None
        try:
            return listable(scope).select_related("host").get(pk=text)
        except (Server.DoesNotExist, ValidationError) as error:
            raise ServerMarkerUnknown(marker=text) from error

    def sort_keys(self) -> list[Key]:
        """Return what to sort by; what not everybody may know is nothing to sort by for everybody."""
        names = self.values.get("sort_key", [])
        ways = self.values.get("sort_dir", [])
        default = ways[0] if ways else "desc"
        keys = [
            Key(SORT_FIELDS[name], (ways[i] if i < len(ways) else default) == "desc")
            for i, name in enumerate(names)
            if name in SORT_FIELDS and (self.is_admin or name not in SORT_ADMIN_ONLY)
        ]
        return [*keys, *NEWEST_FIRST]


class ServerDetailList(ServerList):
    """`GET /servers/detail`."""

    rule = "os_compute_api:servers:detail"
    resource = SERVER_DETAIL

    def related(self, scope: ListScope) -> Any:
        return super().related(scope).select_related("host", "flavor", "group").prefetch_related("interfaces")


class ServerShow(NovaView):
    """`GET /servers/{id}`."""

    def get(self, request: Request, server_id: str) -> HttpResponse:
        server = find_server(server_id, self.context)
        self.require("os_compute_api:servers:show", server)
        return self.answer({"server": Bodies(SERVER, self)(server)})
