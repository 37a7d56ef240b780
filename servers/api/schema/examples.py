"""Requests as Nova's reference shows them: one at least for each action, and one for each shape of its body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Example:
    """A request that is good in one microversion and those like it."""

    action: str
    version: str
    value: Any

    @property
    def name(self) -> str:
        """Return what it is called in the document."""
        return f"{self.action} {self.version}"

    @property
    def body(self) -> dict[str, Any]:
        """Return the whole body."""
        return {self.action: self.value}


EXAMPLES = [
    Example("createBackup", "2.1", {"name": "nightly", "backup_type": "daily", "rotation": 1}),
    Example("injectNetworkInfo", "2.1", None),
    Example("migrate", "2.1", None),
    Example("migrate", "2.56", {"host": "node2"}),
    Example("os-migrateLive", "2.1", {"host": "node2", "block_migration": False, "disk_over_commit": False}),
    Example("os-migrateLive", "2.25", {"host": None, "block_migration": "auto"}),
    Example("os-migrateLive", "2.30", {"host": "node2", "block_migration": "auto", "force": False}),
    Example("os-migrateLive", "2.68", {"host": "node2", "block_migration": "auto"}),
    Example("resetNetwork", "2.1", None),
    Example("os-resetState", "2.1", {"state": "active"}),
    Example("confirmResize", "2.1", None),
    Example("revertResize", "2.1", None),
    Example("lock", "2.1", None),
    Example("lock", "2.73", {"locked_reason": "being measured"}),
    Example("unlock", "2.1", None),
    Example("changePassword", "2.1", {"adminPass": "a-better-one"}),
    Example("force_complete", "2.22", None),
]
