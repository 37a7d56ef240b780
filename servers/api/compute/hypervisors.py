"""`/os-hypervisors`: the hosts as machines that run guests."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.http import HttpResponse
from rest_framework.request import Request

from servers.api.compute.booleans import is_true
from servers.api.compute.door import NovaView, versions
from servers.api.compute.hypervisor_resource import (
    HYPERVISOR,
    HYPERVISOR_BRIEF,
    HYPERVISOR_STATISTICS,
    Hypervisor,
)
from servers.api.compute.links import next_link
from servers.api.compute.paging import Key, is_full, limit_of, page
from servers.api.compute.validation import NUMBER, TEXT, Query, Term
from servers.api.faults import FeatureUnsupported
from servers.api.resources import Bodies, Body, Resource
from servers.engine.capacity.usage import Usage, usage_by_host
from servers.errors import Invalid, Missing
from servers.models import Host, Server

RULES = "os_compute_api:os-hypervisors"
BY_NUMBER = (Key("id"),)
LIST_QUERY = Query(
    terms=(
        Term("limit", NUMBER, since="2.33"),
        Term("marker", TEXT, since="2.33"),
        Term("hypervisor_hostname_pattern", TEXT, since="2.53"),
        Term("with_servers", TEXT, since="2.53"),
    ),
    strict="2.75",
)


class HypervisorMissing(Missing):
    """Hypervisor with ID '{hypervisor}' could not be found."""


class NoHypervisorMatches(Missing):
    """No hypervisor matching '{pattern}' could be found."""


class HypervisorIdInvalid(Invalid):
    """Invalid uuid {text}"""


class HypervisorMarkerUnknown(Invalid):
    """Marker {marker} could not be found."""


class PatternWithPaging(Invalid):
    """Paging over hypervisors with the hypervisor_hostname_pattern query parameter is not supported."""


class HypervisorView(NovaView):
    """What all these addresses have in common."""

    resource: ClassVar[Resource] = HYPERVISOR_BRIEF

    def listed(self, hosts: list[Host], *, with_servers: bool) -> list[Body]:
        """Return the bodies of hosts, with their servers where those are asked for."""
        usages = usage_by_host(hosts) if self.resource is HYPERVISOR else {}
        servers = self.servers_on(hosts) if with_servers else {}
        make = Bodies(self.resource, self)
        return [make(Hypervisor(h, usages.get(h.pk, Usage()), servers.get(h.pk))) for h in hosts]

    def servers_on(self, hosts: list[Host]) -> dict[int | None, list[Server]]:
        """Return the servers by the key of their host; since 2.75 also of a host that has none."""
        found: dict[int | None, list[Server]] = {h.pk: [] for h in hosts} if self.at_least("2.75") else {}
        for server in Server.objects.filter(host__in=hosts, deleted_at=None).order_by("created_at"):
            found.setdefault(server.host_id, []).append(server)
        return found

    @property
    def asks_for_servers(self) -> bool:
        """Return whether the query asks for the servers of each host."""
        return is_true(self.value("with_servers") or "")

    def find(self, hypervisor_id: str) -> Host:
        """Return the host. Raises HypervisorMissing or HypervisorIdInvalid."""
        found = None
        if self.at_least("2.53"):
            try:
                found = Host.objects.filter(uuid=UUID(hypervisor_id)).first()
            except ValueError as error:
                raise HypervisorIdInvalid(text=hypervisor_id) from error
        elif hypervisor_id.isascii() and hypervisor_id.isdigit() and len(hypervisor_id) < 19:
            found = Host.objects.filter(pk=int(hypervisor_id)).first()
        if found is None:
            raise HypervisorMissing(hypervisor=hypervisor_id)
        return found


class HypervisorList(HypervisorView):
    """`GET /os-hypervisors`."""

    query = LIST_QUERY
    rule = f"{RULES}:list"

    def get(self, request: Request) -> HttpResponse:
        self.require(self.rule)
        limit = limit_of(self.values) if self.at_least("2.33") else None
        found = page(self.wanted(), BY_NUMBER, limit, self.marker())
        body: dict[str, Any] = {"hypervisors": self.listed(found, with_servers=self.asks_for_servers)}
        if is_full(found, limit):
            last = body["hypervisors"][-1]["id"]
            body["hypervisors_links"] = next_link(request.path_info, request.GET, last)
        return self.answer(body)

    def wanted(self) -> Any:
        """Return the hosts that the query asks for. Raises NoHypervisorMatches or PatternWithPaging."""
        pattern = self.value("hypervisor_hostname_pattern")
        if pattern is None:
            return Host.objects.all()
        if "limit" in self.values or "marker" in self.values:
            raise PatternWithPaging
        return matching(pattern)

    def marker(self) -> Host | None:
        """Return the host after which the page begins. Raises HypervisorMarkerUnknown."""
        text = self.value("marker")
        if text is None:
            return None
        try:
            return self.find(text)
        except (HypervisorMissing, HypervisorIdInvalid) as error:
            raise HypervisorMarkerUnknown(marker=text) from error


class HypervisorDetailList(HypervisorList):
    """`GET /os-hypervisors/detail`."""

    rule = f"{RULES}:list-detail"
    resource = HYPERVISOR


def matching(pattern: str) -> Any:
    """Return the hosts whose name contains `pattern`. Raises NoHypervisorMatches when there is none."""
    hosts = Host.objects.filter(hypervisor_hostname__icontains=pattern)
    if not hosts.exists():
        raise NoHypervisorMatches(pattern=pattern)
    return hosts


class HypervisorShow(HypervisorView):
    """`GET /os-hypervisors/{id}`."""

    query = Query(terms=(Term("with_servers", TEXT, since="2.53"),), strict="2.75")
    resource = HYPERVISOR

    def get(self, request: Request, hypervisor_id: str) -> HttpResponse:
        self.require(f"{RULES}:show")
        [body] = self.listed([self.find(hypervisor_id)], with_servers=self.asks_for_servers)
        return self.answer({"hypervisor": body})


class HypervisorUptime(HypervisorView):
    """`GET /os-hypervisors/{id}/uptime`, until 2.87: not known, as with those drivers of Nova that do not tell."""

    @versions(until="2.87")
    def get(self, request: Request, hypervisor_id: str) -> HttpResponse:
        self.require(f"{RULES}:uptime")
        self.find(hypervisor_id)
        raise FeatureUnsupported


class HypervisorSearch(HypervisorView):
    """`GET /os-hypervisors/{pattern}/search` and `/servers`, until 2.52."""

    adds_servers = False

    @versions(until="2.52")
    def get(self, request: Request, pattern: str) -> HttpResponse:
        self.require(f"{RULES}:list")
        bodies = self.listed(list(matching(pattern)), with_servers=self.adds_servers)
        return self.answer({"hypervisors": bodies})


class HypervisorStatistics(HypervisorView):
    """`GET /os-hypervisors/statistics`, until 2.87."""

    @versions(until="2.87")
    def get(self, request: Request) -> HttpResponse:
        self.require(f"{RULES}:list-detail")
        hosts = list(Host.objects.filter(enabled=True))
        usages = usage_by_host(hosts)
        hypervisors = [Hypervisor(host, usages[host.pk]) for host in hosts]
        return self.answer({"hypervisor_statistics": Bodies(HYPERVISOR_STATISTICS, self)(hypervisors)})
