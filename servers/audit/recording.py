"""Records of what no row tells: they are written by whoever does it, in the same transaction."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from servers import acting, clock
from servers.models import AuditRecord


def note(verb: str, object_type: str, object_name: str, **facts: Any) -> AuditRecord:
    """Write that the current actor has done something; `facts` say what came of it."""
    return AuditRecord.objects.create(
        **asdict(acting.current()),
        at=clock.now(),
        verb=verb,
        object_type=object_type,
        object_name=object_name[:255],
        after=facts,
    )
