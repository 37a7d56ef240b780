"""A record to read."""

from __future__ import annotations

from servers.acting import acting
from servers.audit import reading
from servers.models import AuditRecord
from tests.factories import make_host


def disabled_host(door: str) -> AuditRecord:
    """Return the record of a host that anna has disabled."""
    host = make_host("rack1-b")
    with acting(who="anna", who_id="a1", door=door, source="192.0.2.7", request_id="req-1"):
        host.enabled, host.disabled_reason = False, "waits for a fan"
        host.save()
    return reading.page(reading.of(host), 1).records[0]
