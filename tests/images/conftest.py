"""A small fleet whose backups are images."""

from __future__ import annotations

from tests.virtual_time import fleet, virtual_clock

__all__ = ["fleet", "virtual_clock"]
