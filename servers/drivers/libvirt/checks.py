"""Whether a guest can go to a host: what libvirt knows of both, with each reason (Nova contract B.8)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import libvirt
from lxml import etree

from servers.drivers.base import DestinationCheck, Disk, FoundGuest, Guest, MoveOptions, Pool
from servers.drivers.libvirt import definitions, describing
from servers.drivers.libvirt.answers import Node, counter, tree
from servers.drivers.libvirt.errors import Unreadable, ignore_libvirt_errors, is_lost
from servers.drivers.libvirt.host_session import HostSession, domain_of
from servers.drivers.libvirt.pools import all_pools, volume_at
from servers.drivers.storage import check_room, check_storage
from servers.errors import (
    DestinationHypervisorTooOld,
    InvalidCPUInfo,
    InvalidHypervisorType,
    MigrationPreCheckError,
    UnableToMigrateToSelf,
)

MIB = 1024**2
IMMOVABLE = {
    "hostdev": "a host device is passed through to it",
    "filesystem": "a folder of the host is mounted in it",
}
"""Devices that bind a guest to its host."""
SNAPSHOTS = (
    "it has snapshots, which libvirt moves to no other host: delete them first, with virsh snapshot-delete"
)


@dataclass(frozen=True)
class Origin:
    """What the source says of itself and of the guest."""

    machine: str
    kind: str
    version: int
    cpu: str
    definition: Node
    found: FoundGuest
    snapshots: int


def origin(connection: libvirt.virConnect, guest: Guest) -> Origin | None:
    """Return what the destination has to compare with itself, None where the guest is not defined."""
    domain = domain_of(connection, guest.uuid)
    if domain is None:
        return None
    capabilities = tree(connection.getCapabilities())
    cpu = capabilities.find("host/cpu")
    flags = libvirt.VIR_DOMAIN_XML_UPDATE_CPU | libvirt.VIR_DOMAIN_XML_MIGRATABLE
    return Origin(
        machine=capabilities.findtext("host/uuid", ""),
        kind=connection.getType(),
        version=connection.getVersion(),
        cpu="" if cpu is None else etree.tostring(cpu, encoding="unicode"),
        definition=definitions.parse(domain.XMLDesc(flags)),
        found=describing.found_guest(connection, domain),
        snapshots=domain.snapshotNum(),
    )


def check_destination(here: HostSession, source: HostSession, guest: Guest) -> DestinationCheck:
    """Return what the host `here` offers to a guest of `source`. Raises PreCheckFault."""
    self_refused = UnableToMigrateToSelf(instance_id=guest.uuid, host=here.ref.name)
    if here.ref.uri == source.ref.uri:
        raise self_refused
    there = source.ask("check_can_live_migrate_destination", lambda connection: origin(connection, guest))
    if there is None:
        raise source.missing(guest)

    def check(connection: libvirt.virConnect) -> DestinationCheck:
        machine = tree(connection.getCapabilities()).findtext("host/uuid", "")
        if machine == there.machine:
            raise self_refused
        if connection.getType() != there.kind:
            raise InvalidHypervisorType
        if connection.getVersion() < there.version:
            raise DestinationHypervisorTooOld
        reason = (
            unmovable(there.definition)
            or (SNAPSHOTS if there.snapshots else "")
            or unsupported(connection, there.definition)
            or unconnected(connection, there.definition)
            or crowded(connection, there.found)
        )
        pools = all_pools(connection, here.settings.shared_pools)
        needed = {disk.pool for disk in there.found.disks if disk.pool}
        if missing := sorted(needed - {p.name for p in pools}):
            reason = reason or f"{here.ref.name} has no storage pool {missing[0]}"
        if reason:
            raise MigrationPreCheckError(reason=reason)
        check_cpu(connection, there, here.ref.name)
        room = sum(p.available_bytes for p in pools if p.name in needed)
        return DestinationCheck(here.ref.name, pools, room)

    return here.ask("check_can_live_migrate_destination", check)


def check_source(
    here: HostSession, guest: Guest, destination: DestinationCheck, options: MoveOptions
) -> bool:
    """Return whether the disks have to be copied. Raises InvalidLocalStorage, InvalidSharedStorage, …"""

    def facts(connection: libvirt.virConnect) -> tuple[FoundGuest | None, tuple[Pool, ...], str]:
        domain = domain_of(connection, guest.uuid)
        found = None if domain is None else describing.found_guest(connection, domain)
        chain = "" if found is None else based(connection, found.disks)
        return found, all_pools(connection, here.settings.shared_pools), chain

    found, pools, chain = here.ask("check_can_live_migrate_source", facts)
    if found is None:
        raise here.missing(guest)
    for disk in found.disks:
        if not disk.pool:
            raise MigrationPreCheckError(
                reason=f"disk {disk.device} ({disk.path}) is in no storage pool of {here.ref.name}"
            )
    block = check_storage(here.ref.name, options, found.disks, pools, destination.pools)
    if block and chain:
        raise MigrationPreCheckError(reason=chain)
    if block:
        check_room(guest, options, found.disks, destination.available_disk_bytes)
    return block


def obstacle_while_off(here: HostSession, there: HostSession, guest: Guest, disks: list[Disk]) -> str:
    """Return why the guest could not be at `there` what it is here when it is off, or an empty string.

    disks: those that have to be copied. A confirmed move removes the guest here, so nothing may stay behind.
    """

    def tied(connection: libvirt.virConnect) -> tuple[Node, str]:
        domain = domain_of(connection, guest.uuid)
        if domain is None:
            raise here.missing(guest)
        definition = definitions.parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        return definition, unmovable(definition) or left_behind(domain, definition) or based(
            connection, disks
        )

    definition, reason = here.ask("migrate_disk_and_power_off", tied)
    return reason or there.ask(
        "migrate_disk_and_power_off",
        lambda connection: unsupported(connection, definition) or unconnected(connection, definition),
    )


def left_behind(domain: libvirt.virDomain, definition: Node) -> str:
    """Return what libvirt keeps of the guest on its host beside its disks, or an empty string."""
    if not domain.isPersistent():
        return "it is gone as soon as it is off: make it permanent with virsh define"
    if domain.hasManagedSaveImage():
        return "its memory is saved on its host: start it first, or drop that with virsh managedsave-remove"
    if domain.snapshotNum():
        return SNAPSHOTS
    if definition.find("devices/tpm") is not None:
        return "its TPM keeps its secrets on its host; only a live migration takes them along"
    if definition.find("os/nvram") is not None:
        return "its UEFI variables lie on its host; only a live migration takes them along"
    return ""


def based(connection: libvirt.virConnect, disks: Iterable[Disk]) -> str:
    """Return which of the disks holds only what differs from another file, or an empty string."""
    for disk in disks:
        volume = volume_at(connection, disk.path)
        base = volume and tree(volume.XMLDesc()).findtext("backingStore/path")
        if base:
            return f"disk {disk.device} is based on {base}: join them first, with virsh blockpull"
    return ""


def unmovable(definition: Node) -> str:
    """Return which device of the guest binds it to its host, or an empty string."""
    for tag, reason in IMMOVABLE.items():
        if definition.find(f"devices/{tag}") is not None:
            return reason
    for interface in definition.iterfind("devices/interface"):
        if interface.get("type") in {"hostdev", "direct"}:
            return f"its interface is of type {interface.get('type')}, which belongs to its host"
    for disk in definition.iterfind("devices/disk"):
        if disk.get("device") in {"cdrom", "floppy"} and disk.find("source") is not None:
            return f"there is a medium in its {disk.get('device')} drive"
    return ""


def unsupported(connection: libvirt.virConnect, definition: Node) -> str:
    """Return why the hypervisor cannot run a machine of this kind, or an empty string."""
    kind = definition.find("os/type")
    if kind is None:
        raise Unreadable("a definition without a kind of machine")
    try:
        connection.getDomainCapabilities(None, kind.get("arch"), kind.get("machine"), definition.get("type"))
    except libvirt.libvirtError as error:
        if is_lost(error):
            raise
        return f"{connection.getHostname()} cannot run it: {error}"
    return ""


def unconnected(connection: libvirt.virConnect, definition: Node) -> str:
    """Return which network or bridge of the guest is missing, or an empty string."""
    for interface in definition.iterfind("devices/interface"):
        source = interface.find("source")
        kind = interface.get("type")
        if source is None or kind not in {"network", "bridge"}:
            continue
        name = source.get(kind, "")
        if kind == "network" and not has_network(connection, name):
            return f"{connection.getHostname()} has no active network {name}"
        if kind == "bridge" and not has_bridge(connection, name):
            return f"{connection.getHostname()} has no bridge {name}"
    return ""


def has_network(connection: libvirt.virConnect, name: str) -> bool:
    with ignore_libvirt_errors(libvirt.VIR_ERR_NO_NETWORK):
        return bool(connection.networkLookupByName(name).isActive())
    return False


def has_bridge(connection: libvirt.virConnect, name: str) -> bool:
    """Return whether the host has the interface; taken for granted where libvirt cannot list interfaces."""
    with ignore_libvirt_errors(libvirt.VIR_ERR_NO_SUPPORT):
        return any(interface.name() == name for interface in connection.listAllInterfaces())
    return True


def crowded(connection: libvirt.virConnect, found: FoundGuest) -> str:
    """Return that the memory does not suffice, or an empty string. Caches count as free."""
    stats = connection.getMemoryStats(libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS)
    available = sum(counter(stats, name) for name in ("free", "buffers", "cached")) * 1024 // MIB
    if available >= found.memory_mb:
        return ""
    return f"{connection.getHostname()} has {available} MiB of memory, the guest needs {found.memory_mb} MiB"


def check_cpu(connection: libvirt.virConnect, there: Origin, host: str) -> None:
    """Raise InvalidCPUInfo where the CPU lacks what the guest was promised; libvirt compares."""
    cpu, kind = there.definition.find("cpu"), there.definition.find("os/type")
    virt_type = there.definition.get("type", "")
    if cpu is None or kind is None or virt_type != "kvm":
        return  # an emulated CPU is the same everywhere
    try:
        if cpu.get("mode") == "host-passthrough":
            result = connection.compareCPU(there.cpu)
        else:
            xml = etree.tostring(cpu, encoding="unicode")
            result = connection.compareHypervisorCPU(
                None, kind.get("arch"), kind.get("machine"), virt_type, xml
            )
    except libvirt.libvirtError as error:
        if is_lost(error):
            raise
        raise InvalidCPUInfo(reason=f"{host} cannot tell: {error}") from error
    if result == libvirt.VIR_CPU_COMPARE_INCOMPATIBLE:
        model = cpu.findtext("model") or tree(there.cpu or "<cpu/>").findtext("model", "")
        raise InvalidCPUInfo(
            reason=f"{host} lacks features of {model or 'the CPU'} that the guest was promised"
        )
