"""Choosing a host: placement first, then the host that was asked for, then the filters, then the weights."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

from servers.errors import (
    ComputeServiceUnavailable,
    DestinationHypervisorTooOld,
    InvalidHypervisorType,
    MigrationPreCheckError,
    NoValidHost,
    UnableToMigrateToSelf,
)
from servers.scheduler.base import Decision, HostState, MoveRequest, Verdict
from servers.scheduler.filters import FILTERS, named
from servers.scheduler.weighers import weigh

NOBODY_LEFT = "There are not enough hosts available."
GROUP_FILTERS = {"affinity": "affinity", "anti-affinity": "anti_affinity"}


def select_hosts(
    request: MoveRequest,
    hosts: Iterable[HostState],
    *,
    filters: Sequence[str],
    count: int = 0,
    subset_size: int = 1,
    rng: random.Random | None = None,
) -> Decision:
    """Return at most `count` hosts (0: all that pass), best first, with the verdict on every host.

    Equally good hosts come in the order of their names; the first is drawn from the best `subset_size`.
    Raises NoValidHost, whose fact `verdicts` says of each host why not.
    """
    require_group_filter(request, filters)
    everybody = sorted(hosts, key=lambda host: host.name)
    verdicts = {host.name: judge(host, request, filters) for host in everybody}
    placed = [host for host in everybody if in_placement(host, request) is None]
    if not placed:
        raise NoValidHost(reason="", verdicts=tuple(verdicts.values()))
    passed = [host for host in everybody if verdicts[host.name].accepted]
    if not passed:
        raise NoValidHost(reason=NOBODY_LEFT, verdicts=tuple(verdicts.values()))
    weights = weigh(passed, request)
    for host in passed:
        verdicts[host.name] = replace(verdicts[host.name], weight=round(weights[host.name], 6))
    order = sorted(passed, key=lambda host: (-weights[host.name], host.name))
    if subset_size > 1:
        best = order[:subset_size]
        first = (rng or random.Random()).choice(best)
        order = [first, *[host for host in order if host is not first]]
    names = tuple(host.name for host in order)
    return Decision(names[:count] if count else names, tuple(verdicts.values()))


def explain(request: MoveRequest, hosts: Iterable[HostState], *, filters: Sequence[str]) -> list[Verdict]:
    """Return the verdict on every host, without choosing."""
    try:
        return list(select_hosts(request, hosts, filters=filters).verdicts)
    except NoValidHost as fault:
        return list(fault.facts.get("verdicts", ()))


def require_group_filter(request: MoveRequest, filters: Sequence[str]) -> None:
    """Do nothing when the server's group policy can be kept. Raises NoValidHost (CONTRACT C.3)."""
    needed = GROUP_FILTERS.get(request.group.policy) if request.group else None
    if needed is not None and needed not in filters:
        reason = f"ServerGroup policy is not supported: the filter {needed} is not enabled"
        raise NoValidHost(reason=reason)


def in_placement(host: HostState, request: MoveRequest) -> str | None:
    """Return why placement does not offer `host`, or None (CONTRACT C.1)."""
    if request.requested_host is not None and host.name != request.requested_host:
        return f"only {request.requested_host} was asked for"
    if not host.enabled:
        return FILTERS["compute"].refuses(host, request)
    for (unit, need), (_, free), (_, room) in zip(
        request.resources.each(), host.free.each(), host.room.each(), strict=True
    ):
        if need and need > free:
            return f"the server needs {need} {unit}, {max(free, 0)} of {room} are free"
    return None


def judge(host: HostState, request: MoveRequest, filters: Sequence[str]) -> Verdict:
    """Return the verdict on one host, with the first reason that refuses it."""
    reason = in_placement(host, request)
    if reason is not None:
        return Verdict(host.name, False, reason, "placement")
    if request.ignores(host.name):
        why = "the server is there" if host.name == request.source else "it was tried already"
        return Verdict(host.name, False, why, "ignored")
    for chosen in named(filters):
        reason = chosen.refuses(host, request)
        if reason is not None:
            return Verdict(host.name, False, reason, chosen.name)
    return Verdict(host.name, True)


def check_forced(request: MoveRequest, host: HostState) -> None:
    """Check a host that was forced; a disabled one is accepted (CONTRACT B.7). Raises ActionFault."""
    if host.name == request.source:
        raise UnableToMigrateToSelf(instance_id=request.server_uuid, host=host.name)
    if not host.up:
        raise ComputeServiceUnavailable(host=host.name)
    available, needed = host.free.memory_mb, request.resources.memory_mb
    if available < needed:
        lack = f"Lack of memory(host:{available} <= instance:{needed})"
        raise MigrationPreCheckError(reason=f"Unable to migrate {request.server_uuid} to {host.name}: {lack}")
    if host.driver != request.driver or host.hypervisor_type != request.hypervisor_type:
        raise InvalidHypervisorType
    if host.hypervisor_version < request.hypervisor_version:
        raise DestinationHypervisorTooOld
