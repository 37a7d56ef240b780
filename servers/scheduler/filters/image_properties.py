"""image_properties: the host can run what the image was made for."""

from __future__ import annotations

import re
from typing import Any

from servers.scheduler.filters.base import FILTERS, Filter
from servers.scheduler.operators import NUMERIC
from servers.scheduler.request import HostState, MoveRequest

PROPERTIES = {
    "hw_architecture": "architecture",
    "img_hv_type": "hypervisor_type",
    "hw_vm_mode": "vm_mode",
}
"""The properties of each supported tuple, with the names that they had before Kilo (nova/objects/image_meta.py)."""

ALIASES = {
    "i386": "i686",
    "i486": "i686",
    "i586": "i686",
    "x86_32": "i686",
    "x86_32p": "i686",
    "amd64": "x86_64",
    "xapi": "xen",
    "pv": "xen",
    "hv": "hvm",
    "baremetal": "hvm",
}
"""Other spellings (canonicalize in nova/objects/fields.py)."""

CONDITION = re.compile(r"(<=|>=|<|>|!=|==)\s*(\d+(?:\.\d+)*)")


def canonical(value: Any) -> str:
    """Return a property's value in the spelling of the supported tuples."""
    lowered = str(value).lower()
    return ALIASES.get(lowered, lowered)


def version_satisfies(version: int, wanted: str) -> bool:
    """Return whether libvirt's number for a version obeys conditions such as ">=6.0, <9"."""
    has = (version // 1_000_000, version // 1000 % 1000, version % 1000)
    return all(_obeys(has, condition.strip()) for condition in wanted.split(","))


def _obeys(has: tuple[int, int, int], condition: str) -> bool:
    found = CONDITION.fullmatch(condition)
    if found is None:
        return False
    sign, numbers = found.groups()
    parts = [int(number) for number in numbers.split(".")][:3]
    limit = tuple(parts + [0] * (3 - len(parts)))
    order = (has > limit) - (has < limit)
    strict = {"<": order < 0, ">": order > 0}
    return strict[sign] if sign in strict else NUMERIC[sign](order, 0)


@FILTERS.add
class ImagePropertiesFilter(Filter):
    """Architecture, hypervisor type and vm mode are together in one of the host's supported tuples."""

    name = "image_properties"
    nova_name = "ImagePropertiesFilter"

    def refuses(self, host: HostState, request: MoveRequest) -> str | None:
        properties = request.image_properties
        given = {new: properties.get(new) or properties.get(old) for new, old in PROPERTIES.items()}
        wanted = {name: canonical(value) for name, value in given.items() if value}
        if not wanted:
            return None
        asked = ", ".join(f"{name} {value}" for name, value in wanted.items())
        if not host.supported:
            return f"image wants {asked}, the host does not say what it supports"
        if not any(set(wanted.values()) <= {canonical(v) for v in row} for row in host.supported):
            rows = "; ".join("/".join(row) for row in host.supported)
            return f"image wants {asked}, the host supports {rows}"
        version = properties.get("img_hv_requested_version") or properties.get("hypervisor_version_requires")
        if version and host.hypervisor_version and not version_satisfies(host.hypervisor_version, version):
            return f"image wants hypervisor version {version}, the host has {host.hypervisor_version}"
        return None
