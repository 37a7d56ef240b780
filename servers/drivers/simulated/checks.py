"""Whether a guest can go to a host: the CPU and the hypervisor (Nova contract B.8)."""

from __future__ import annotations

import sqlite3

from servers.errors import DestinationHypervisorTooOld, InvalidCPUInfo, InvalidHypervisorType

CPU_GENERATIONS = (
    (
        "Nehalem",
        "Westmere",
        "SandyBridge",
        "IvyBridge",
        "Haswell",
        "Broadwell",
        "Skylake-Server",
        "Cascadelake-Server",
        "Icelake-Server",
        "SapphireRapids",
    ),
    ("Opteron_G3", "Opteron_G4", "Opteron_G5", "EPYC", "EPYC-Rome", "EPYC-Milan", "EPYC-Genoa"),
)
"""Families of libvirt's CPU models, oldest first: a newer one has what an older one promises."""


def runs_on_cpu(promised: str, offered: str) -> bool:
    """Return whether a CPU of model `offered` has all that model `promised` has; unknown models only equal ones."""
    if promised in {"", offered}:
        return True
    return any(
        promised in family and offered in family and family.index(promised) < family.index(offered)
        for family in CPU_GENERATIONS
    )


def check_hosts(source: sqlite3.Row, destination: sqlite3.Row) -> None:
    """Raise PreCheckFault where the destination's hypervisor or CPU cannot run what the source runs."""
    if source["hypervisor_type"] != destination["hypervisor_type"]:
        raise InvalidHypervisorType
    if destination["version"] < source["version"]:
        raise DestinationHypervisorTooOld
    if not runs_on_cpu(source["cpu_model"], destination["cpu_model"]):
        reason = (
            f"{destination['name']} has {destination['cpu_model'] or 'an unknown model'},"
            f" which lacks what {source['cpu_model']} of {source['name']} promises"
        )
        raise InvalidCPUInfo(reason=reason)
