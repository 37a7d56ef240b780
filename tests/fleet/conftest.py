"""A small fleet in virtual time."""

from tests.virtual_time import fleet, virtual_clock

__all__ = ["fleet", "virtual_clock"]
