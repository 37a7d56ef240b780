"""What a host says of itself, and of its guests."""

from __future__ import annotations

from uuid import UUID

import libvirt
from lxml import etree

from servers.drivers.base import Disk, FoundGuest, HostInfo, JobKind
from servers.drivers.libvirt import definitions, job, marks, pools
from servers.drivers.libvirt.definitions import DiskSource
from servers.drivers.libvirt.errors import forgiven
from servers.states import PowerState

GIB = 1024**3

POWER_STATES = {
    libvirt.VIR_DOMAIN_NOSTATE: PowerState.NOSTATE,
    libvirt.VIR_DOMAIN_RUNNING: PowerState.RUNNING,
    libvirt.VIR_DOMAIN_BLOCKED: PowerState.RUNNING,
    libvirt.VIR_DOMAIN_PAUSED: PowerState.PAUSED,
    libvirt.VIR_DOMAIN_SHUTDOWN: PowerState.RUNNING,  # it is shutting down: its disks are still open
    libvirt.VIR_DOMAIN_SHUTOFF: PowerState.SHUTDOWN,
    libvirt.VIR_DOMAIN_CRASHED: PowerState.CRASHED,
    libvirt.VIR_DOMAIN_PMSUSPENDED: PowerState.SUSPENDED,
}

UNSEEN = (
    libvirt.VIR_ERR_OPERATION_INVALID,
    libvirt.VIR_ERR_OPERATION_FAILED,
    libvirt.VIR_ERR_INTERNAL_ERROR,
    libvirt.VIR_ERR_SYSTEM_ERROR,
)
"""How libvirt says that it cannot look at a disk: it is not there, or of a kind without a size."""


def host_info(connection: libvirt.virConnect, shared_pools: frozenset[str]) -> HostInfo:
    """Return what the host has."""
    _, memory_mb, cpus, *_ = connection.getInfo()
    found = pools.all_pools(connection, shared_pools)
    capabilities = etree.fromstring(connection.getCapabilities())
    return HostInfo(
        hypervisor_type=connection.getType(),
        hypervisor_version=connection.getVersion(),
        hostname=connection.getHostname(),
        vcpus=cpus,
        memory_mb=memory_mb,
        disk_gb=sum(p.capacity_bytes for p in found) // GIB,
        cpu_model=capabilities.findtext("host/cpu/model", ""),
        pools=found,
    )


def found_guest(connection: libvirt.virConnect, domain: libvirt.virDomain) -> FoundGuest:
    """Return a guest as it is at this moment."""
    state, _ = domain.state()
    definition = definitions.parse(domain.XMLDesc())
    stats = job.statistics(domain)
    kind = job.kind(stats)
    live = libvirt.VIR_DOMAIN_AFFECT_LIVE
    mark = marks.read(domain, live) if kind is JobKind.LIVE_MIGRATION else None
    return FoundGuest(
        uuid=UUID(domain.UUIDString()),
        name=domain.name(),
        power_state=POWER_STATES[state],
        job=kind,
        job_destination=None if mark is None else mark.host,
        agent=definitions.has_agent(definition, running=bool(domain.isActive())),
        memory_mb=definitions.memory_mb(definition),
        vcpus=definitions.vcpus(definition),
        disks=tuple(
            found_disk(connection, domain, source, busy=bool(stats))
            for source in definitions.disks(definition)
        ),
        nics=tuple(definitions.nics(definition)),
        prepared_only=job.is_incoming(stats),
    )


def found_disk(
    connection: libvirt.virConnect, domain: libvirt.virDomain, source: DiskSource, *, busy: bool
) -> Disk:
    """Return a disk with its sizes: zero where the host cannot tell them; a busy domain is not made to wait for."""
    path, pool = source.path, source.pool
    size = used = 0
    volume = None
    if path:
        volume = pools.volume_at(connection, path)
    elif (of_pool := pools.pool_named(connection, pool)) is not None:
        with forgiven(libvirt.VIR_ERR_NO_STORAGE_VOL):
            volume = of_pool.storageVolLookupByName(source.volume)
    if volume is not None:
        path, pool = volume.path(), volume.storagePoolLookupByVolume().name()
        _, size, used = volume.info()
    elif path and not busy:
        with forgiven(*UNSEEN):
            size, used, _ = domain.blockInfo(source.device)
    return Disk(source.device, path, pool, size, used, source.format)
