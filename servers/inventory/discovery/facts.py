"""A host and a guest as plain facts, made from records or from a survey, so that both can be compared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from servers.drivers.base import Disk, FoundGuest, HostInfo, HostRef, Pool
from servers.drivers.limits import shortened
from servers.fleet.polling import HostReport
from servers.isolation import apart
from servers.models import Server, StoragePool

GIB = 1024**3


@dataclass(frozen=True)
class PoolFacts:
    """A storage pool. `identity` is unique in the fleet."""

    identity: str
    name: str
    shared: bool
    capacity_gb: int

    @property
    def words(self) -> str:
        """Return in words what all hosts that share the pool agree about; each may call it differently."""
        return f"{'shared' if self.shared else 'local'}, {self.capacity_gb} GiB"


@dataclass(frozen=True)
class HostFacts:
    """What is recorded of a host; all fields are empty for a host that is not recorded."""

    driver: str = ""
    uri: str = ""
    domain_type: str = ""
    hostname: str = ""
    hypervisor: str = ""
    version: int = 0
    cpu_model: str = ""
    vcpus: int = 0
    memory_mb: int = 0
    disk_gb: int = 0
    pools: tuple[PoolFacts, ...] = ()

    def in_words(self) -> dict[str, str]:
        """Return each fact in words, by its name; a missing one is empty."""
        plain = {
            "driver": self.driver,
            "uri": self.uri,
            "domain type": self.domain_type,
            "hostname": self.hostname,
            "hypervisor": f"{self.hypervisor} {self.version}" if self.hypervisor else "",
            "cpu": self.cpu_model,
            "vcpus": _amount(self.vcpus),
            "memory": _amount(self.memory_mb, "MiB"),
            "disk": _amount(self.disk_gb, "GiB"),
        }
        return plain | {f"pool {pool.identity}": pool.words for pool in self.pools}


@dataclass(frozen=True)
class DiskFacts:
    """A disk of a guest, and the pool in which it lies."""

    device: str
    path: str
    pool: PoolFacts
    size_bytes: int
    used_bytes: int
    format: str

    @property
    def words(self) -> str:
        """Return path, size, format and pool in words."""
        return f"{self.path}, {self.size_bytes / GIB:g} GiB {self.format}, in {self.pool.identity}"


@dataclass(frozen=True)
class GuestFacts:
    """What is recorded of a guest; all fields are empty for a guest that is not recorded."""

    name: str = ""
    vcpus: int = 0
    memory_mb: int = 0
    disks: tuple[DiskFacts, ...] = ()
    nics: tuple[tuple[str, str], ...] = ()
    """Hardware address, in lower case, and network of each interface."""

    @property
    def root_gb(self) -> int:
        """Return the size of the first disk, in GiB and rounded up: Nova's root disk."""
        return _gib(self.disks[0].size_bytes) if self.disks else 0

    @property
    def ephemeral_gb(self) -> int:
        """Return the size of all other disks together, in GiB and rounded up."""
        return _gib(sum(disk.size_bytes for disk in self.disks[1:]))

    def in_words(self) -> dict[str, str]:
        """Return each fact in words, by its name; a missing one is empty.

        How much of a disk is used is left out, because it changes all the time.
        """
        plain = {
            "name there": self.name,
            "vcpus": _amount(self.vcpus),
            "memory": _amount(self.memory_mb, "MiB"),
        }
        its_disks = {f"disk {disk.device}": disk.words for disk in self.disks}
        return plain | its_disks | {f"interface {mac}": network for mac, network in self.nics}


def _amount(count: int, unit: str = "") -> str:
    return f"{count} {unit}".strip() if count else ""


