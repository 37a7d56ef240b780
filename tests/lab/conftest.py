"""One lab for all tests of this folder; `make lab` installs what it needs and runs them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from servers.engine.capacity import claims
from servers.fleet.drivers import refresh_host
from servers.models import Host, Project, Server, ServerDisk, StoragePool
from tests.factories import make_host, make_interface, make_server
from tests.lab.conditions import THERE, missing
from tests.shares import ALL, keep_share

if THERE:
    from tests.lab import looking
    from tests.lab.stage import GUEST, SETTINGS, LibvirtLab, build_boot_files, staged

collect_ignore_glob = [] if THERE else ["test_*.py"]

CORE = {"test_actions.py", "test_failed_actions.py", "test_tls.py", "test_up.py"}
"""Played whatever the share: each action on a real guest, what a refused one leaves, and the lab of `make up`."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    rest = [item for item in items if here in item.path.parents and item.path.name not in CORE]
    keep_share(config, items, rest, os.environ.get("LAB") or ALL)
    ours = [item for item in items if here in item.path.parents]
    reason = missing() if ours else ""
    for item in ours:
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))


if THERE:

    @pytest.fixture(scope="session")
    def machines() -> Iterator[LibvirtLab]:
        """Return the two hosts, which live as long as the test run."""
        data = Path(os.environ.get("DATA_DIR", ".data/lab")).resolve()
        build_boot_files(data / "guest")
        with tempfile.TemporaryDirectory(dir=data, prefix="hosts-") as state:
            yield from staged(Path(state), data / "guest")

    @pytest.fixture(autouse=True)
    def only_looks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Let no question that only looks change anything, in any test of the lab."""
        refused = looking.watch(monkeypatch)
        yield
        assert not refused

    @pytest.fixture
    def lab(machines: LibvirtLab) -> LibvirtLab:
        """Return the lab with its guest running on node1, as if nothing had ever happened."""
        machines.clear()
        machines.wake_guest()
        return machines

    @pytest.fixture
    def server(lab: LibvirtLab, project: Project, settings: Any) -> Server:
        """Return the record of the lab's guest, with the records of both hosts."""
        settings.LIBVIRT_TIMEOUT_S = SETTINGS.timeout_s
        settings.LIBVIRT_SHUTDOWN_TIMEOUT_S = SETTINGS.shutdown_s
        settings.LIVE_MIGRATION_BANDWIDTH_MIB_S = lab.slow.bandwidth_mib_s
        settings.HEARTBEAT_LIMIT_S = 600
        for ref in (lab.source, lab.destination):
            host = make_host(ref.name, driver="libvirt", uri=ref.uri, domain_type=ref.domain_type)
            for seen in lab.driver(ref).describe().pools:
                host.pools.add(
                    StoragePool.objects.create(name=seen.name, identity=seen.identity, capacity_gb=10)
                )
            refresh_host(host)
        node1 = Host.objects.get(name=lab.source.name)
        (disk,), (nic,) = GUEST.disks, GUEST.nics
        server = make_server(project, uuid=GUEST.uuid, host=node1, memory_mb=GUEST.memory_mb)
        ServerDisk.objects.create(
            server=server,
            pool=node1.pools.get(),
            device=disk.device,
            path=disk.path,
            size_bytes=disk.size_bytes,
        )
        make_interface(server, *nic.addresses, gateway=nic.gateway)
        claims.claim(server.pk, node1.name)
        return server
