"""`/os-availability-zone`: the zones, and for operators the hosts in them."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from typing import ClassVar, NamedTuple

from django.http import HttpResponse
from rest_framework.request import Request

from servers.api.compute.door import NovaView
from servers.api.compute.links import microseconds
from servers.api.compute.service_resource import BINARY
from servers.api.resources import (
    FLAG,
    NULL,
    TEXT,
    TIME_OR_NULL,
    Bodies,
    Field,
    Resource,
    fixed,
    itself,
)
from servers.models import Host

RULES = "os_compute_api:os-availability-zone"


class Zone(NamedTuple):
    """An availability zone and its enabled hosts."""

    name: str
    hosts: dict[str, Host]
    """By name."""


def zones() -> list[Zone]:
    """Return the zones by name, those with enabled hosts first: one with none is not available (nova/availability_zones.py)."""
    hosts = Host.objects.order_by("availability_zone", "name")
    found = [
        Zone(name, {host.name: host for host in there if host.enabled})
        for name, there in groupby(hosts, attrgetter("availability_zone"))
    ]
    return sorted(found, key=lambda zone: not zone.hosts)


SERVICE_IN_ZONE = Resource(
    "ZoneService",
    (
        Field("active", FLAG, "enabled"),
        Field("available", FLAG, "is_up"),
        Field("updated_at", TIME_OR_NULL, lambda host: microseconds(host.heartbeat_at)),
    ),
)
HOST_IN_ZONE = Resource("ZoneHost", (Field(BINARY, SERVICE_IN_ZONE, itself),))
ZONE_STATE = Resource("ZoneState", (Field("available", FLAG, lambda zone: bool(zone.hosts)),))
ZONE_NAMED = (Field("zoneName", TEXT, "name"), Field("zoneState", ZONE_STATE, itself))
ZONE = Resource("Zone", (*ZONE_NAMED, Field("hosts", NULL, fixed(None))))
ZONE_DETAIL = Resource(
    "ZoneDetail",
    (*ZONE_NAMED, Field("hosts", HOST_IN_ZONE, "hosts", by_name=True, when="hosts", otherwise=None)),
)


class ZoneList(NovaView):
    """`GET /os-availability-zone`."""

    rule: ClassVar[str] = f"{RULES}:list"
    resource: ClassVar[Resource] = ZONE

    def get(self, request: Request) -> HttpResponse:
        self.require(self.rule)
        return self.answer({"availabilityZoneInfo": list(map(Bodies(self.resource, self), zones()))})


class ZoneDetailList(ZoneList):
    """`GET /os-availability-zone/detail`."""

    rule = f"{RULES}:detail"
    resource = ZONE_DETAIL
