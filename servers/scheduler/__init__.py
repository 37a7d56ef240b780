"""Choosing where a server goes. It sees frozen facts only, so it can be thought through without a database."""

from servers.scheduler.filters import FILTERS
from servers.scheduler.forced import check_forced
from servers.scheduler.groups import refuses as group_refuses
from servers.scheduler.request import (
    Decision,
    GroupFacts,
    HostState,
    Member,
    MoveRequest,
    Resources,
    Verdict,
)
from servers.scheduler.selection import explain, select_hosts
from servers.scheduler.weighers import WEIGHERS

__all__ = [
    "FILTERS",
    "WEIGHERS",
    "Decision",
    "GroupFacts",
    "HostState",
    "Member",
    "MoveRequest",
    "Resources",
    "Verdict",
    "check_forced",
    "explain",
    "group_refuses",
    "select_hosts",
]
