"""Machines of a deployment, played by one process: each has values of its own, and compares in its turn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from servers.deployment import comparison
from servers.deployment.facts import FACTS


class Machine:
    """A machine with the same values as every other one, until one is changed."""

    def __init__(self, patch: pytest.MonkeyPatch, name: str) -> None:
        self.patch, self.name = patch, name
        self.values: dict[str, Any] = {fact.name: {"identity": "a"} for fact in FACTS}
        self.lacks: set[str] = set()

    def compare(self, *, member: bool = True) -> list[str]:
        """Compare; return the names of the facts in which the machine differs."""
        with self.patch.context() as patch:
            patch.setattr(comparison, "FACTS", tuple(map(self.fact, FACTS)))
            return [each.fact for each in comparison.compare(self.name if member else "", "worker")]

    def fact(self, fact: Any) -> Any:
        return replace(
            fact,
            read=lambda: self.values[fact.name],
            make=None,
            differs=lambda here, there: "another one",
            lacks=lambda: fact.name in self.lacks,
            is_newer=lambda here, there: here.get("age", 0) > there.get("age", 0),
        )
