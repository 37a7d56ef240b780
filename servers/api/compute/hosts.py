"""`/os-hosts` (until 2.42) and `/os-aggregates`."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.db.models import Sum
from django.http import HttpResponse
from rest_framework.request import Request

from servers.api.compute.door import NovaView, versions
from servers.api.compute.hypervisor_resource import Hypervisor
from servers.api.compute.links import microseconds
from servers.api.compute.validation import Query, Term
from servers.api.resources import (
    FLAG,
    NULL,
    NUMBER,
    OBJECT,
    TEXT,
    TEXT_OR_NULL,
    TIME,
    UUID,
    Bodies,
    Field,
    Resource,
    fields,
    fixed,
    itself,
    list_of,
    or_null,
)
from servers.engine.capacity.usage import usage_by_host
from servers.errors import Missing
from servers.models import Aggregate, Host, Server

RULES = "os_compute_api:os-hosts"
AGGREGATES_RULE = "os_compute_api:os-aggregates:index"


class Line(NamedTuple):
    """A line of the table that a host is shown as: vCPUs, MiB and GiB of a project, or of what stands in its place."""

    host: str
    project: str
    cpu: int
    memory_mb: int
    disk_gb: int


HOST_BRIEF = Resource(
    "HostBrief",
    (
        Field("host_name", TEXT, "name"),
        Field("service", TEXT, fixed("compute")),
        Field("zone", TEXT, "availability_zone"),
    ),
)
HOST_LINE = Resource("HostLine", (*fields("host project", TEXT), *fields("cpu memory_mb disk_gb", NUMBER)))
HOST_RESOURCE = Resource("HostResource", (Field("resource", HOST_LINE, itself),))


def aggregate_metadata(aggregate: Aggregate) -> dict[str, Any]:
    """Return an aggregate's metadata; its zone is among them, as in Nova."""
    zone = aggregate.availability_zone
    return {**aggregate.metadata, **({"availability_zone": zone} if zone else {})}


AGGREGATE = Resource(
    "Aggregate",
    (
        Field("id", NUMBER, "pk"),
        Field("name", TEXT, "name"),
        Field("availability_zone", TEXT_OR_NULL, or_null("availability_zone")),
        Field("hosts", list_of(TEXT), lambda aggregate: [host.name for host in aggregate.hosts.all()]),
        Field("metadata", OBJECT, aggregate_metadata),
        Field("created_at", TIME, lambda aggregate: microseconds(aggregate.created_at)),
        *fields("updated_at deleted_at", NULL, fixed(None)),
        Field("deleted", FLAG, fixed(False)),
        Field("uuid", UUID, lambda aggregate: str(aggregate.uuid), since="2.41"),
    ),
)


class ComputeHostMissing(Missing):
    """Compute host {host} could not be found."""


class AggregateMissing(Missing):
    """Aggregate {aggregate} could not be found."""


class HostList(NovaView):
    """`GET /os-hosts`."""

    query = Query(terms=(Term("zone", TEXT),))

    @versions(until="2.42")
    def get(self, request: Request) -> HttpResponse:
        self.require(f"{RULES}:list")
        hosts = Host.objects.filter(enabled=True)
        if self.value("zone"):
            hosts = hosts.filter(availability_zone=self.value("zone"))
        return self.answer({"hosts": list(map(Bodies(HOST_BRIEF, self), hosts))})


class HostShow(NovaView):
    """`GET /os-hosts/{name}`: what the host has, what is in use, and by which project."""

    @versions(until="2.42")
    def get(self, request: Request, name: str) -> HttpResponse:
        self.require(f"{RULES}:show")
        host = Host.objects.filter(name=name).first()
        if host is None:
            raise ComputeHostMissing(host=name)
        usage = usage_by_host([host])[host.pk]
        memory_mb_used = Hypervisor(host, usage).memory_mb_used
        projects = self.by_project(host)
        most = [sum(line[i] for line in projects.values()) for i in range(3)]
        lines = [
            Line(host.name, "(total)", host.vcpus, host.memory_mb, host.disk_gb),
            Line(host.name, "(used_now)", usage.vcpus, memory_mb_used, usage.disk_gb),
            Line(host.name, "(used_max)", *most),
            *(Line(host.name, project, *line) for project, line in projects.items()),
        ]
        return self.answer({"host": list(map(Bodies(HOST_RESOURCE, self), lines))})

    def by_project(self, host: Host) -> dict[str, tuple[int, int, int]]:
        """Return what the servers of each project have, in vCPUs, MiB and GiB."""
        servers = (
            Server.objects.filter(host=host, deleted_at=None).values("project_id").order_by("project_id")
        )
        sums = servers.annotate(
            cpu=Sum("vcpus"), memory=Sum("memory_mb"), disk=Sum("root_gb"), more_disk=Sum("ephemeral_gb")
        )
        return {s["project_id"]: (s["cpu"], s["memory"], s["disk"] + s["more_disk"]) for s in sums}


class AggregateList(NovaView):
    """`GET /os-aggregates`."""

    def get(self, request: Request) -> HttpResponse:
        self.require(AGGREGATES_RULE)
        found = Aggregate.objects.prefetch_related("hosts").order_by("pk")
        return self.answer({"aggregates": list(map(Bodies(AGGREGATE, self), found))})


class AggregateShow(NovaView):
    """`GET /os-aggregates/{id}`."""

    def get(self, request: Request, aggregate_id: str) -> HttpResponse:
        self.require(AGGREGATES_RULE)
        number = aggregate_id if aggregate_id.isascii() and aggregate_id.isdigit() else "0"
        found = Aggregate.objects.filter(pk=int(number[:18])).first()
        if found is None:
            raise AggregateMissing(aggregate=aggregate_id)
        return self.answer({"aggregate": Bodies(AGGREGATE, self)(found)})
