"""Filters and weighers by their short names, which the settings use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, Protocol, TypeVar


class Named(Protocol):
    """Anything with a short name."""

    @property
    def name(self) -> str:
        """Return the name."""
        ...


T = TypeVar("T", bound=Named)


class Registry(Generic[T]):
    """Things of one kind, one for each name, in alphabetical order."""

    def __init__(self, kind: str, things: Iterable[T] = ()) -> None:
        self.kind = kind
        self._things: dict[str, T] = {}
        for thing in things:
            self._register(thing)

    def add(self, cls: type[T]) -> type[T]:
        """Register the only object of a class; to be used as a decorator. Raises ValueError when the name is taken."""
        self._register(cls())
        return cls

    def _register(self, thing: T) -> None:
        holder = self._things.get(thing.name)
        if holder is not None:
            raise ValueError(
                f"{type(thing).__name__}: {self.kind} {thing.name!r} is taken by {type(holder).__name__}"
            )
        self._things[thing.name] = thing

    def __getitem__(self, name: str) -> T:
        if name not in self._things:
            raise ValueError(f"there is no {self.kind} {name!r}; there are: {', '.join(self)}")
        return self._things[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._things))
