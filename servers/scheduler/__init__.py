"""Choosing where a server goes. It sees frozen facts only, so it can be thought through without a database."""

from servers.scheduler.filters import FILTERS
from servers.scheduler.forced import check_forced
from servers.scheduler.request import Decision, GroupFacts, HostState, MoveRequest, Resources, Verdict
from servers.scheduler.selection import explain, select_hosts
from servers.scheduler.weighers import WEIGHERS

__all__ = [
    "FILTERS",
    "WEIGHERS",
    "Decision",
    "GroupFacts",
    "HostState",
    "MoveRequest",
    "Resources",
    "Verdict",
    "check_forced",
    "explain",
    "select_hosts",
]
