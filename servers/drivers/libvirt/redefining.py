"""The definition of a new guest out of a saved one's: what is the saved one's alone is left out of it."""

from __future__ import annotations

import libvirt
from lxml import etree
from lxml.builder import E

from servers.drivers.base import Guest
from servers.drivers.libvirt import definitions, domain_metadata
from servers.drivers.libvirt.definitions import Node
from servers.drivers.libvirt.domain_metadata import MigrationMetadata
from servers.drivers.libvirt.errors import Unreadable
from servers.errors import RestoreFailed

BOUND = ("hostdev", "filesystem", "shmem", "tpm", "redirdev", "lease")
"""Devices that belong to one guest, or to one host: two guests cannot have them."""


def saved_definition(domain: libvirt.virDomain) -> str:
    """Return what a guest is, without its secrets."""
    return str(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE if domain.isPersistent() else 0))


def new_definition(
    saved: str,
    guest: Guest,
    domain_type: str,
    device: str,
    path: str,
    metadata: MigrationMetadata | None = None,
) -> str:
    """Return the definition of `guest`: as the saved one, with the qcow2 at `path` as its only disk, and this metadata.

    Raises RestoreFailed where the saved definition cannot be read, or has no such disk.
    """
    try:
        tree = _redefined(definitions.parse(saved), guest, domain_type, device, path)
        if metadata is not None:
            domain_metadata.into(tree, metadata)
        return str(etree.tostring(tree, encoding="unicode"))
    except (Unreadable, ValueError) as error:  # the latter: what is to stand in it cannot stand in XML
        raise RestoreFailed(reason=f"the definition of the saved guest cannot be read: {error}") from error


def _redefined(tree: Node, guest: Guest, domain_type: str, device: str, path: str) -> Node:
    devices = tree.find("devices")
    if devices is None:
        raise RestoreFailed(reason="the definition of the saved guest has no devices")
    tree.set("type", domain_type)
    tree.attrib.pop("id", None)
    _name(tree, guest)
    _keep_disk(devices, device, path)
    _connect(devices, guest)
    for tag in BOUND:
        _drop(devices, tag)
    for console in [*devices.iterfind("serial"), *devices.iterfind("console")]:
        _detach_file(console)
    return tree


def _name(tree: Node, guest: Guest) -> None:
    """Give the definition the guest's name and UUID, wherever the saved one's stand."""
    for tag, text in (("name", guest.name), ("uuid", str(guest.uuid))):
        _drop(tree, tag)
        tree.insert(0, E(tag, text))
    for entry in tree.iterfind("sysinfo/system/entry[@name='uuid']"):
        entry.text = str(guest.uuid)
    if tree.find("genid") is not None:
        _drop(tree, "genid")
        tree.append(E.genid())
    loader = tree.find("os")
    if loader is not None:
        _drop(loader, "nvram")  # a file of the saved guest's; libvirt makes another one from its template
    _drop(tree, "seclabel")
    metadata = tree.find("metadata")
    if metadata is not None:
        _drop(metadata, f"{{{domain_metadata.NAMESPACE}}}move")


def _keep_disk(devices: Node, device: str, path: str) -> None:
    """Leave the one disk that was saved; drives are empty then."""
    kept = False
    for disk in devices.findall("disk"):
        target = disk.find("target")
        if target is not None and target.get("dev") == device:
            kept = True
            disk.set("type", "file")
            for tag in ("source", "driver", "backingStore", "mirror", "serial", "wwn", "auth", "encryption"):
                _drop(disk, tag)
            disk.insert(0, E.source(file=path))
            disk.insert(0, E.driver(name="qemu", type="qcow2"))
        elif disk.get("device") in {"cdrom", "floppy"}:
            _drop(disk, "source")
            disk.set("type", "file")
        else:
            devices.remove(disk)
    if not kept:
        raise RestoreFailed(reason=f"the definition of the saved guest has no disk {device!r}")


def _connect(devices: Node, guest: Guest) -> None:
    """Give each interface a hardware address of the new guest's; one that nobody has recorded gets libvirt's."""
    macs = [nic.mac for nic in guest.nics]
    for interface in devices.findall("interface"):
        if interface.get("type") == "hostdev":
            devices.remove(interface)
            continue
        for tag in ("mac", "target"):
            _drop(interface, tag)
        if macs:
            interface.insert(0, E.mac(address=macs.pop(0)))


def _detach_file(console: Node) -> None:
    """Let a console that was written to a file of the saved guest's be a terminal."""
    if console.get("type") in {"file", "pipe", "unix", "dev"}:
        console.set("type", "pty")
        for tag in ("source", "log"):
            _drop(console, tag)


def _drop(parent: Node, tag: str) -> None:
    for child in parent.findall(tag):
        parent.remove(child)
