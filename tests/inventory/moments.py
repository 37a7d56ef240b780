"""Hosts that are asked one after the other, with something happening in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from servers.drivers.base import HostRef
from servers.fleet.polling import Survey, survey


def ask_one_by_one(monkeypatch: pytest.MonkeyPatch, asker: str, between: Callable[[], object]) -> None:
    """Let `asker`'s first question reach node1 first, and the other hosts after `between` has happened."""
    asked: list[bool] = []

    def ask(hosts: Iterable[HostRef], limit_s: float = 30.0) -> Survey:
        if asked:
            return survey(hosts, limit_s)
        asked.append(True)
        first = survey([host for host in hosts if host.name == "node1"], limit_s)
        between()
        return first | survey([host for host in hosts if host.name != "node1"], limit_s)

    monkeypatch.setattr(f"{asker}.survey", ask)
