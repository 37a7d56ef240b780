"""Events of an action: each attempt is a row of its own, ended by its own id (Nova contract F1)."""

from __future__ import annotations

import traceback
from typing import Any

from servers import clock
from servers.errors import Fault, printable
from servers.models import ActionEvent, ActionRecord

MAX_TRACEBACK_CHARS = 100_000


def open_event(action: ActionRecord, name: str, host: str) -> ActionEvent:
    """Return the open event of this name and host; insert one when there is none."""
    event = newest_open(action, name, host)
    if event is None:
        event = ActionEvent.objects.create(
            action=action, name=name, host=host, attempt=action.attempt, started_at=clock.now()
        )
    return event


def newest_open(action: ActionRecord, name: str, host: str | None = None) -> ActionEvent | None:
    """Return the newest open event of this name, or None; `host` None is any host, "" no host."""
    events = ActionEvent.objects.filter(action=action, name=name, finished_at=None)
    if host is not None:
        events = events.filter(host=host)
    return events.order_by("-pk").first()


def close_event(event: ActionEvent, fault: BaseException | None) -> None:
    """End an event with Success, or with Error and the fault's text, code and traceback in printable form."""
    event.finished_at = clock.now()
    event.result = "Error" if fault else "Success"
    if fault is not None:
        event.details = printable(str(fault)) or type(fault).__name__
        event.code = fault.code if isinstance(fault, Fault) else type(fault).__name__
        event.traceback = printable("".join(traceback.format_exception(fault)), MAX_TRACEBACK_CHARS)
    event.save(update_fields=["finished_at", "result", "details", "code", "traceback"])


def close_all(action: ActionRecord, fault: BaseException | None) -> None:
    """End all open events of the action, with Error when `fault` is given, otherwise with Success."""
    for event in ActionEvent.objects.filter(action=action, finished_at=None):
        close_event(event, fault)


def add_facts(action: ActionRecord, name: str, facts: dict[str, Any]) -> None:
    """Merge `facts` into the newest event of this name, open or ended; does nothing when there is none."""
    event = ActionEvent.objects.filter(action=action, name=name).order_by("-pk").first()
    if event is not None:
        event.facts = {**event.facts, **facts}
        event.save(update_fields=["facts"])
