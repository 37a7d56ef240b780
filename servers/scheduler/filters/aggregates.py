"""Aggregates and availability zones."""

from __future__ import annotations

from servers.scheduler.base import HostState, MoveRequest
from servers.scheduler.operators import matches

SCOPE = "aggregate_instance_extra_specs"


class AggregateExtraSpecsFilter:
    """Each extra spec must stand in an aggregate of the host (AggregateInstanceExtraSpecsFilter)."""

    name = "aggregate_extra_specs"

    def refuses(self, host: HostState, request: MoveRequest) -> str | None:
        for key, wanted in request.extra_specs.items():
            scope, colon, name = key.partition(":")
            if colon and scope != SCOPE:
                continue
            path = name if colon else key
            values = [metadata[path] for metadata in host.aggregates if path in metadata]
            if not any(matches(value, wanted) for value in values):
                return f"no aggregate of it has {path} {wanted}"
        return None


class AvailabilityZoneFilter:
    """A server that is pinned to a zone stays in it."""

    name = "availability_zone"

    def refuses(self, host: HostState, request: MoveRequest) -> str | None:
        zone = request.availability_zone
        if zone is None or zone == host.availability_zone:
            return None
        return f"it is in zone {host.availability_zone}, the server is pinned to {zone}"
