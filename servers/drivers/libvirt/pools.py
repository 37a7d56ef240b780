"""Storage pools: which of them two hosts share, and which volume a path is."""

from __future__ import annotations

import libvirt

from servers.drivers.base import Pool
from servers.drivers.libvirt.answers import Node, text, tree
from servers.drivers.libvirt.errors import Unreadable, ignore_libvirt_errors
from servers.drivers.limits import AMOUNT, NAME, TYPE, shortened
from servers.errors import DriverFault

GIB = 1024**3

NOT_THERE = (libvirt.VIR_ERR_NO_STORAGE_POOL, libvirt.VIR_ERR_NO_STORAGE_VOL)
"""How libvirt says that there is no such volume, or that its pool has just gone."""
NETWORK_POOLS = frozenset({"netfs", "rbd", "gluster", "iscsi", "iscsi-direct", "mpath", "scsi", "vstorage"})
"""Pools whose storage is somewhere else than on the host: two hosts that name the same source see the same disks."""


def pool(found: libvirt.virStoragePool, shared_pools: frozenset[str]) -> Pool:
    """Return what a pool is to another host. A directory is the host's own unless the deployment says otherwise.

    Raises Unreadable.
    """
    description = tree(found.XMLDesc())
    kind = text(description.get("type"), "kind of pool", TYPE)
    name = text(found.name(), "name of a pool", NAME)
    capacity, available = sizes(found)
    if name in shared_pools:
        return Pool(name, shortened(f"shared:{name}"), True, capacity, available)
    if kind in NETWORK_POOLS:
        return Pool(name, shortened(f"{kind}:{_source(description)}"), True, capacity, available)
    return Pool(name, f"{kind}:{found.UUIDString()}", False, capacity, available)


def sizes(found: libvirt.virStoragePool) -> tuple[int, int]:
    """Return how many bytes a pool has, and how many are free. There are file systems that boast: no pool has more

    than can be kept. Raises Unreadable.
    """
    match found.info():
        case [_, int() as capacity, _, int() as available]:
            most = AMOUNT * GIB
            return min(max(capacity, 0), most), min(max(available, 0), most)
    raise Unreadable(f"sizes of storage pool {found.name()} that cannot be any")


def _source(description: Node) -> str:
    """Return where a network pool's storage is: its hosts, its directory or device, its name there.

    Raises Unreadable.
    """
    source = description.find("source")
    if source is None:
        return ""
    parts = [f"{host.get('name')}:{host.get('port', '')}" for host in source.findall("host")]
    parts += [device.get("path", "") for device in source.findall("device")]
    parts += [directory.get("path", "") for directory in source.findall("dir")]
    said = " ".join([*parts, source.findtext("name", "")]).strip()
    return text(said, "source of a pool", len(said))


def all_pools(connection: libvirt.virConnect, shared_pools: frozenset[str]) -> tuple[Pool, ...]:
    """Return the active pools of a host, in the order of their names."""
    found: list[Pool] = []
    for each in connection.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
        with ignore_libvirt_errors(*NOT_THERE):  # it was stopped while it was looked at
            found.append(pool(each, shared_pools))
    return tuple(sorted(found, key=lambda p: p.name))


def volume_at(connection: libvirt.virConnect, path: str) -> libvirt.virStorageVol | None:
    """Return the volume with this path, None where no active pool has it."""
    with ignore_libvirt_errors(*NOT_THERE):
        return connection.storageVolLookupByPath(path)
    return None


def pool_named(connection: libvirt.virConnect, name: str) -> libvirt.virStoragePool | None:
    """Return the active pool with this name, or None."""
    with ignore_libvirt_errors(*NOT_THERE):
        found = connection.storagePoolLookupByName(name)
        return found if found.isActive() else None
    return None


def require_pool(connection: libvirt.virConnect, name: str) -> libvirt.virStoragePool:
    """Return the active pool with this name. Raises DriverFault where there is none."""
    found = pool_named(connection, name)
    if found is None:
        raise DriverFault(message=f"Host {connection.getHostname()} has no active storage pool {name!r}.")
    return found


def volume_in(pool: libvirt.virStoragePool, name: str) -> libvirt.virStorageVol | None:
    """Return the volume with this name in a pool, or None."""
    with ignore_libvirt_errors(*NOT_THERE):
        return pool.storageVolLookupByName(name)
    return None
