"""What is run inside a guest: constant shell text, with the values as arguments and standard input."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from servers.drivers.guest_network import FORMATS
from servers.drivers.guest_network.base import Format, GuestFile, Interface

GUEST_SIDE = (files(__package__) / "guest.sh").read_text()
SHELL = "/bin/sh"


@dataclass(frozen=True)
class Run:
    """A program to run in the guest."""

    arguments: tuple[str, ...]
    stdin: str = ""
    path: str = SHELL


def survey() -> Run:
    """Return what prints the text that `Survey.parse` reads."""
    patterns = dict.fromkeys(pattern for style in FORMATS for pattern in style.reads)
    probes = _functions(**{f"probe_{style.name}": style.probe for style in FORMATS})
    return _run(probes, "survey", *(style.name for style in FORMATS), "--", *patterns)


def inject(style: type[Format], interfaces: Sequence[Interface], written: Sequence[GuestFile]) -> Run:
    """Return what writes the files and puts them into effect, or leaves the network as it was."""
    order = [f"file {file.mode:o} {file.path} {_encoded(file.text)}" for file in written]
    for interface in interfaces:
        order += [f"address {interface.name} {address.with_prefixlen}" for address in interface.addresses]
        order += [
            f"route {hop.gateway.version} {interface.name} {hop.kernel_text} {hop.gateway}"
            for hop in interface.hops
        ]
    return _run(_commands(style), "inject", *_names(interfaces), stdin="\n".join([*order, "end"]) + "\n")


def reset(style: type[Format] | None, names: Sequence[str]) -> Run:
    """Return what takes the interfaces down and up again; style is None where the format is not known."""
    commands = _commands(style) if style else _functions(release="true", renew='restore "$@"')
    return _run(commands, "reset", *names)


def _names(interfaces: Sequence[Interface]) -> list[str]:
    return list(dict.fromkeys(interface.name for interface in interfaces))


def _run(functions: str, *arguments: str, stdin: str = "") -> Run:
    return Run(("-c", functions + GUEST_SIDE, "gantry", *arguments), stdin)


def _commands(style: type[Format]) -> str:
    renew = style.renew or style.apply
    return _functions(release=style.release, check=style.check, apply=style.apply, renew=renew)


def _functions(**bodies: str) -> str:
    return "".join(f"{name}() {{\n{body}\n}}\n" for name, body in bodies.items())


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
