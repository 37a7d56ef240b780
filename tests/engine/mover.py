"""One of several workers that carry out moves of a group's members at the same moment; `group_race` starts it.

Reads commands from its input, and answers each with a line: `group <slug>` makes a group with a member on each host
but the last, and moves that send all of them there; `work <action>` carries a move out; `together` says how many of
the newest group are on one host.
"""

from __future__ import annotations

import sys
from collections import Counter
from functools import cache
from typing import Any
from uuid import UUID

import django

django.setup()

from servers.models import ActionRecord, Allocation, ServerGroup  # noqa: E402
from tests.carrying_out import carry_out  # noqa: E402
from tests.engine.group_race import AT_CHOICE, AT_CLAIM, MEMBERS  # noqa: E402
from tests.small_fleet import SmallFleet  # noqa: E402

TARGET = f"node{MEMBERS + 1}"
TINY: dict[str, Any] = {"vcpus": 0, "memory_mb": 1, "root_gb": 0, "storage": "local"}
REFUSED = {"no_valid_host", "group_policy_violated"}


@cache
def the_fleet() -> SmallFleet:
    """Return the fleet of all races; the process that prepares them makes it."""
    return SmallFleet(hosts=MEMBERS + 1)


def make_group(slug: str) -> str:
    """Make a group and the moves of its members; return the moves."""
    fleet = the_fleet()
    fleet.heartbeat()
    group = ServerGroup.objects.create(
        name="db", project_id=fleet.project.pk, user_id="u", policy="anti-affinity"
    )
    params = {"host": TARGET, **({"block_migration": "auto"} if slug == "live-migration" else {})}
    moves = []
    for number in range(1, MEMBERS + 1):
        server = fleet.add_server(f"web-{number}", f"node{number}", group=group, **TINY)
        moves.append(fleet.submit(slug, server, **params).record)
    return " ".join(str(move.pk) for move in moves)


def work(action: str) -> str:
    """Carry the move out; return its end, and whether the choice or the claim has refused it."""
    while not ActionRecord.objects.get(pk=action).is_over:
        carry_out(UUID(action), "mover")
    record = ActionRecord.objects.get(pk=action)
    if record.error_code not in REFUSED:
        return f"{record.status} {record.error_text}".strip()
    lost = record.error_code == "no_valid_host" and not any(
        "lost_race" in e.facts for e in record.events.all()
    )
    return AT_CHOICE if lost else AT_CLAIM


def together(_: str) -> str:
    """Return the most of the newest group's members that are on one host: by record, by room, or by guest."""
    members = list(ServerGroup.objects.latest("pk").servers.select_related("host"))
    room = Allocation.objects.filter(server__in=members) | Allocation.objects.filter(
        migration__server__in=members
    )
    running = the_fleet().simulation.running_on
    views = (
        Counter(member.host.name for member in members if member.host),
        Counter(room.values_list("host__name", flat=True)),
        Counter(running(member.uuid) for member in members),
    )
    return str(max(max(view.values()) for view in views))


COMMANDS = {"group": make_group, "work": work, "together": together}

if __name__ == "__main__":
    print("ready", flush=True)
    for line in sys.stdin:
        word, _, subject = line.strip().partition(" ")
        print(COMMANDS[word](subject), flush=True)
