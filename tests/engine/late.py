"""A worker that is stopped before one of its calls, and wakes when others have done its work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings

from servers import clock
from servers.drivers.base import ABILITIES, Fence, HostRef
from servers.engine.execution.queue import run_until_idle
from servers.engine.execution.task import hosts
from servers.fleet.drivers import driver_of


class Sleeper:
    """A driver, or an ability, which stops the worker before it calls `verb` for the first time."""

    def __init__(self, wrapped: Any, verb: str, stop: Callable[[], None], *, after: bool) -> None:
        self._wrapped, self._verb, self._stop, self._after = wrapped, verb, stop, after

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._wrapped, name)
        if name in ABILITIES and value is not None:
            return Sleeper(value, self._verb, self._stop, after=self._after)
        if name != self._verb:
            return value

        def stopped(*args: Any, **kwargs: Any) -> Any:
            if self._after:
                answer = value(*args, **kwargs)
                self._stop()
                return answer
            self._stop()
            return value(*args, **kwargs)

        return stopped


def sleep_at(
    patch: pytest.MonkeyPatch, verb: str, meanwhile: Callable[[], object], *, after: bool = False
) -> list[str]:
    """Let the first worker that calls `verb` sleep before it (or after it) until its successor has done its work.

    Then `meanwhile` is done, and the late worker goes on. Return what happened.
    """
    happened: list[str] = []

    def stop() -> None:
        if happened:
            return
        happened.append("asleep")
        clock.sleep(settings.LEASE_TTL_S + 1)
        run_until_idle()
        meanwhile()
        happened.append("awake")

    def sleepy_driver(host: HostRef, fence: Fence) -> Any:
        return Sleeper(driver_of(host, fence), verb, stop, after=after)

    patch.setattr(hosts, "driver_of", sleepy_driver)
    return happened
