"""Gantry's element in a domain's metadata: which move the guest is in, and whose. It survives a worker's death."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import libvirt
from lxml import etree

from servers.drivers.base import HostRef
from servers.drivers.libvirt.answers import Node, tree
from servers.drivers.libvirt.errors import Unreadable, ignore_libvirt_errors
from servers.errors import DriverFault

NAMESPACE = "urn:gantry:move"
PREFIX = "gantry"
TAG = f"{{{NAMESPACE}}}move"
FLAGS = ("post_copy", "was_running", "autostart")


class Direction(StrEnum):
    LIVE = "live"
    """It is being moved live to `host`."""
    OUTGOING = "to"
    """It was shut down here, to be started at `host`."""
    INCOMING = "from"
    """It came from `host`, shut down; the copy there is kept until it is confirmed."""
    MADE = "made"
    """It was made here out of a backup."""
    ENDED = "ended"
    """Its move is over: who comes late for that one finds it so."""


@dataclass(frozen=True)
class MigrationMetadata:
    """Which way a guest goes, for which migration, and what has to be remembered for it.

    `migration` is a UUID, of one that was made the action's; older versions have left it out.
    """

    way: Direction
    host: str
    uri: str
    migration: str = ""
    post_copy: bool = False
    was_running: bool = False
    autostart: bool = False

    @property
    def owner(self) -> str:
        """Return the migration to which the guest belongs; empty where its move is over, or an older version's."""
        return "" if self.way is Direction.ENDED else self.migration

    def is_ours(self, way: Direction, owner: str) -> bool:
        """Return whether the metadata is of this way, and the owner's or an older version's."""
        return self.way is way and self.migration in {"", owner}

    def ended(self, owner: str) -> MigrationMetadata:
        """Return what is left of the metadata when the move is over."""
        return MigrationMetadata(Direction.ENDED, self.host, self.uri, owner)

    def peer(self) -> HostRef:
        """Return the other host of the move."""
        return HostRef(self.host, "libvirt", self.uri)


def of_move(way: Direction, peer: HostRef, migration: str, **facts: bool) -> MigrationMetadata:
    """Return metadata for a move to or from `peer`."""
    return MigrationMetadata(way, peer.name, peer.uri, migration, **facts)


def everywhere(domain: libvirt.virDomain) -> int:
    """Return the flags for metadata in the definition, and in what runs of it; a transient domain has no definition."""
    flags: int = libvirt.VIR_DOMAIN_AFFECT_CONFIG if domain.isPersistent() else 0
    return flags | libvirt.VIR_DOMAIN_AFFECT_LIVE if domain.isActive() else flags


def kept(domain: libvirt.virDomain) -> MigrationMetadata | None:
    """Return the metadata in the definition; of a transient domain, the one with which it runs. Raises DriverFault."""
    if domain.isPersistent():
        return read(domain, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    return read(domain, libvirt.VIR_DOMAIN_AFFECT_LIVE)


def write(domain: libvirt.virDomain, content: MigrationMetadata | None, flags: int) -> None:
    """Put our element into the domain's metadata, or take it out; flags: VIR_DOMAIN_AFFECT_LIVE or _CONFIG, or both."""
    with ignore_libvirt_errors(libvirt.VIR_ERR_NO_DOMAIN_METADATA):
        xml = None if content is None else etree.tostring(element(content), encoding="unicode")
        domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, xml, PREFIX, NAMESPACE, flags)


def read(domain: libvirt.virDomain, flags: int) -> MigrationMetadata | None:
    """Return our element in the domain's metadata, or None. Raises DriverFault for one that cannot be read."""
    with ignore_libvirt_errors(libvirt.VIR_ERR_NO_DOMAIN_METADATA, libvirt.VIR_ERR_NO_SUPPORT):
        text = domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE, flags)
        try:
            return parse(tree(text))
        except (ValueError, Unreadable) as error:
            guest = domain.UUIDString()
            message = f"The metadata of guest {guest} cannot be read, so nobody knows whose it is: {error}"
            raise DriverFault(message=message) from error
    return None


def parse(found: Node) -> MigrationMetadata:
    """Return the metadata in an element. Raises ValueError for a way that nobody knows."""
    return MigrationMetadata(
        Direction(found.get("way", "")),
        found.get("host", ""),
        found.get("uri", ""),
        found.get("migration", ""),
        **{name: found.get(name) == "yes" for name in FLAGS},
    )


def within(definition: Node) -> MigrationMetadata | None:
    """Return the metadata in a definition, None where there is none that can be read."""
    found = definition.find(f"metadata/{TAG}")
    try:
        return None if found is None else parse(found)
    except ValueError:
        return None


def element(content: MigrationMetadata) -> Node:
    """Return the metadata as XML, without namespace: libvirt adds it."""
    attributes = {"way": content.way.value, "host": content.host, "uri": content.uri}
    if content.migration:
        attributes["migration"] = content.migration
    return etree.Element("move", {**attributes, **{name: "yes" for name in FLAGS if getattr(content, name)}})


def into(definition: Node, content: MigrationMetadata) -> None:
    """Put our element into a definition that is to be defined, in the place of any other."""
    parent = definition.find("metadata")
    if parent is None:
        parent = etree.SubElement(definition, "metadata")
    for old in parent.findall(TAG):
        parent.remove(old)
    parent.append(etree.Element(TAG, dict(element(content).attrib), nsmap={PREFIX: NAMESPACE}))
