"""A host's service as people switch it: whether the scheduler may choose the host, and whether it is held for dead."""

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
    """Write what is not None, and log who did it. A reason is kept with a disabled host alone, and may be empty."""
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
