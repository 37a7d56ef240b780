"""Renew a lease while its worker works. A worker that cannot renew ends itself before a successor can begin.

Of two threads one renews, and may hang together with the database. The other one compares times alone, so
that nothing keeps it from ending the process in time.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextvars import copy_context

import structlog
from django.conf import settings
from django.db import Error as DatabaseFault
from django.db import connection

from servers import clock
from servers.engine.execution import lease as leases
from servers.engine.execution.lease import Lease

log = structlog.get_logger(__name__)

MARGIN = 0.2
"""The part of LEASE_TTL that is left when a worker that cannot renew ends itself."""

LAST_WORD_S = 2.0
"""Seconds that the database has to take the last write of a worker that gives an action up."""


FENCED = 75
"""The exit code of a worker process that ended itself; whoever has started it counts it."""


def end_process() -> None:
    """End this worker process at once, without clean-up: a call that hangs cannot be stopped otherwise."""
    os._exit(FENCED)


class Heartbeat:
    """Renew a lease while its worker works; end the worker when that fails or the work makes no progress.

    A renewal that fails is repeated after `interval_s`. When the last success is older than LEASE_TTL less
    MARGIN, `is_lost` becomes true, which every effect checks, and `on_end` is called. When there was no
    `beat` for NO_PROGRESS_LIMIT, the outcome is written as unknown and `on_end` is called, because a call
    that hangs must not keep the lease for ever.
    """

    def __init__(self, lease: Lease, on_end: Callable[[], None] = end_process) -> None:
        self.lease = lease
        self.on_end = on_end
        self.interval_s = min(1.0, settings.LEASE_TTL_S / 5)
        self.limit_s = settings.LEASE_TTL_S * (1 - MARGIN)
        self.renewed_at = self.progress_at = clock.monotonic()
        self.is_lost = False
        self.stopped = threading.Event()
        name = f"lease of {lease.action}"
        self.threads = (
            threading.Thread(
                target=copy_context().run, args=(self.renew,), name=f"{name}: renew", daemon=True
            ),
            threading.Thread(
                target=copy_context().run, args=(self.watch,), name=f"{name}: watch", daemon=True
            ),
        )

    def beat(self) -> None:
        """Record that the work makes progress now."""
        self.progress_at = clock.monotonic()

    def __enter__(self) -> Heartbeat:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stopped.set()
        for thread in self.threads:
            thread.join(timeout=5)

    def is_alive(self) -> bool:
        """Return whether both threads run."""
        return all(thread.is_alive() for thread in self.threads)

    def renew(self) -> None:
        """Renew the lease every `interval_s` seconds, until the work is over or the lease is lost."""
        try:
            while not self.stopped.wait(self.interval_s) and not self.is_lost:
                self.renew_once()
        finally:
            connection.close()

    def renew_once(self) -> None:
        """Renew the lease once; set `is_lost` when it is lost. A database error is only logged."""
        asked_at = clock.monotonic()
        try:
            self.is_lost = not leases.renew(self.lease)
        except DatabaseFault as error:
            log.warning("lease.not_renewed", action=str(self.lease.action), reason=str(error))
            connection.close()
            return
        if self.is_lost:
            log.warning("lease.lost", action=str(self.lease.action), attempt=self.lease.attempt)
            return
        self.renewed_at = asked_at

    def watch(self) -> None:
        """End the worker when its lease is about to run out, or when its work makes no progress."""
        while not self.stopped.wait(self.interval_s / 2):
            now = clock.monotonic()
            if now - self.renewed_at > self.limit_s and not self.is_lost:
                self.fence()
            elif now - self.progress_at > settings.NO_PROGRESS_LIMIT_S:
                self.give_up()
            else:
                continue
            return

    def fence(self) -> None:
        """Set `is_lost` and end the worker: from now on a successor worker may claim the action."""
        self.is_lost = True
        log.error("lease.not_renewed_in_time", action=str(self.lease.action), limit_s=self.limit_s)
        self.on_end()

    def give_up(self) -> None:
        """Write that the outcome is unknown, if the database takes it in time, and end the worker."""
        limit = settings.NO_PROGRESS_LIMIT_S
        self.say(f"No progress in {limit:g} s; the hypervisor will be asked again.")
        log.error("action.hangs", action=str(self.lease.action), limit_s=limit)
        self.is_lost = True
        self.on_end()

    def say(self, reason: str) -> None:
        """Write that the outcome is unknown; wait for the database LAST_WORD_S at most."""
        last_word = threading.Thread(target=copy_context().run, args=(self._say, reason), daemon=True)
        last_word.start()
        last_word.join(LAST_WORD_S)

    def _say(self, reason: str) -> None:
        try:
            leases.mark_unknown(self.lease, reason)
        except DatabaseFault as error:
            log.warning("action.not_given_up", action=str(self.lease.action), reason=str(error))
        finally:
            connection.close()
