"""A worker process that is stopped at one verb, as a machine that is suspended would be: `late_worker ACTION VERB`."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any
from uuid import UUID

import django

django.setup()

from servers.drivers.base import ABILITIES, Fence, HostRef  # noqa: E402
from servers.engine.execution.task import hosts  # noqa: E402
from servers.fleet.drivers import driver_of  # noqa: E402
from tests.carrying_out import carry_out  # noqa: E402


class Sleepy:
    """A driver, or one of its abilities, at one of whose verbs this process stops until somebody continues it."""

    def __init__(self, wrapped: Any, verb: str, prefix: str = "") -> None:
        self._wrapped, self._verb, self._prefix = wrapped, verb, prefix

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._wrapped, name)
        if name in ABILITIES:
            return Sleepy(value, self._verb, f"{name}.")
        return self._stopping(value) if self._prefix + name == self._verb else value

    def _stopping(self, call: Any) -> Any:
        def verb(*args: Any, **kwargs: Any) -> Any:
            print("stopped", flush=True)
            os.kill(os.getpid(), signal.SIGSTOP)
            return call(*args, **kwargs)

        return verb


def main(action: str, verb: str) -> None:
    """Work on the action as any worker does, and stop at the verb."""

    def sleepy_driver(host: HostRef, fence: Fence) -> Any:
        return Sleepy(driver_of(host, fence), verb)

    hosts.driver_of = sleepy_driver  # type: ignore[assignment]
    carry_out(UUID(action), "late")


if __name__ == "__main__":
    main(*sys.argv[1:])
