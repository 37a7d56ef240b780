"""`/os-availability-zone`: the zones, and for operators the hosts in them."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from servers.api.compute.door import NovaView
from servers.api.compute.links import microseconds
from servers.api.compute.services import BINARY
from servers.models import Host

RULES = "os_compute_api:os-availability-zone"


def zones() -> dict[str, list[Host]]:
    """Return the enabled hosts of each zone: a zone with none is not available (nova/availability_zones.py)."""
    hosts = Host.objects.order_by("availability_zone", "name")
    return {
        zone: [h for h in there if h.enabled]
        for zone, there in groupby(hosts, attrgetter("availability_zone"))
    }


class ZoneList(NovaView):
    """`GET /os-availability-zone`."""

    rule = f"{RULES}:list"

    def get(self, request: Request) -> HttpResponse:
        self.require(self.rule)
        bodies = [
            {"zoneName": zone, "zoneState": {"available": bool(hosts)}, "hosts": self.hosts(hosts)}
            for zone, hosts in sorted(zones().items(), key=lambda item: not item[1])
        ]
        return self.answer({"availabilityZoneInfo": bodies})

    def hosts(self, hosts: list[Host]) -> dict[str, Any] | None:
        """Return what is said of the hosts: nothing."""
        return None


class ZoneDetailList(ZoneList):
    """`GET /os-availability-zone/detail`."""

    rule = f"{RULES}:detail"

    def hosts(self, hosts: list[Host]) -> dict[str, Any] | None:
        services = {
            h.name: {
                BINARY: {
                    "active": h.enabled,
                    "available": h.is_up,
                    "updated_at": microseconds(h.heartbeat_at),
                }
            }
            for h in hosts
        }
        return services or None
