"""`/os-hosts` (until 2.42) and `/os-aggregates`."""

from __future__ import annotations

from typing import Any

from django.db.models import Sum
from django.http import HttpResponse
from rest_framework.request import Request

from servers.api.compute.capacity import statistics
from servers.api.compute.door import NovaView, versions
from servers.api.compute.links import microseconds
from servers.api.compute.validation import TEXT, Query, Term
from servers.engine.capacity.usage import usage_by_host
from servers.errors import Missing
from servers.models import Aggregate, Host, Server

RULES = "os_compute_api:os-hosts"
AGGREGATES_RULE = "os_compute_api:os-aggregates:index"


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
        bodies = [{"host_name": h.name, "service": "compute", "zone": h.availability_zone} for h in hosts]
        return self.answer({"hosts": bodies})


def resource(host: Host, project: str, cpu: int, memory_mb: int, disk_gb: int) -> dict[str, Any]:
    """Return a line of the table that a host is shown as."""
    line = {"host": host.name, "project": project, "cpu": cpu, "memory_mb": memory_mb, "disk_gb": disk_gb}
    return {"resource": line}


class HostShow(NovaView):
    """`GET /os-hosts/{name}`: what the host has, what is in use, and by which project."""

    @versions(until="2.42")
    def get(self, request: Request, name: str) -> HttpResponse:
        self.require(f"{RULES}:show")
        host = Host.objects.filter(name=name).first()
        if host is None:
            raise ComputeHostMissing(host=name)
        now = statistics(host, usage_by_host([host])[host.pk])
        projects = self.by_project(host)
        most = [sum(line[i] for line in projects.values()) for i in range(3)]
        lines = [
            resource(host, "(total)", host.vcpus, host.memory_mb, host.disk_gb),
            resource(host, "(used_now)", now["vcpus_used"], now["memory_mb_used"], now["local_gb_used"]),
            resource(host, "(used_max)", *most),
            *(resource(host, project, *line) for project, line in projects.items()),
        ]
        return self.answer({"host": lines})

    def by_project(self, host: Host) -> dict[str, tuple[int, int, int]]:
        """Return what the servers of each project have, in vCPUs, MiB and GiB."""
        servers = (
            Server.objects.filter(host=host, deleted_at=None).values("project_id").order_by("project_id")
        )
        sums = servers.annotate(
            cpu=Sum("vcpus"), memory=Sum("memory_mb"), disk=Sum("root_gb"), more_disk=Sum("ephemeral_gb")
        )
        return {s["project_id"]: (s["cpu"], s["memory"], s["disk"] + s["more_disk"]) for s in sums}


class AggregateView(NovaView):
    """What both addresses have in common."""

    def body_of(self, aggregate: Aggregate) -> dict[str, Any]:
        """Return an aggregate with its hosts."""
        metadata = dict(aggregate.metadata)
        if aggregate.availability_zone:
            metadata["availability_zone"] = aggregate.availability_zone
        body: dict[str, Any] = {
            "id": aggregate.pk,
            "name": aggregate.name,
            "availability_zone": aggregate.availability_zone or None,
            "hosts": [host.name for host in aggregate.hosts.all()],
            "metadata": metadata,
            "created_at": microseconds(aggregate.created_at),
            "updated_at": None,
            "deleted_at": None,
            "deleted": False,
        }
        if self.at_least("2.41"):
            body["uuid"] = str(aggregate.uuid)
        return body


class AggregateList(AggregateView):
    """`GET /os-aggregates`."""

    def get(self, request: Request) -> HttpResponse:
        self.require(AGGREGATES_RULE)
        found = Aggregate.objects.prefetch_related("hosts").order_by("pk")
        return self.answer({"aggregates": [self.body_of(aggregate) for aggregate in found]})


class AggregateShow(AggregateView):
    """`GET /os-aggregates/{id}`."""

    def get(self, request: Request, aggregate_id: str) -> HttpResponse:
        self.require(AGGREGATES_RULE)
        number = aggregate_id if aggregate_id.isascii() and aggregate_id.isdigit() else "0"
        found = Aggregate.objects.filter(pk=int(number[:18])).first()
        if found is None:
            raise AggregateMissing(aggregate=aggregate_id)
        return self.answer({"aggregate": self.body_of(found)})
