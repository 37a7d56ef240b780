"""Which hosts come into question at all: what Placement does before any filter runs (Nova contract C.1)."""

from __future__ import annotations

from servers.scheduler.filters.compute import disabled
from servers.scheduler.request import UNITS, HostState, MoveRequest, Resources

REQUESTED, DISABLED, ROOM = "requested", "disabled", "room"
STAGE = frozenset({REQUESTED, DISABLED, ROOM})
"""The codes of verdicts that are given here."""


def refuses(host: HostState, request: MoveRequest) -> tuple[str, str] | None:
    """Return code and reason where `host` is no candidate, or None.

    A host that is down or in maintenance still is one: the filters see to that. So is the source, where it
    has room for another copy: it is dropped later, as one of the hosts to ignore.
    """
    if request.requested_host not in (None, host.name):
        return REQUESTED, f"not asked: {request.requested_host} was requested"
    if not host.enabled:
        return DISABLED, disabled(host)
    lack = lacks_room(host, request.resources)
    return (ROOM, lack) if lack else None


def lacks_room(host: HostState, wanted: Resources) -> str | None:
    """Return what `host` lacks for `wanted`, or None.

    Of each resource no more than the machine really has (Placement's max_unit) and, together with what is
    used, no more than (total - reserved) × ratio.
    """
    for resource, unit in UNITS.items():
        need, total = getattr(wanted, resource), getattr(host.total, resource)
        room, used = getattr(host.capacity, resource), getattr(host.used, resource)
        if need > total:
            return f"needs {need} {unit}, the machine has {total}"
        if need and used + need > room:
            return f"needs {need} {unit}, {max(room - used, 0)} of {room} are free"
    return None
