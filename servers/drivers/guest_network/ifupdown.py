"""ifupdown: /etc/network/interfaces, of Debian and of busybox."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from ipaddress import IPv4Interface, IPv6Interface

from servers.drivers.guest_network import resolver
from servers.drivers.guest_network.base import Format, GuestFile, Hop, Interface

MAIN = "/etc/network/interfaces"
OURS = "/etc/network/interfaces.d/gantry"
MARK = "# replaced by gantry: "
STANZA = re.compile(
    r"(auto|allow-\S+|no-auto-down|no-scripts|iface|mapping|rename|source|source-directory)\s"
)


class Ifupdown(Format):
    """All stanzas of an interface are put together, so those that others wrote for ours are commented out.

    The lines are the ones that both ifupdown and busybox read; further addresses and routes are `ip` commands.
    """

    name = "ifupdown"
    probe = f"command -v ifup && [ -f {MAIN} ]"
    release = """
        for name in "$@"; do
            ifdown --force "$name" || ifdown -f "$name" || true
            ip addr flush dev "$name" scope global
        done 2>/dev/null"""
    apply = """
        for name in "$@"; do
            ifup "$name" || return 1
        done"""
    reads = (MAIN, "/etc/network/interfaces.d/*", resolver.PATH)

    @classmethod
    def render(cls, interfaces: Sequence[Interface], present: Mapping[str, str]) -> tuple[GuestFile, ...]:
        names = {interface.name for interface in interfaces}
        texts = {
            path: without(names, text) for path, text in present.items() if path not in {OURS, resolver.PATH}
        }
        texts[MAIN] = _with_source(texts.get(MAIN, ""))
        texts[OURS] = "\n\n".join(_stanzas(interface) for interface in interfaces) + "\n"
        files = [GuestFile(path, text) for path, text in texts.items() if present.get(path) != text]
        return (*files, *resolver.render(interfaces, present))


def without(names: Collection[str], text: str) -> str:
    """Return the text with everything that concerns these interfaces commented out."""
    lines: list[str] = []
    dropping = continued = False
    for line in text.splitlines():
        words = line.split()
        if continued:
            pass  # belongs to the line before
        elif STANZA.match(line.lstrip() + " ") and words[0] in {"iface", "mapping"}:
            dropping = words[1:2] != [] and words[1] in names
        elif STANZA.match(line.lstrip() + " "):
            dropping = False
        continued = line.endswith("\\")
        if dropping and words:
            lines.append(f"{MARK}{line}")
        elif not dropping and words and (words[0] == "auto" or words[0].startswith("allow-")):
            lines.append(_only_others(names, line, words))
        else:
            lines.append(line)
    return "\n".join(lines) + "\n" if lines else ""


def _only_others(names: Collection[str], line: str, words: list[str]) -> str:
    others = [word for word in words[1:] if word not in names]
    if len(others) == len(words) - 1:
        return line
    return " ".join([words[0], *others]) if others else f"{MARK}{line}"


def _with_source(text: str) -> str:
    """Return the main file such that it reads ours."""
    for line in text.splitlines():
        match line.split():
            case ["source", path] if path in {OURS, "/etc/network/interfaces.d/*", "interfaces.d/*"}:
                return text
            case ["source-directory", path] if path.rstrip("/") in {
                "/etc/network/interfaces.d",
                "interfaces.d",
            }:
                return text
    return f"{text}source {OURS}\n"


def _stanzas(interface: Interface) -> str:
    families = [[a for a in interface.addresses if a.version == version] for version in (4, 6)]
    stanzas = [_stanza(interface, addresses) for addresses in families if addresses]
    return "\n\n".join([f"auto {interface.name}", *stanzas])


def _stanza(interface: Interface, addresses: Sequence[IPv4Interface | IPv6Interface]) -> str:
    first, *further = addresses
    four = first.version == 4
    lines = [
        f"iface {interface.name} {'inet' if four else 'inet6'} static",
        f"    address {first.ip}",
        f"    netmask {first.netmask if four else first.network.prefixlen}",
    ]
    dns = [str(address) for address in interface.dns if address.version == first.version]
    if dns:
        lines.append(f"    dns-nameservers {' '.join(dns)}")
    lines += [f"    up ip addr add {address.with_prefixlen} dev $IFACE" for address in further]
    lines += [_route(hop) for hop in interface.hops if hop.gateway.version == first.version]
    return "\n".join(lines)


def _route(hop: Hop) -> str:
    family = f"-{hop.gateway.version}"
    metric = "" if hop.metric is None else f" metric {hop.metric}"
    on_link = " onlink" if hop.on_link else ""
    return f"    up ip {family} route replace {hop.destination} via {hop.gateway} dev $IFACE{metric}{on_link}"
