"""Domain XML: what a definition says, and our own mark in it. https://libvirt.org/formatdomain.html"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from lxml import etree

from servers.drivers.base import Nic

Node: TypeAlias = etree._Element
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
    """Return the root of a definition; nothing outside of it is read."""
    return etree.fromstring(xml, etree.XMLParser(resolve_entities=False, no_network=True))


def disks(domain: Node) -> Iterator[DiskSource]:
    """Yield the disks of a definition: no CD-ROM, no floppy, nothing that only reads."""
    for disk in domain.iterfind("devices/disk"):
        source, target, driver = disk.find("source"), disk.find("target"), disk.find("driver")
        if disk.get("device", "disk") != "disk" or source is None or target is None:
            continue
        if disk.find("readonly") is not None:
            continue
        path = source.get("file") or source.get("dev") or ""
        kind = "raw" if driver is None else driver.get("type", "raw")
        yield DiskSource(target.get("dev", ""), path, source.get("pool", ""), source.get("volume", ""), kind)


def nics(domain: Node) -> Iterator[Nic]:
    """Yield the interfaces of a definition with their network, or bridge, or device."""
    for interface in domain.iterfind("devices/interface"):
        mac, source = interface.find("mac"), interface.find("source")
        where = (
            ""
            if source is None
            else next((source.get(k) for k in ("network", "bridge", "dev") if source.get(k)), "")
        )
        yield Nic(mac="" if mac is None else mac.get("address", ""), network=where or "")


def has_agent(domain: Node, *, running: bool) -> bool:
    """Return whether a guest agent listens; of a guest that is off, whether it has a channel for one."""
    for target in domain.iterfind("devices/channel/target"):
        if target.get("name") == AGENT_CHANNEL:
            return not running or target.get("state") == "connected"
    return False


def memory_mb(domain: Node) -> int:
    """Return the memory of the guest; XMLDesc always counts it in KiB."""
    return int(domain.findtext("memory", "0")) // 1024


def vcpus(domain: Node) -> int:
    return int(domain.findtext("vcpu", "1"))
