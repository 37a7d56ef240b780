"""Choosing destinations: candidates, filters, weights; a verdict for each host (Nova contract C.1 to C.4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from random import Random

from servers.errors import NoValidHost
from servers.scheduler import placement
from servers.scheduler.filters import FILTERS, Filter, filters_named
from servers.scheduler.request import Decision, HostState, MoveRequest, Verdict
from servers.scheduler.weighers import WEIGHERS, default_multipliers, weigh_hosts

NOT_ENOUGH = "There are not enough hosts available."
ACCEPTED, IGNORED, POLICY = "accepted", "ignored", "policy"


def select_hosts(
    request: MoveRequest,
    hosts: Iterable[HostState],
    *,
    filters: Iterable[str],
    weighers: Mapping[str, float] | None = None,
    count: int = 1,
    subset_size: int = 1,
    chance: Random | None = None,
) -> Decision:
    """Return up to `count` hosts to try, best first (0: all of them), and what was thought of each host.

    filters: names, in the order in which they are asked. weighers: multipliers by name, None for their own.
    The first host is drawn from the best `subset_size`. Raises NoValidHost, with facts["verdicts"].
    """
    filters = tuple(filters)
    verdicts = explain(request, hosts, filters=filters, weighers=weighers)
    unsupported = refuses_policy(request, filters_named(filters), weighers)
    if unsupported is not None:
        raise NoValidHost(unsupported, verdicts=tuple(verdicts))
    names = [verdict.host for verdict in verdicts if verdict.accepted]
    if not names:
        none_in_question = all(verdict.code in placement.STAGE for verdict in verdicts)
        raise NoValidHost(reason="" if none_in_question else NOT_ENOUGH, verdicts=tuple(verdicts))
    if subset_size > 1:
        drawn = (chance or Random()).randrange(min(subset_size, len(names)))
        names.insert(0, names.pop(drawn))
    return Decision(tuple(names[: count or None]), tuple(verdicts))


def explain(
    request: MoveRequest,
    hosts: Iterable[HostState],
    *,
    filters: Iterable[str],
    weighers: Mapping[str, float] | None = None,
) -> list[Verdict]:
    """Return what is thought of each host: the accepted ones, best first, then the others by name."""
    asked = filters_named(filters)
    unsupported = refuses_policy(request, asked, weighers)
    accepted, refused = [], []
    for host in sorted(hosts, key=lambda host: host.name):
        refusal = (POLICY, unsupported) if unsupported else _refusal(host, request, asked)
        if refusal is None:
            accepted.append(host)
        else:
            refused.append(Verdict(host.name, False, code=refusal[0], reason=refusal[1]))
    multipliers = default_multipliers() if weighers is None else weighers
    return rank(accepted, request, multipliers) + refused


def rank(hosts: Sequence[HostState], request: MoveRequest, multipliers: Mapping[str, float]) -> list[Verdict]:
    """Return verdicts for accepted hosts, best first; of equally good ones the first of `hosts` comes first."""
    verdicts = []
    for host, parts in zip(hosts, weigh_hosts(hosts, request, multipliers), strict=True):
        weight = sum(parts.values())
        detail = ", ".join(f"{name} {part:.2f}" for name, part in parts.items() if part)
        reason = f"weighs {weight:.2f}" + (f": {detail}" if detail else "")
        verdicts.append(Verdict(host.name, True, reason, ACCEPTED, weight))
    return sorted(verdicts, key=lambda verdict: -(verdict.weight or 0.0))


def refuses_policy(
    request: MoveRequest, filters: Iterable[Filter], weighers: Mapping[str, float] | None
) -> str | None:
    """Return the sentence for a group whose policy nothing enabled cares for, or None (Nova contract C.3)."""
    if request.group is None:
        return None
    enabled = {rule.policy for rule in filters}
    enabled |= {WEIGHERS[name].policy for name in (WEIGHERS if weighers is None else weighers)}
    known = [FILTERS[name] for name in FILTERS] + [WEIGHERS[name] for name in WEIGHERS]
    for rule in known:
        if rule.policy == request.group.policy and rule.policy not in enabled:
            return f"ServerGroup policy is not supported: {rule.nova_name} not configured"
    return None


def _refusal(host: HostState, request: MoveRequest, filters: Iterable[Filter]) -> tuple[str, str] | None:
    """Return the code and the reason of the first stage that refuses `host`, or None."""
    refusal = placement.refuses(host, request)
    if refusal is not None:
        return refusal
    if host.name.lower() in {name.lower() for name in request.ignore_hosts}:
        return IGNORED, "the server is here" if host.name == request.source else "left out: tried already"
    for rule in filters:
        reason = rule.refuses(host, request)
        if reason is not None:
            return rule.name, reason
    return None
