"""Change the compute service of a host: enable it, disable it, or force it down."""

from __future__ import annotations

from typing import Any

import structlog

from servers import clock
from servers.models import Host
from servers.policy import Context

log = structlog.get_logger(__name__)


def set_service(
    host: Host,
    context: Context,
    *,
    enabled: bool | None = None,
    reason: str = "",
    forced_down: bool | None = None,
) -> None:
    """Write the given fields of the host's compute service, and log the caller; None leaves a field as it is.

    `reason` is written together with `enabled=False` and may be empty; enabling the service clears it. Locks
    no row: the last write wins.
    """
    fields: dict[str, Any] = {}
    if enabled is not None:
        fields.update(enabled=enabled, disabled_reason="" if enabled else reason)
    if forced_down is not None:
        fields["forced_down"] = forced_down
    host.updated_at = clock.now()
    for name, value in fields.items():
        setattr(host, name, value)
    host.save(update_fields=[*fields, "updated_at"])
    log.info("service updated", host=host.name, user=context.user_id, door=context.door, **fields)
