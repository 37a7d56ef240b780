"""Gantry's mark in a domain's metadata: which move the guest is in. It survives a worker's death."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import libvirt
from lxml import etree

from servers.drivers.base import HostRef
from servers.drivers.libvirt.definitions import Node
from servers.drivers.libvirt.errors import forgiven

NAMESPACE = "urn:gantry:move"
PREFIX = "gantry"


class Way(StrEnum):
    LIVE = "live"
    """It is being moved live to `host`."""
    TO = "to"
    """It was shut down here, to be started at `host`."""
    FROM = "from"
    """It came from `host`, shut down; the copy there is kept until it is confirmed."""


@dataclass(frozen=True)
class Mark:
    """Which way a guest goes, and what has to be remembered for it."""

    way: Way
    host: str
    uri: str
    post_copy: bool = False
    was_running: bool = False
    autostart: bool = False

    def peer(self) -> HostRef:
        """Return the other host of the move."""
        return HostRef(self.host, "libvirt", self.uri)


def mark(way: Way, peer: HostRef, **facts: bool) -> Mark:
    """Return a mark for a move to or from `peer`."""
    return Mark(way, peer.name, peer.uri, **facts)


def write(domain: libvirt.virDomain, content: Mark | None, flags: int) -> None:
    """Put the mark into the domain's metadata, or take it out; flags: VIR_DOMAIN_AFFECT_LIVE or _CONFIG."""
    with forgiven(libvirt.VIR_ERR_NO_DOMAIN_METADATA):
        xml = None if content is None else etree.tostring(element(content), encoding="unicode")
        domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, xml, PREFIX, NAMESPACE, flags)


def read(domain: libvirt.virDomain, flags: int) -> Mark | None:
    """Return the mark in the domain's metadata, or None."""
    with forgiven(libvirt.VIR_ERR_NO_DOMAIN_METADATA, libvirt.VIR_ERR_NO_SUPPORT):
        found = etree.fromstring(domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE, flags))
        return Mark(
            Way(found.get("way")),
            found.get("host", ""),
            found.get("uri", ""),
            **{name: found.get(name) == "yes" for name in ("post_copy", "was_running", "autostart")},
        )
    return None


def element(content: Mark) -> Node:
    """Return the mark as XML, without namespace: libvirt adds it."""
    flags = {
        "post_copy": content.post_copy,
        "was_running": content.was_running,
        "autostart": content.autostart,
    }
    attributes = {"way": content.way.value, "host": content.host, "uri": content.uri}
    return etree.Element("move", {**attributes, **{name: "yes" for name, given in flags.items() if given}})


def into(definition: Node, content: Mark) -> None:
    """Put the mark into a definition that is to be defined, in the place of any other."""
    metadata = definition.find("metadata")
    if metadata is None:
        metadata = etree.SubElement(definition, "metadata")
    for old in metadata.findall(f"{{{NAMESPACE}}}move"):
        metadata.remove(old)
    plain = element(content)
    metadata.append(etree.Element(f"{{{NAMESPACE}}}move", dict(plain.attrib), nsmap={PREFIX: NAMESPACE}))
