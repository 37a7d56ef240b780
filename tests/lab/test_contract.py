"""The libvirt driver keeps the promises of every driver, between two real hosts."""

from __future__ import annotations

from tests.drivers.contract import DriverContract
from tests.drivers.fence_contract import FenceContract


class TestLibvirtDriver(DriverContract, FenceContract):
    """The same suite as the simulated driver's."""
