"""`/os-hypervisors`: the hosts as machines that run guests."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from rest_framework.request import Request

from servers.api.compute.booleans import is_true
from servers.api.compute.capacity import statistics
from servers.api.compute.door import NovaView, versions
from servers.api.compute.links import next_link
from servers.api.compute.paging import Key, is_full, limit_of, page
from servers.api.compute.validation import NUMBER, TEXT, Query, Term
from servers.api.faults import FeatureUnsupported
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


def cpu_info(view: NovaView, host: Host) -> Any:
    """Return what is known of the host's CPU: an object, and below 2.28 the text of one."""
    known = {"model": host.cpu_model} if host.cpu_model else {}
    return known if view.at_least("2.28") else json.dumps(known)


class HypervisorView(NovaView):
    """What all these addresses have in common."""

    def hypervisor_id(self, host: Host) -> str | int:
        """Return the host's id in this microversion."""
        return str(host.uuid) if self.at_least("2.53") else host.pk

    def brief(self, host: Host) -> dict[str, Any]:
        """Return what the short list says."""
        return {
            "id": self.hypervisor_id(host),
            "hypervisor_hostname": host.hypervisor_hostname,
            "state": "up" if host.is_up else "down",
            "status": "enabled" if host.enabled else "disabled",
        }

    def full(self, host: Host, usage: Usage) -> dict[str, Any]:
        """Return all that is known of a host."""
        body = {
            **self.brief(host),
            "host_ip": host.address,
            "hypervisor_type": host.hypervisor_type,
            "hypervisor_version": host.hypervisor_version,
            "service": {
                "id": str(host.service_uuid) if self.at_least("2.53") else host.pk,
                "host": host.name,
                "disabled_reason": host.disabled_reason or None,
            },
        }
        if self.at_least("2.88"):
            return {**body, "uptime": None}
        return {**body, **statistics(host, usage), "cpu_info": cpu_info(self, host)}

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

    def with_servers(self, bodies: list[dict[str, Any]], hosts: list[Host]) -> None:
        """Add to each body the servers of its host; since 2.75 also where there are none."""
        by_host: dict[int | None, list[dict[str, str]]] = {}
        for server in Server.objects.filter(host__in=hosts, deleted_at=None).order_by("created_at"):
            entry = {"name": server.instance_name, "uuid": str(server.uuid)}
            by_host.setdefault(server.host_id, []).append(entry)
        for body, host in zip(bodies, hosts, strict=True):
            if by_host.get(host.pk) or self.at_least("2.75"):
                body["servers"] = by_host.get(host.pk, [])


class HypervisorList(HypervisorView):
    """`GET /os-hypervisors`."""

    query = LIST_QUERY
    rule = f"{RULES}:list"

    def get(self, request: Request) -> HttpResponse:
        self.require(self.rule)
        limit = limit_of(self.values) if self.at_least("2.33") else None
        found = page(self.wanted(), BY_NUMBER, limit, self.marker())
        body: dict[str, Any] = {"hypervisors": self.listed(found)}
        if is_true(self.value("with_servers") or ""):
            self.with_servers(body["hypervisors"], found)
        if is_full(found, limit):
            last = self.hypervisor_id(found[-1])
            body["hypervisors_links"] = next_link(request.path, request.GET, last)
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

    def listed(self, hosts: list[Host]) -> list[dict[str, Any]]:
        """Return the bodies of a page."""
        return [self.brief(host) for host in hosts]


class HypervisorDetailList(HypervisorList):
    """`GET /os-hypervisors/detail`."""

    rule = f"{RULES}:list-detail"

    def listed(self, hosts: list[Host]) -> list[dict[str, Any]]:
        usages = usage_by_host(hosts)
        return [self.full(host, usages[host.pk]) for host in hosts]


def matching(pattern: str) -> Any:
    """Return the hosts whose name contains `pattern`. Raises NoHypervisorMatches when there is none."""
    hosts = Host.objects.filter(hypervisor_hostname__icontains=pattern)
    if not hosts.exists():
        raise NoHypervisorMatches(pattern=pattern)
    return hosts


class HypervisorShow(HypervisorView):
    """`GET /os-hypervisors/{id}`."""

    query = Query(terms=(Term("with_servers", TEXT, since="2.53"),), strict="2.75")

    def get(self, request: Request, hypervisor_id: str) -> HttpResponse:
        self.require(f"{RULES}:show")
        host = self.find(hypervisor_id)
        body = self.full(host, usage_by_host([host])[host.pk])
        if is_true(self.value("with_servers") or ""):
            self.with_servers([body], [host])
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
        hosts = list(matching(pattern))
        bodies = [self.brief(host) for host in hosts]
        if self.adds_servers:
            self.with_servers(bodies, hosts)
        return self.answer({"hypervisors": bodies})


class HypervisorStatistics(HypervisorView):
    """`GET /os-hypervisors/statistics`, until 2.87."""

    @versions(until="2.87")
    def get(self, request: Request) -> HttpResponse:
        self.require(f"{RULES}:list-detail")
        hosts = list(Host.objects.filter(enabled=True))
        usages = usage_by_host(hosts)
        total: dict[str, int] = {"count": len(hosts), **statistics(Host(), Usage())}
        for host in hosts:
            for name, value in statistics(host, usages[host.pk]).items():
                total[name] += value
        return self.answer({"hypervisor_statistics": total})
