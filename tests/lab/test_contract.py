"""The libvirt driver keeps the promises of every driver, between two real hosts."""

from __future__ import annotations

from tests.drivers.contract import DriverContract


class TestLibvirtDriver(DriverContract):
    """The same suite as the simulated driver's."""
