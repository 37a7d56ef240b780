"""netplan: one YAML file. It writes the configuration of systemd-networkd or NetworkManager."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from servers.drivers.guest_network.base import Format, GuestFile, Interface

PATH = "/etc/netplan/90-gantry.yaml"
FIRST = "0gantry-"
"""networkd takes the first of 10-netplan-<id>.network that matches: ours, before eth0, ens3 or an installer's."""


class Netplan(Format):
    """Interfaces match by hardware address, under names of our own."""

    name = "netplan"
    probe = """
        command -v netplan || return 1
        for file in /etc/netplan/*.yaml /run/netplan/*.yaml /lib/netplan/*.yaml; do
            [ -f "$file" ] && return 0
        done
        return 1"""
    check = "netplan generate"
    apply = "netplan apply"

    @classmethod
    def render(cls, interfaces: Sequence[Interface], present: Mapping[str, str]) -> tuple[GuestFile, ...]:
        ethernets = {f"{FIRST}{interface.key}": _ethernet(interface) for interface in interfaces}
        document = {"network": {"version": 2, "ethernets": ethernets}}
        return (GuestFile(PATH, yaml.safe_dump(document, sort_keys=False), 0o600),)


def _ethernet(interface: Interface) -> dict[str, Any]:
    ethernet: dict[str, Any] = {
        "match": {"macaddress": interface.mac},
        "dhcp4": False,
        "dhcp6": False,
        "addresses": [address.with_prefixlen for address in interface.addresses],
    }
    routes = []
    for hop in interface.hops:
        route: dict[str, Any] = {"to": str(hop.destination), "via": str(hop.gateway)}
        if hop.metric is not None:
            route["metric"] = hop.metric
        if hop.on_link:
            route["on-link"] = True
        routes.append(route)
    if routes:
        ethernet["routes"] = routes
    if interface.dns:
        ethernet["nameservers"] = {"addresses": [str(address) for address in interface.dns]}
    return ethernet
