"""Gantry's mark in a domain's metadata: which move the guest is in, and whose. It survives a worker's death."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import libvirt
from lxml import etree

from servers.drivers.base import HostRef
from servers.drivers.libvirt.answers import Node, tree
from servers.drivers.libvirt.errors import Unreadable, forgiven
from servers.errors import DriverFault

NAMESPACE = "urn:gantry:move"
PREFIX = "gantry"
TAG = f"{{{NAMESPACE}}}move"
FLAGS = ("post_copy", "was_running", "autostart")


class Way(StrEnum):
    LIVE = "live"
    """It is being moved live to `host`."""
    TO = "to"
    """It was shut down here, to be started at `host`."""
    FROM = "from"
    """It came from `host`, shut down; the copy there is kept until it is confirmed."""
    MADE = "made"
    """It was made here out of a backup."""
    ENDED = "ended"
    """Its move is over: who comes late for that one finds it so."""


@dataclass(frozen=True)
class Mark:
    """Which way a guest goes, for which migration, and what has to be remembered for it.

    `migration` is a UUID, of one that was made the action's; older versions have left it out.
    """

    way: Way
    host: str
    uri: str
    migration: str = ""
    post_copy: bool = False
    was_running: bool = False
    autostart: bool = False

    @property
    def owner(self) -> str:
        """Return the migration to which the guest belongs; empty where its move is over, or an older version's."""
        return "" if self.way is Way.ENDED else self.migration

    def is_ours(self, way: Way, owner: str) -> bool:
        """Return whether the mark is of this way, and the owner's or an older version's."""
        return self.way is way and self.migration in {"", owner}

    def ended(self, owner: str) -> Mark:
        """Return what is left of the mark when the move is over."""
        return Mark(Way.ENDED, self.host, self.uri, owner)

    def peer(self) -> HostRef:
        """Return the other host of the move."""
        return HostRef(self.host, "libvirt", self.uri)


def mark(way: Way, peer: HostRef, migration: str, **facts: bool) -> Mark:
    """Return a mark for a move to or from `peer`."""
    return Mark(way, peer.name, peer.uri, migration, **facts)


def everywhere(domain: libvirt.virDomain) -> int:
    """Return the flags for a mark in the definition, and in what runs of it; a transient domain has no definition."""
    flags: int = libvirt.VIR_DOMAIN_AFFECT_CONFIG if domain.isPersistent() else 0
    return flags | libvirt.VIR_DOMAIN_AFFECT_LIVE if domain.isActive() else flags


def kept(domain: libvirt.virDomain) -> Mark | None:
    """Return the mark in the definition; of a transient domain, the one with which it runs. Raises DriverFault."""
    if domain.isPersistent():
        return read(domain, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    return read(domain, libvirt.VIR_DOMAIN_AFFECT_LIVE)


def write(domain: libvirt.virDomain, content: Mark | None, flags: int) -> None:
    """Put the mark into the domain's metadata, or take it out; flags: VIR_DOMAIN_AFFECT_LIVE or _CONFIG, or both."""
    with forgiven(libvirt.VIR_ERR_NO_DOMAIN_METADATA):
        xml = None if content is None else etree.tostring(element(content), encoding="unicode")
        domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, xml, PREFIX, NAMESPACE, flags)


def read(domain: libvirt.virDomain, flags: int) -> Mark | None:
    """Return the mark in the domain's metadata, or None. Raises DriverFault for one that cannot be read."""
    with forgiven(libvirt.VIR_ERR_NO_DOMAIN_METADATA, libvirt.VIR_ERR_NO_SUPPORT):
        text = domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE, flags)
        try:
            return parse(tree(text))
        except (ValueError, Unreadable) as error:
            guest = domain.UUIDString()
            message = f"The mark of guest {guest} cannot be read, so nobody knows whose it is: {error}"
            raise DriverFault(message=message) from error
    return None


def parse(found: Node) -> Mark:
    """Return the mark in an element. Raises ValueError for a way that nobody knows."""
    return Mark(
        Way(found.get("way", "")),
        found.get("host", ""),
        found.get("uri", ""),
        found.get("migration", ""),
        **{name: found.get(name) == "yes" for name in FLAGS},
    )


def within(definition: Node) -> Mark | None:
    """Return the mark in a definition, None where there is none that can be read."""
    found = definition.find(f"metadata/{TAG}")
    try:
        return None if found is None else parse(found)
    except ValueError:
        return None


def element(content: Mark) -> Node:
    """Return the mark as XML, without namespace: libvirt adds it."""
    attributes = {"way": content.way.value, "host": content.host, "uri": content.uri}
    if content.migration:
        attributes["migration"] = content.migration
    return etree.Element("move", {**attributes, **{name: "yes" for name in FLAGS if getattr(content, name)}})


def into(definition: Node, content: Mark) -> None:
    """Put the mark into a definition that is to be defined, in the place of any other."""
    metadata = definition.find("metadata")
    if metadata is None:
        metadata = etree.SubElement(definition, "metadata")
    for old in metadata.findall(TAG):
        metadata.remove(old)
    metadata.append(etree.Element(TAG, dict(element(content).attrib), nsmap={PREFIX: NAMESPACE}))
