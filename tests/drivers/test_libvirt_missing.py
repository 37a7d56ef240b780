"""Without the extra a libvirt host says what to install."""

from __future__ import annotations

import sys

import pytest

from servers.drivers.base import HostRef
from servers.errors import NotSupported
from servers.fleet.drivers import driver_of


def test_a_libvirt_host_without_the_extra_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("servers.drivers.libvirt")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "libvirt", None)
    with pytest.raises(NotSupported, match=r"pip install 'gantry\[libvirt\]'"):
        driver_of(HostRef("node1", "libvirt", "qemu+ssh://node1/system"))
