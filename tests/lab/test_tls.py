"""qemu+tls between Gantry and its hosts, and between the hosts: the way that the page recommends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from servers.drivers.base import HostRef
from servers.errors import HypervisorUnavailable
from servers.states import PowerState
from tests.drivers.contract import move, power
from tests.lab.certificates import make_authority
from tests.lab.stage import LibvirtLab


@pytest.fixture
def encrypted(lab: LibvirtLab, monkeypatch: pytest.MonkeyPatch) -> LibvirtLab:
    """Return the lab for a Gantry that speaks TLS with its hosts."""
    for side in ("source", "destination"):
        ref: HostRef = getattr(lab, side)
        monkeypatch.setattr(lab, side, replace(ref, uri=lab.host(ref).tls_uri))
    return lab


def test_a_guest_moves_live_between_hosts_that_speak_tls(encrypted: LibvirtLab) -> None:
    before = encrypted.heartbeat()
    moved = move(encrypted)
    assert moved.memory_bytes > 0
    assert power(encrypted, encrypted.source) is None
    assert power(encrypted, encrypted.destination) is PowerState.RUNNING
    assert encrypted.heartbeat() > before > 0
    assert encrypted.beating() == ["node2"]


def test_a_host_takes_nobody_whom_its_authority_does_not_know(encrypted: LibvirtLab, tmp_path: Path) -> None:
    make_authority(tmp_path / "stranger")
    host = encrypted.source
    uri = host.uri.replace(str(encrypted.host(host).pki), str(tmp_path / "stranger"))
    with pytest.raises(HypervisorUnavailable, match="certificate"):
        encrypted.driver(replace(host, uri=uri)).describe()
