"""A small fleet in virtual time, on which work goes on whenever somebody waits."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from servers import clock
from servers.clock import VirtualClock
from servers.engine.execution.queue import run_until_idle
from servers.management.commands.server_action import Command
from servers.microversions import Microversion
from tests.small_fleet import SmallFleet


@pytest.fixture
def busy_clock() -> Iterator[VirtualClock]:
    """Let a worker do what is due whenever somebody sleeps."""
    with clock.use(VirtualClock(on_sleep=lambda: run_until_idle(wait=False))) as virtual:
        assert isinstance(virtual, VirtualClock)
        yield virtual


@pytest.fixture
def fleet(db: None, busy_clock: VirtualClock) -> SmallFleet:
    return SmallFleet()


@dataclass(frozen=True)
class Said:
    """What a command has said, and its exit code."""

    code: int
    out: str
    err: str


def said_by(kind: Any, *words: str, **facts: Any) -> Said:
    """Run a command of this class with these words, after its attributes were set to `facts`."""
    out, err = StringIO(), StringIO()
    command = kind(stdout=out, stderr=err, no_color=True)
    for name, value in facts.items():
        setattr(command, name, value)
    code = 0
    try:
        call_command(command, *words)
    except SystemExit as end:
        code = int(end.code or 0)
    return Said(code, out.getvalue(), err.getvalue())


Run = Callable[..., Said]


@pytest.fixture
def server_action(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return what runs `manage.py server_action` with these words."""

    def run(*words: str, version: str | None = None, typed: str = "") -> Said:
        monkeypatch.setattr(sys, "stdin", StringIO(typed))
        given = {} if version is None else {"version": Microversion.parse(version)}
        return said_by(Command, *words, **given)

    return run
