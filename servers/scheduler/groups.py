"""What a group promises its members: the one place that says so, for the choice, the claim and the switch.

What counts is room that is held, not where a server is at this moment: a move under way, and one that waits to be
confirmed, hold room on two hosts, and the server may be on either of them in the end.
"""

from __future__ import annotations

from collections.abc import Callable

from servers.scheduler.request import GroupFacts


def refuses(group: GroupFacts, host: str) -> str | None:
    """Return why one more of `group` may not have room on `host`, or None. A soft policy refuses nothing."""
    rule = HARD.get(group.policy)
    return rule(group, host) if rule else None


def crowded(group: GroupFacts, host: str) -> str | None:
    """Return that as many as may be hold room on `host`, or None: a member counts on both hosts of its move."""
    there, most = group.members_on(host), group.max_server_per_host
    if len(there) < most:
        return None
    return f"anti-affinity group {group.name} may have {most} on {host}, and has room there for {', '.join(there)}"


def parted(group: GroupFacts, host: str) -> str | None:
    """Return that the others are not on `host`, or None.

    One other on it is enough, as it is for Nova. But only a member that holds room on one host alone shows
    where the group is: beside one that moves nobody could be sure of staying together with it, whatever becomes of
    that move. So while all others move, nobody joins them.
    """
    settled = {name for member in group.members if len(member.hosts) == 1 for name in member.hosts}
    if host in settled or not group.members:
        return None
    if settled:
        return f"affinity group {group.name} is on {', '.join(sorted(settled))}"
    return f"affinity group {group.name} is on the move: {', '.join(sorted(m.name for m in group.members))}"


HARD: dict[str, Callable[[GroupFacts, str], str | None]] = {"anti-affinity": crowded, "affinity": parted}
"""The rules of the policies that are promises; the others are weighed."""
