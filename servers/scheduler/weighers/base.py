"""What a weigher is: one reason to prefer a host, brought to a common scale."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from servers.scheduler.registry import Registry
from servers.scheduler.request import HostState, MoveRequest


class Weigher(ABC):
    """One thing of which a destination has more or less than another; the highest sum of all wins."""

    name: ClassVar[str]
    nova_name: ClassVar[str] = ""
    """Nova's class of the same meaning, for the texts that name it."""
    policy: ClassVar[str] = ""
    """The policy of server groups that this weigher serves, if it does."""
    multiplier: ClassVar[float] = 1.0
    """What one counts, unless the caller says otherwise; less than nothing prefers hosts that have less."""
    lowest: ClassVar[float | None] = None
    """The raw value that counts as 0 (Nova's minval); without one it is the candidates' own lowest."""

    @abstractmethod
    def weigh(self, host: HostState, request: MoveRequest) -> float:
        """Return the raw value of `host`."""


WEIGHERS: Registry[Weigher] = Registry("weigher")


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
