"""Storage pools: which of them two hosts share, and which volume a path is."""

from __future__ import annotations

import libvirt
from lxml import etree

from servers.drivers.base import Pool
from servers.drivers.libvirt.definitions import Node
from servers.drivers.libvirt.errors import forgiven

NETWORK_POOLS = frozenset({"netfs", "rbd", "gluster", "iscsi", "iscsi-direct", "mpath", "scsi", "vstorage"})
"""Pools whose storage is somewhere else than on the host: two hosts that name the same source see the same disks."""


def pool(found: libvirt.virStoragePool, shared_pools: frozenset[str]) -> Pool:
    """Return what a pool is to another host. A directory is the host's own unless the deployment says otherwise."""
    description = etree.fromstring(found.XMLDesc())
    _, capacity, _, available = found.info()
    kind, name = description.get("type", ""), found.name()
    if name in shared_pools:
        return Pool(name, f"shared:{name}", True, capacity, available)
    if kind in NETWORK_POOLS:
        return Pool(name, f"{kind}:{_source(description)}", True, capacity, available)
    return Pool(name, f"{kind}:{found.UUIDString()}", False, capacity, available)


def _source(description: Node) -> str:
    """Return where a network pool's storage is: its hosts, its directory or device, its name there."""
    source = description.find("source")
    if source is None:
        return ""
    parts = [f"{host.get('name')}:{host.get('port', '')}" for host in source.findall("host")]
    parts += [device.get("path", "") for device in source.findall("device")]
    parts += [directory.get("path", "") for directory in source.findall("dir")]
    return " ".join([*parts, source.findtext("name", "")]).strip()


def all_pools(connection: libvirt.virConnect, shared_pools: frozenset[str]) -> tuple[Pool, ...]:
    """Return the active pools of a host, in the order of their names."""
    found = connection.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE)
    return tuple(sorted((pool(p, shared_pools) for p in found), key=lambda p: p.name))


def volume_at(connection: libvirt.virConnect, path: str) -> libvirt.virStorageVol | None:
    """Return the volume with this path, None where no active pool has it."""
    with forgiven(libvirt.VIR_ERR_NO_STORAGE_VOL):
        return connection.storageVolLookupByPath(path)
    return None


def pool_named(connection: libvirt.virConnect, name: str) -> libvirt.virStoragePool | None:
    """Return the active pool with this name, or None."""
    with forgiven(libvirt.VIR_ERR_NO_STORAGE_POOL):
        found = connection.storagePoolLookupByName(name)
        return found if found.isActive() else None
    return None


def volume_in(pool: libvirt.virStoragePool, name: str) -> libvirt.virStorageVol | None:
    """Return the volume with this name in a pool, or None."""
    with forgiven(libvirt.VIR_ERR_NO_STORAGE_VOL):
        return pool.storageVolLookupByName(name)
    return None
