"""/etc/resolv.conf, where it is a plain file that no program of the guest writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from servers.drivers.guest_network.base import GuestFile, Interface

PATH = "/etc/resolv.conf"


def render(interfaces: Sequence[Interface], present: Mapping[str, str]) -> tuple[GuestFile, ...]:
    """Return the file with our name servers; none where the guest did not show it, or no servers are known."""
    servers = list(dict.fromkeys(str(address) for interface in interfaces for address in interface.dns))
    if PATH not in present or not servers:
        return ()
    kept = [line for line in present[PATH].splitlines() if line.split()[:1] != ["nameserver"]]
    return (GuestFile(PATH, "\n".join([*kept, *(f"nameserver {server}" for server in servers)]) + "\n"),)
