"""From addresses as they are recorded to interfaces as the guest has them, matched by hardware address."""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv6Interface

from servers.drivers.base import Nic
from servers.drivers.guest_network.base import Address, Hop, Interface, Network, Unrenderable

MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,14}")
KERNEL_NAME_CHARS = 15
"""IFNAMSIZ - 1: no link has a longer name."""
MAX_FILES, PATH_CHARS = 256, 255
"""Of how many files a guest may keep its network in, and how long their paths may be."""
FIRST_METRIC = 100
"""Of the first interface with a gateway; each later one is 100 worse, so that two gateways do not contend."""


@dataclass(frozen=True)
class Link:
    """A network link as the guest reports it. `master` is the bridge or bond to which it belongs."""

    name: str
    mac: str
    hardware: bool
    master: str = ""


@dataclass(frozen=True)
class Survey:
    """What a guest says of its network before anything is changed."""

    links: tuple[Link, ...] = ()
    formats: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Survey:
        """Read what the guest's part of the survey prints, a fact a line. Raises Unrenderable.

        Root in the guest may let it print anything: a link with a name that no kernel takes is passed over.
        """
        links: list[Link] = []
        formats: list[str] = []
        files: dict[str, str] = {}
        for line in text.splitlines():
            match line.split():
                case ["link", kind, name, mac, *master] if _is_plain(name, KERNEL_NAME_CHARS):
                    links.append(Link(name, mac.lower(), kind == "hardware", "".join(master)))
                case ["format", name]:
                    formats.append(name)
                case ["file", path, *content]:
                    files[path] = _decoded(path, "".join(content))
                    if len(files) > MAX_FILES:
                        raise Unrenderable(f"it keeps its network in more than {MAX_FILES} files")
        return cls(tuple(links), tuple(formats), files)

    def link(self, mac: str) -> Link:
        """Return the link with this hardware address. Raises Unrenderable unless there is just one to use."""
        same = [link for link in self.links if link.mac == mac]
        same = [link for link in same if link.hardware] or same
        if not same:
            raise Unrenderable(f"the guest has no interface with the hardware address {mac}")
        if len(same) > 1:
            names = ", ".join(link.name for link in same)
            raise Unrenderable(f"several interfaces of the guest have the hardware address {mac}: {names}")
        if same[0].master:
            raise Unrenderable(f"interface {same[0].name} belongs to {same[0].master} in the guest")
        if not NAME.fullmatch(same[0].name):
            raise Unrenderable(f"the guest calls {mac} {same[0].name!r}, which no configuration can hold")
        return same[0]


def match(nics: Iterable[Nic], survey: Survey) -> tuple[Interface, ...]:
    """Return the interfaces to set: those for which addresses are recorded. Raises Unrenderable."""
    found: list[Interface] = []
    gateways: dict[int, int] = {4: 0, 6: 0}
    for nic in nics:
        if not nic.addresses:
            continue
        mac = nic.mac.lower()
        if not MAC.fullmatch(mac):
            raise Unrenderable(f"{nic.mac!r} is no hardware address")
        addresses = tuple(_address(text) for text in nic.addresses)
        hops = [_hop(r.destination, r.gateway, addresses) for r in nic.routes]
        if nic.gateway:
            hops.insert(0, _default(nic.gateway, addresses, gateways))
        dns = tuple(_host(text, "name server") for text in nic.dns)
        found.append(Interface(survey.link(mac).name, mac, addresses, tuple(hops), dns))
    if not found:
        raise Unrenderable("no addresses are recorded for it")
    return tuple(found)


def _address(text: str) -> IPv4Interface | IPv6Interface:
    try:
        address = ipaddress.ip_interface(_plain(text))
    except ValueError as error:
        raise Unrenderable(f"{text!r} is no address in CIDR form") from error
    if address.is_multicast or address.is_unspecified or address.is_loopback:
        raise Unrenderable(f"{text} cannot be the address of an interface")
    return address


def _host(text: str, what: str) -> Address:
    try:
        return ipaddress.ip_address(_plain(text))
    except ValueError as error:
        raise Unrenderable(f"{text!r} is no address of a {what}") from error


def _plain(text: str) -> str:
    """Return the text unless it has a zone: behind the % of an IPv6 address anything may stand."""
    if "%" in text:
        raise ValueError(text)
    return text


def _default(text: str, addresses: tuple[IPv4Interface | IPv6Interface, ...], seen: dict[int, int]) -> Hop:
    """Return the default route; `seen` counts those of each family."""
    gateway = _host(text, "gateway")
    everywhere = ipaddress.ip_network("0.0.0.0/0" if gateway.version == 4 else "::/0")
    seen[gateway.version] += 1
    return _via(everywhere, gateway, addresses, FIRST_METRIC * seen[gateway.version])


def _hop(destination: str, gateway: str, addresses: tuple[IPv4Interface | IPv6Interface, ...]) -> Hop:
    try:
        network = ipaddress.ip_network(_plain(destination))
    except ValueError as error:
        raise Unrenderable(f"{destination!r} is no destination in CIDR form") from error
    return _via(network, _host(gateway, "gateway"), addresses, None)


def _via(
    network: Network,
    gateway: Address,
    addresses: tuple[IPv4Interface | IPv6Interface, ...],
    metric: int | None,
) -> Hop:
    own = [address for address in addresses if address.version == gateway.version]
    if network.version != gateway.version:
        raise Unrenderable(f"{network} and its gateway {gateway} are of different families")
    if not own:
        raise Unrenderable(f"gateway {gateway} needs an IPv{gateway.version} address on the interface")
    if gateway in [address.ip for address in own]:
        raise Unrenderable(f"gateway {gateway} is the interface's own address")
    near = gateway.is_link_local or any(gateway in address.network for address in own)
    return Hop(network, gateway, on_link=not near, metric=metric)


def _decoded(path: str, content: str) -> str:
    if not _is_plain(path, PATH_CHARS):
        raise Unrenderable("a file of its network has a name that cannot be kept")
    try:
        return base64.b64decode(content, validate=True).decode()
    except ValueError:
        raise Unrenderable(f"{path} of the guest cannot be read as text") from None


def _is_plain(text: str, most: int) -> bool:
    return text.isprintable() and len(text) <= most
