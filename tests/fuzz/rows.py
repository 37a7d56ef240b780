"""What a request could change."""

from __future__ import annotations

from typing import Any

from servers.models import ActionRecord, ApplicationCredential, Host, Image, Migration, Server


def rows() -> list[Any]:
    """Return the rows that requests are about; a request that is refused leaves them as they were."""
    return [
        list(Server.objects.order_by("pk").values()),
        list(Host.objects.order_by("pk").values()),
        list(Image.objects.order_by("pk").values()),
        list(Migration.objects.order_by("pk").values()),
        ActionRecord.objects.count(),
        ApplicationCredential.objects.count(),
    ]