def _gib(size_bytes: int) -> int:
    return -(-size_bytes // GIB)


# -------------------------------------------------------------------------------------------- recorded


def known_host(host: Any) -> HostFacts:
    """Return a host as it is recorded. Prefetch `pools`, or each host costs a query."""
    return HostFacts(
        driver=host.driver,
        uri=host.uri,
        domain_type=host.domain_type,
        hostname=host.hypervisor_hostname,
        hypervisor=host.hypervisor_type,
        version=host.hypervisor_version,
        cpu_model=host.cpu_model,
        vcpus=host.vcpus,
        memory_mb=host.memory_mb,
        disk_gb=host.disk_gb,
        pools=tuple(known_pool(pool) for pool in host.pools.all()),
    )


def known_pool(pool: StoragePool) -> PoolFacts:
    """Return a pool as it is recorded."""
    return PoolFacts(pool.identity, pool.name, pool.shared, pool.capacity_gb)


def known_guest(server: Server) -> GuestFacts:
    """Return a guest as its server is recorded.

    Prefetch `disks__pool` and `interfaces`, or each server costs several queries.
    """
    return GuestFacts(
        name=server.instance_name,
        vcpus=server.vcpus,
        memory_mb=server.memory_mb,
        disks=tuple(
            DiskFacts(d.device, d.path, known_pool(d.pool), d.size_bytes, d.used_bytes, d.format)
            for d in server.disks.all()
        ),
        nics=tuple((interface.mac.lower(), interface.network) for interface in server.interfaces.all()),
    )


# ----------------------------------------------------------------------------------------------- found


def found_host(host: HostRef, report: HostReport) -> HostFacts:
    """Return a host as it describes itself in its report.

    A folder that is in no pool and has a guest's disk counts as a pool.
    """
    info, pools = report.info, pools_of(host.name, report.info)
    lie_in = [pool for guest in report.guests for pool in _pools_in_use(guest, pools, host.name)]
    by_identity = {pool.identity: pool for pool in (*pools.values(), *lie_in)}
    return HostFacts(
        driver=host.driver,
        uri=host.uri,
        domain_type=host.domain_type,
        hostname=info.hostname,
        hypervisor=info.hypervisor_type,
        version=info.hypervisor_version,
        cpu_model=info.cpu_model,
        vcpus=info.vcpus,
        memory_mb=info.memory_mb,
        disk_gb=info.disk_gb,
        pools=tuple(by_identity.values()),
    )


def pools_of(host: str, info: HostInfo) -> dict[str, PoolFacts]:
    """Return a host's pools, by the names that the host has for them."""
    return {pool.name: found_pool(host, pool) for pool in info.pools}


def found_pool(host: str, pool: Pool) -> PoolFacts:
    """Return a pool as its host sees it.

    The identity of a pool that is not shared begins with the host's name: the same path on two hosts is two
    pools.
    """
    own = pool.shared or pool.identity.startswith(f"{host}:")
    identity = shortened(pool.identity if own else f"{host}:{pool.identity}")
    return PoolFacts(identity, pool.name, pool.shared, pool.capacity_bytes // GIB)


def found_guest(guest: FoundGuest, host: str, info: HostInfo) -> GuestFacts:
    """Return a guest as its host described it. An odd description can raise anything: use `apart`."""
    pools = pools_of(host, info)
    return GuestFacts(
        name=guest.name,
        vcpus=guest.vcpus,
        memory_mb=guest.memory_mb,
        disks=tuple(
            DiskFacts(d.device, d.path, _pool_of(d, pools, host), d.size_bytes, d.used_bytes, d.format)
            for d in guest.disks
        ),
        nics=tuple((nic.mac.lower(), nic.network) for nic in guest.nics),
    )


def _pools_in_use(guest: FoundGuest, pools: dict[str, PoolFacts], host: str) -> list[PoolFacts]:
    """Return the pools of a guest's disks; none when the guest's description cannot be used."""
    found = apart(
        lambda: [_pool_of(disk, pools, host) for disk in guest.disks],
        "discovery.odd_guest",
        guest=str(guest.uuid),
    )
    return [] if isinstance(found, Exception) else found


def _pool_of(disk: Disk, pools: dict[str, PoolFacts], host: str) -> PoolFacts:
    """Return the pool of a disk; for a disk in no pool its folder, as a pool that only this host sees."""
    folder = str(PurePosixPath(disk.path).parent)
    lies_in = PoolFacts(shortened(f"{host}:{folder}"), shortened(folder), shared=False, capacity_gb=0)
    return pools.get(disk.pool) or lies_in
