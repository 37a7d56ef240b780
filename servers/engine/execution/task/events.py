"""Events of an attempt: they begin, and end with what became of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import Error as DatabaseFault

from servers.engine.execution.task.hosts import Hosts
from servers.engine.records import events
from servers.errors import ActionFault, Cancelled, Fault, HypervisorTimeout, Later, LeaseLost


class Events(Hosts):
    """The implementation of events."""

    @contextmanager
    def event(self, name: str, host: str = "") -> Iterator[None]:
        """Record an event around the block, with Success, or Error and what the block raises. Its end is progress.

        After LeaseLost, Later, HypervisorTimeout or a database error the event stays open: the next attempt
        goes on with it. Cancelled is a Success.
        """
        self.open_event(name, host)
        try:
            yield
        except (LeaseLost, Later, HypervisorTimeout, DatabaseFault):
            raise  # the event is not over: the next attempt goes on with it
        except Fault as fault:
            self._close(name, host, fault)
            raise
        except Exception as error:
            self._close(name, host, error)
            raise
        self._close(name, host, None)

    def _close(self, name: str, host: str | None, fault: BaseException | None) -> None:
        self.beat()
        with self.fenced(of_server=False):
            event = events.newest_open(self.row, name, host)
            if event is not None:
                events.close_event(event, None if isinstance(fault, Cancelled) else fault)

    def open_event(self, name: str, host: str = "") -> None:
        """Begin an event that spans steps. Does nothing when it is open."""
        with self.fenced(of_server=False):
            events.open_event(self.row, name, host)

    def close_event(self, name: str, fault: ActionFault | None = None) -> None:
        """End the newest open event of this name, on whichever host; does nothing when there is none."""
        self._close(name, None, fault)

    def add_facts(self, name: str, **facts: Any) -> None:
        """Merge `facts` into the newest event of this name."""
        with self.fenced(of_server=False):
            events.add_facts(self.row, name, facts)
