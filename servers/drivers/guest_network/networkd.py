"""systemd-networkd: one .network file an interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from servers.drivers.guest_network import resolver
from servers.drivers.guest_network.base import Format, GuestFile, Hop, Interface

FOLDER = "/etc/systemd/network"


class Networkd(Format):
    """The first file that matches decides, so ours begin with 00."""

    name = "networkd"
    probe = "command -v networkctl && systemctl -q is-active systemd-networkd"
    apply = 'networkctl reload && networkctl reconfigure "$@" || systemctl restart systemd-networkd'
    reads = (resolver.PATH,)

    @classmethod
    def render(cls, interfaces: Sequence[Interface], present: Mapping[str, str]) -> tuple[GuestFile, ...]:
        files = [GuestFile(f"{FOLDER}/00-gantry-{i.key}.network", _network(i)) for i in interfaces]
        return (*files, *resolver.render(interfaces, present))


def _network(interface: Interface) -> str:
    lines = ["[Match]", f"MACAddress={interface.mac}", "Type=ether", "", "[Network]"]
    lines += [f"Address={address.with_prefixlen}" for address in interface.addresses]
    lines += [f"DNS={address}" for address in interface.dns]
    for hop in interface.hops:
        lines += ["", *_route(hop)]
    return "\n".join(lines) + "\n"


def _route(hop: Hop) -> list[str]:
    lines = ["[Route]", f"Destination={hop.destination}", f"Gateway={hop.gateway}"]
    if hop.metric is not None:
        lines.append(f"Metric={hop.metric}")
    if hop.on_link:
        lines.append("GatewayOnLink=yes")
    return lines
