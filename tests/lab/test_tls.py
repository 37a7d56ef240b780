"""TLS between Gantry and its hosts, and between the hosts: the way that the page recommends."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from servers.drivers.base import HostRef
from servers.errors import HypervisorUnavailable, MigrationFailed
from servers.states import PowerState
from tests.drivers.contract import move, power
from tests.lab.certificates import make_authority
from tests.lab.hosts import BRIDGE
from tests.lab.stage import LibvirtLab

ALL_PROTOCOLS = 3
LARGEST_PACKET = 65_600
OF_THE_MEMORY = b"Linux version "
OF_THE_DISK = bytes(range(1, 256))


class Wire:
    """What has been seen of the guest on the network between the hosts, by whoever listens there."""

    def __init__(self) -> None:
        self.packets = 0
        self.memory = self.disk = False

    def take(self, packet: bytes) -> None:
        self.packets += 1
        self.memory |= OF_THE_MEMORY in packet
        self.disk |= OF_THE_DISK in packet


@contextmanager
def tapped() -> Iterator[Wire]:
    """Listen on the cable of node1."""
    wire, over = Wire(), threading.Event()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS)) as tap:
        tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024**2)
        tap.bind((f"{BRIDGE}h1", 0))
        tap.settimeout(0.2)

        def listen() -> None:
            while not over.is_set():
                try:
                    wire.take(tap.recv(LARGEST_PACKET))
                except TimeoutError:
                    continue

        listener = threading.Thread(target=listen)
        listener.start()
        try:
            yield wire
        finally:
            over.set()
            listener.join()


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


@pytest.mark.parametrize("native_tls", [False, True])
def test_memory_and_disks_cross_the_network_encrypted_when_that_is_asked_for(
    lab: LibvirtLab, native_tls: bool
) -> None:
    before = lab.heartbeat()
    with tapped() as wire:
        move(lab, options=replace(lab.slow, native_tls=native_tls))
    assert lab.heartbeat() > before > 0
    assert lab.beating() == ["node2"]
    assert wire.packets > 100
    assert (wire.memory, wire.disk) == (not native_tls, not native_tls)


def test_a_host_whose_qemu_has_no_certificate_is_named_and_the_guest_stays(lab: LibvirtLab) -> None:
    folder = lab.host(lab.destination).qemu_pki
    folder.rename(folder.with_name("away"))
    try:
        with pytest.raises(MigrationFailed, match="ca-cert"):
            move(lab, options=replace(lab.slow, native_tls=True))
    finally:
        folder.with_name("away").rename(folder)
    assert power(lab, lab.source) is PowerState.RUNNING
    assert lab.beating() == ["node1"]
