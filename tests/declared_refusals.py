"""What the definitions of actions refuse a request with, while tests run: each class has to be declared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import pytest

from servers.actions import Action
from servers.errors import NotPermitted, Refusal, StaleRow

CHECKS = ("check_route", "check_request", "check_server", "accept")
"""The methods of a definition that may refuse."""

OF_ANY = (NotPermitted, StaleRow)
"""With these the accepting transaction may refuse any action: a rule that is asked for late, a row that has changed."""


@contextmanager
def undeclared(*actions: type[Action]) -> Iterator[list[str]]:
    """Note what these definitions refuse with and do not declare: filled while the context lasts."""
    found: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for action in actions:
            for name in CHECKS:
                patch.setattr(action, name, _noting(action, getattr(action, name), found))
        yield found


def _noting(action: type[Action], check: Callable[..., None], found: list[str]) -> Callable[..., None]:
    @wraps(check)
    def noting(*args: Any) -> None:
        try:
            check(*args)
        except Refusal as refusal:
            if type(refusal) not in {*action.refusals, *OF_ANY}:
                found.append(f"{action.slug} does not declare {type(refusal).__name__}")
            raise

    return noting
