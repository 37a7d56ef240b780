"""What a format of network configuration is: how it is recognised, written and put into effect."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import ClassVar

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Unrenderable(Exception):
    """The network information does not fit the guest, or itself; the text says why, for a person."""


@dataclass(frozen=True)
class Hop:
    """A route. `on_link`: the gateway lies in no subnet of the interface and is reached directly all the same."""

    destination: Network
    gateway: Address
    on_link: bool = False
    metric: int | None = None

    @property
    def kernel_text(self) -> str:
        """Return the destination as `ip route` prints it."""
        if self.destination.prefixlen == 0:
            return "default"
        if self.destination.prefixlen == self.destination.max_prefixlen:
            return str(self.destination.network_address)
        return str(self.destination)


@dataclass(frozen=True)
class Interface:
    """An interface as the guest has to set it. Typed values alone, so that no text of a caller reaches a file.

    `name` is what the guest calls the interface with that hardware address at this moment.
    """

    name: str
    mac: str
    addresses: tuple[IPv4Interface | IPv6Interface, ...]
    hops: tuple[Hop, ...] = ()
    dns: tuple[Address, ...] = ()

    @property
    def key(self) -> str:
        """Return the hardware address as part of a file's name."""
        return self.mac.replace(":", "")


@dataclass(frozen=True)
class GuestFile:
    """A file of the guest, whole."""

    path: str
    text: str
    mode: int = 0o644


class Format(ABC):
    """A format. Its commands are constant shell text; "$@" holds the names of the interfaces."""

    name: ClassVar[str]
    probe: ClassVar[str]
    """Succeeds in a guest whose network is kept in this format."""
    release: ClassVar[str] = "true"
    """Lets go of the interfaces, before files change."""
    check: ClassVar[str] = "true"
    """Succeeds when the format's own tool accepts the files that were written."""
    apply: ClassVar[str]
    """Puts the files into effect."""
    renew: ClassVar[str] = ""
    """Sets the interfaces anew after they were down; `apply` where it is empty."""
    reads: ClassVar[tuple[str, ...]] = ()
    """Patterns of files that `render` has to see."""

    @classmethod
    @abstractmethod
    def render(cls, interfaces: Sequence[Interface], present: Mapping[str, str]) -> tuple[GuestFile, ...]:
        """Return the files to write. `present` holds the files that `reads` names, by path.

        What others have written stays; the new files are named such that they win.
        """
