"""A small fleet whose backups are images."""

from __future__ import annotations

from tests.conductor.conftest import fleet, virtual_clock

__all__ = ["fleet", "virtual_clock"]
