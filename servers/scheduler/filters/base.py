"""What a filter is: one reason to refuse a host."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar

from servers.scheduler.registry import Registry
from servers.scheduler.request import HostState, MoveRequest


class Filter(ABC):
    """One rule that a destination has to obey."""

    name: ClassVar[str]
    nova_name: ClassVar[str] = ""
    """Nova's class of the same meaning, for the texts that name it."""
    policy: ClassVar[str] = ""
    """The policy of server groups that this filter enforces, if it does."""

    @abstractmethod
    def refuses(self, host: HostState, request: MoveRequest) -> str | None:
        """Return why `host` cannot take the server, with numbers, or None."""


FILTERS: Registry[Filter] = Registry("filter")


def filters_named(names: Iterable[str]) -> tuple[Filter, ...]:
    """Return filters in the order of `names`. Raises ValueError for a name that no filter has."""
    return tuple(FILTERS[name] for name in names)
