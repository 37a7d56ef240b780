"""NetworkManager: one keyfile an interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID, uuid5

from servers.drivers.guest_network.base import Format, GuestFile, Interface

FOLDER = "/etc/NetworkManager/system-connections"
NAMESPACE = UUID("6d0f4b3e-8f0c-5f0e-9c39-5a0a4d5d0c55")
HIGHEST_PRIORITY = 999
"""Of connections that fit the same device, the one with the highest autoconnect-priority is taken at boot."""


class NetworkManager(Format):
    """A connection's id names the hardware address, so that a command finds it by its device."""

    name = "network_manager"
    probe = """
        command -v nmcli || return 1
        nmcli -t -f TYPE,STATE device | grep '^ethernet:' | grep -v ':unmanaged$'"""
    apply = """
        nmcli connection reload || return 1
        for name in "$@"; do
            id=gantry-$(cat "/sys/class/net/$name/address")
            if nmcli -g connection.id connection show id "$id" >/dev/null 2>&1; then
                nmcli --wait 20 connection up id "$id" ifname "$name" || return 1
            else
                nmcli --wait 20 device connect "$name" || return 1
            fi
        done"""

    @classmethod
    def render(cls, interfaces: Sequence[Interface], present: Mapping[str, str]) -> tuple[GuestFile, ...]:
        return tuple(
            GuestFile(f"{FOLDER}/gantry-{i.key}.nmconnection", _keyfile(i), 0o600) for i in interfaces
        )


def _keyfile(interface: Interface) -> str:
    lines = [
        "[connection]",
        f"id=gantry-{interface.mac}",
        f"uuid={uuid5(NAMESPACE, interface.mac)}",
        "type=ethernet",
        f"autoconnect-priority={HIGHEST_PRIORITY}",
        "",
        "[ethernet]",
        f"mac-address={interface.mac.upper()}",
    ]
    for version, without in ((4, "disabled"), (6, "auto")):
        lines += ["", f"[ipv{version}]", *_family(interface, version, without)]
    return "\n".join(lines) + "\n"


def _family(interface: Interface, version: int, without: str) -> list[str]:
    """Return the settings of one family; `without` is the method where the interface has no address of it."""
    addresses = [address for address in interface.addresses if address.version == version]
    lines = [f"method={'manual' if addresses else without}"]
    lines += [f"address{n}={address.with_prefixlen}" for n, address in enumerate(addresses, 1)]
    for n, hop in enumerate((h for h in interface.hops if h.gateway.version == version), 1):
        metric = "" if hop.metric is None else f",{hop.metric}"
        lines.append(f"route{n}={hop.destination},{hop.gateway}{metric}")
        if hop.on_link:
            lines.append(f"route{n}_options=onlink=true")
    dns = [str(address) for address in interface.dns if address.version == version]
    return lines + ([f"dns={';'.join(dns)};"] if dns else [])
