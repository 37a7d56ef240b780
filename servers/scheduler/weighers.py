"""The weighers: each is one reason to prefer a host, brought to a common scale (Nova contract C.4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from servers.scheduler.registry import Registry
from servers.scheduler.request import HostState, MoveRequest


@dataclass(frozen=True)
class Weigher:
    """One thing of which a destination has more or less than another; the highest sum of all wins."""

    name: str
    nova_name: str
    """Nova's class of the same meaning, for the texts that name it."""
    multiplier: float
    """What one counts, unless the caller says otherwise; less than nothing prefers hosts that have less."""
    value: Callable[[HostState, int], float]
    """What gives the raw value, from the host and the number of others of the server's group on it, which is 0
    unless the group's policy is `policy`."""
    lowest: float | None = None
    """The raw value that counts as 0 (Nova's minval); without one it is the candidates' own lowest."""
    policy: str = ""
    """The policy of server groups that this weigher serves, if it does."""

    def weigh(self, host: HostState, request: MoveRequest) -> float:
        """Return the raw value of `host`."""
        group = request.group
        others = len(group.members_on(host.name)) if group and group.policy == self.policy else 0
        return self.value(host, others)


def _free_vcpus(host: HostState) -> float:
    """Return the vCPUs in all, with the ratio, less what is used or reserved."""
    return host.total.vcpus * host.ratios[0] - host.used.vcpus - host.reserved.vcpus


_TABLE = (  # name, Nova's class, multiplier, raw value
    # free memory in MiB, no ratio applied
    Weigher("ram", "RAMWeigher", 1.0, lambda host, _: host.unused.memory_mb, lowest=0.0),
    # free vCPUs, with the ratio
    Weigher("cpu", "CPUWeigher", 1.0, lambda host, _: _free_vcpus(host), lowest=0.0),
    # free disk in MiB, no ratio applied
    Weigher("disk", "DiskWeigher", 1.0, lambda host, _: host.unused.disk_gb * 1024, lowest=0.0),
    # the hypervisor's version number
    Weigher("hypervisor_version", "HypervisorVersionWeigher", 1.0, lambda host, _: host.hypervisor_version),
    # others of the server's group on the host
    Weigher(
        "soft_affinity",
        "ServerGroupSoftAffinityWeigher",
        1.0,
        lambda _, others: others,
        policy="soft-affinity",
    ),
    # others of the server's group on the host, counted downwards
    Weigher(
        "soft_anti_affinity",
        "ServerGroupSoftAntiAffinityWeigher",
        1.0,
        lambda _, others: -others,
        policy="soft-anti-affinity",
    ),
    # servers in a task that keeps the host's disks busy
    Weigher("io_ops", "IoOpsWeigher", -1.0, lambda host, _: host.io_ops),
    # servers on the host; they count nothing by default
    Weigher("num_instances", "NumInstancesWeigher", 0.0, lambda host, _: host.num_instances),
    # failures in a row; they outweigh everything else
    Weigher("build_failures", "BuildFailureWeigher", -1_000_000.0, lambda host, _: host.build_failures),
)

WEIGHERS = Registry("weigher", _TABLE)


def default_multipliers() -> dict[str, float]:
    """Return every weigher's name with its own multiplier."""
    return {name: WEIGHERS[name].multiplier for name in WEIGHERS}


def normalise(values: Sequence[float], lowest: float | None = None) -> list[float]:
    """Return `values` on a scale from 0 to 1; all 0 where they do not differ."""
    if len(set(values)) <= 1:
        return [0.0] * len(values)
    bottom = min(values) if lowest is None else lowest
    raised = [max(value, bottom) for value in values]
    span = max(raised) - bottom
    return [(value - bottom) / span if span else 0.0 for value in raised]


def weigh_hosts(
    hosts: Sequence[HostState], request: MoveRequest, multipliers: Mapping[str, float]
) -> list[dict[str, float]]:
    """Return for each host its parts by weigher, each normalised over `hosts` and multiplied.

    Raises ValueError for a name that no weigher has.
    """
    parts: list[dict[str, float]] = [{} for _ in hosts]
    for name, multiplier in multipliers.items():
        weigher = WEIGHERS[name]
        scale = normalise([weigher.weigh(host, request) for host in hosts], weigher.lowest)
        for part, value in zip(parts, scale, strict=True):
            part[name] = multiplier * value
    return parts
