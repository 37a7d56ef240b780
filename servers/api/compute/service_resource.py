"""How the compute service of a host looks, and what is answered to an order until 2.52."""

from __future__ import annotations

from dataclasses import dataclass

from servers.api.compute.links import microseconds
from servers.api.resources import (
    FLAG,
    NUMBER,
    TEXT,
    TEXT_OR_NULL,
    TIME_OR_NULL,
    UUID,
    Field,
    Resource,
    fields,
    fixed,
    one_of,
    or_null,
)
from servers.models import Host

BINARY = "nova-compute"
STATE = one_of("up", "down")
STATUS = one_of("enabled", "disabled")


@dataclass
class Order:
    """What is to become of a service; None leaves a thing as it is."""

    host: str
    binary: str
    enabled: bool | None = None
    reason: str | None = None
    forced_down: bool | None = None


def state(host: Host) -> str:
    """Return the word for whether the service answers."""
    return "up" if host.is_up else "down"


def status(thing: Host | Order) -> str:
    """Return the word for whether the scheduler may choose the host."""
    return "enabled" if thing.enabled else "disabled"


SERVICE_IDS = (
    Field("id", NUMBER, "pk", until="2.52"),
    Field("id", UUID, lambda host: str(host.service_uuid), since="2.53"),
)
SERVICE = Resource(
    "Service",
    (
        *SERVICE_IDS,
        Field("binary", TEXT, fixed(BINARY)),
        Field("host", TEXT, "name"),
        Field("zone", TEXT, "availability_zone"),
        Field("status", STATUS, status),
        Field("state", STATE, state),
        Field("updated_at", TIME_OR_NULL, lambda host: microseconds(host.heartbeat_at)),
        Field("disabled_reason", TEXT_OR_NULL, or_null("disabled_reason")),
        Field("forced_down", FLAG, "forced_down", since="2.11"),
    ),
)
ORDERED_SERVICE = Resource(
    "OrderedService",
    (
        *fields("host binary", TEXT),
        Field("status", TEXT, status, when=lambda order: order.enabled is not None),
        Field("disabled_reason", TEXT, "reason", when=lambda order: order.reason is not None),
        Field("forced_down", FLAG, "forced_down", when=lambda order: order.forced_down is not None),
    ),
)
