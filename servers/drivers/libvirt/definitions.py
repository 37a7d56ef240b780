"""Domain XML: what a definition says, and our own metadata in it. https://libvirt.org/formatdomain.html"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from servers.drivers.base import Nic
from servers.drivers.libvirt import answers
from servers.drivers.libvirt.answers import Node as Node
from servers.drivers.libvirt.answers import amount, text
from servers.drivers.limits import AMOUNT, BYTES, DEVICE, FORMAT, MAC, NAME, PATH

AGENT_CHANNEL = "org.qemu.guest_agent.0"


@dataclass(frozen=True)
class DiskSource:
    """Where a disk of a definition lies; `path` is empty for storage that has none on this host."""

    device: str
    path: str
    pool: str
    volume: str
    format: str


def parse(xml: str) -> Node:
    """Return the root of a definition; nothing outside of it is read. Raises Unreadable."""
    return answers.tree(xml)


def disks(domain: Node) -> Iterator[DiskSource]:
    """Yield the disks of a definition: no CD-ROM, no floppy, nothing that only reads. Raises Unreadable."""
    for disk in domain.iterfind("devices/disk"):
        source, target, driver = disk.find("source"), disk.find("target"), disk.find("driver")
        if disk.get("device", "disk") != "disk" or source is None or target is None:
            continue
        if disk.find("readonly") is not None:
            continue
        kind = "raw" if driver is None else driver.get("type", "raw")
        yield DiskSource(
            text(target.get("dev"), "disk", DEVICE),
            text(source.get("file") or source.get("dev"), "path", PATH),
            text(source.get("pool"), "storage pool", NAME),
            text(source.get("volume"), "volume", PATH),
            text(kind, "disk format", FORMAT),
        )


def nics(domain: Node) -> Iterator[Nic]:
    """Yield the interfaces of a definition with their network, or bridge, or device. Raises Unreadable."""
    for interface in domain.iterfind("devices/interface"):
        mac, source = interface.find("mac"), interface.find("source")
        named = () if source is None else (source.get(k) for k in ("network", "bridge", "dev"))
        yield Nic(
            mac=text(None if mac is None else mac.get("address"), "hardware address", MAC),
            network=text(next(filter(None, named), ""), "network", NAME),
        )


def has_agent(domain: Node, *, running: bool) -> bool:
    """Return whether a guest agent listens; of a guest that is off, whether it has a channel for one."""
    for target in domain.iterfind("devices/channel/target"):
        if target.get("name") == AGENT_CHANNEL:
            return not running or target.get("state") == "connected"
    return False


def memory_mb(domain: Node) -> int:
    """Return the memory of the guest; XMLDesc always counts it in KiB. Raises Unreadable."""
    return amount(amount(domain.findtext("memory"), "memory", BYTES) // 1024, "memory", AMOUNT)


def vcpus(domain: Node) -> int:
    return amount(domain.findtext("vcpu", "1"), "number of processors", AMOUNT)
