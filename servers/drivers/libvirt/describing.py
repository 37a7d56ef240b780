"""What a host says of itself, and of its guests."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import libvirt

from servers.drivers.base import Disk, FoundGuest, HostInfo, JobKind
from servers.drivers.libvirt import definitions, domain_metadata, job, pools, volume_sidecar
from servers.drivers.libvirt.answers import amount, amounts, text, tree
from servers.drivers.libvirt.definitions import DiskSource
from servers.drivers.libvirt.domain_metadata import MigrationMetadata
from servers.drivers.libvirt.errors import (
    MAX_REASON_CHARS,
    Unreadable,
    ignore_libvirt_errors,
    is_gone,
    is_lost,
)
from servers.drivers.libvirt.job import Stats
from servers.drivers.libvirt.pools import GIB
from servers.drivers.libvirt.volume_sidecar import volume_name
from servers.drivers.limits import AMOUNT, NAME, PATH, TYPE
from servers.errors import DriverFault, printable
from servers.states import PowerState

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
    """Return what the host has. Raises Unreadable."""
    memory_mb, cpus = amounts(connection.getInfo()[1:3], "memory, or number of processors", 2)
    found = pools.all_pools(connection, shared_pools)
    capabilities = tree(connection.getCapabilities())
    return HostInfo(
        hypervisor_type=text(connection.getType(), "hypervisor", TYPE),
        hypervisor_version=amount(connection.getVersion(), "version", AMOUNT),
        hostname=text(connection.getHostname(), "host name", NAME),
        vcpus=amount(cpus, "number of processors", AMOUNT),
        memory_mb=amount(memory_mb, "memory", AMOUNT),
        disk_gb=min(sum(p.capacity_bytes for p in found) // GIB, AMOUNT),
        cpu_model=text(capabilities.findtext("host/cpu/model"), "processor", NAME),
        pools=found,
    )


def glimpse(domain: libvirt.virDomain) -> FoundGuest:
    """Return the least that can be said of a guest: which it is, and how. It waits for no job, nor for qemu."""
    return FoundGuest(UUID(domain.UUIDString()), name(domain), power_state(domain))


def name(domain: libvirt.virDomain) -> str:
    """Return the name of a guest, such that it can be kept; its UUID where the name is no text."""
    try:
        return printable(domain.name(), NAME)
    except UnicodeDecodeError:
        return str(domain.UUIDString())


def power_state(domain: libvirt.virDomain) -> PowerState:
    """Return how a guest is. One in a state that is newer than this has a process, or it has not. Raises Unreadable."""
    (state,) = amounts(domain.state(), "state", 1)
    unknown = PowerState.RUNNING if domain.isActive() else PowerState.SHUTDOWN
    return POWER_STATES.get(state, unknown)


def at_work(domain: libvirt.virDomain, stats: Stats, metadata: MigrationMetadata | None) -> FoundGuest:
    """Return what can be said of a guest without its definition: how it is, what is done with it, and for whom."""
    kind = job.kind(stats)
    moves = metadata is not None and kind is JobKind.LIVE_MIGRATION
    return replace(
        glimpse(domain),
        job=kind,
        job_destination=printable(metadata.host, NAME) if metadata is not None and moves else None,
        prepared_only=job.is_incoming(stats),
        owner="" if metadata is None else metadata.owner,
    )


def found_guest(connection: libvirt.virConnect, domain: libvirt.virDomain) -> FoundGuest:
    """Return a guest as it is at this moment, with all that it has. Raises Unreadable."""
    stats = job.statistics(domain)
    definition = definitions.parse(domain.XMLDesc())
    text(domain.name(), "name", NAME)
    return replace(
        at_work(domain, stats, domain_metadata.within(definition)),
        agent=definitions.has_agent(definition, running=bool(domain.isActive())),
        memory_mb=definitions.memory_mb(definition),
        vcpus=definitions.vcpus(definition),
        disks=tuple(
            found_disk(connection, domain, source, busy=bool(stats))
            for source in definitions.disks(definition)
        ),
        nics=tuple(definitions.nics(definition)),
    )


def seen_guest(connection: libvirt.virConnect, domain: libvirt.virDomain) -> FoundGuest:
    """Return a guest as far as it can be read: at the least where it is, how, what is done with it, and for whom.

    Raises Unreadable where not even that can be read.
    """
    try:
        return found_guest(connection, domain)
    except (libvirt.libvirtError, UnicodeDecodeError) as error:
        if isinstance(error, libvirt.libvirtError) and (is_lost(error) or is_gone(error)):
            raise
        seen = at_work(domain, job.statistics(domain), _metadata(domain))
        return replace(seen, unread=printable(str(error), MAX_REASON_CHARS))


def _metadata(domain: libvirt.virDomain) -> MigrationMetadata | None:
    """Return the metadata of a guest whose definition cannot be read. Raises Unreadable."""
    try:
        return domain_metadata.read(domain, libvirt.VIR_DOMAIN_AFFECT_CURRENT)
    except DriverFault as fault:
        raise Unreadable(str(fault)) from fault


def found_disk(
    connection: libvirt.virConnect, domain: libvirt.virDomain, source: DiskSource, *, busy: bool
) -> Disk:
    """Return a disk with its sizes: zero where the host cannot tell them; a busy domain is not made to wait for.

    Raises Unreadable.
    """
    path, pool = source.path, source.pool
    size = used = 0
    volume = None
    if path:
        volume = pools.volume_at(connection, path)
    elif (of_pool := pools.pool_named(connection, pool)) is not None:
        volume = pools.volume_in(of_pool, source.volume)
    if volume is not None:
        path = volume.path()
        with ignore_libvirt_errors(*UNSEEN, *pools.NOT_THERE):
            pool = volume.storagePoolLookupByVolume().name()
            _, size, used = amounts(volume.info(), "size of a disk", 3)
    elif path and not busy:
        with ignore_libvirt_errors(*UNSEEN):
            size, used = amounts(domain.blockInfo(source.device), "size of a disk", 2)
    return Disk(
        source.device,
        text(path, "path", PATH),
        text(pool, "storage pool", NAME),
        amount(size, "size of a disk", AMOUNT * GIB),
        amount(used, "size of a disk", AMOUNT * GIB),
        source.format,
    )


def sidecar_owner(connection: libvirt.virConnect, domain: libvirt.virDomain, disks: tuple[Disk, ...]) -> str:
    """Return to what a guest belongs by its definition, while it runs by another one, or by what is beside its disks."""
    if domain.isActive() and domain.isPersistent():
        kept = domain_metadata.within(definitions.parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)))
        if kept is not None and kept.owner:
            return kept.owner
    found = (volume_sidecar.read(connection, disk.pool, volume_name(disk)) for disk in disks if disk.pool)
    return next((n.owner for n in found if n is not None and n.guest == domain.UUIDString() and n.owner), "")
