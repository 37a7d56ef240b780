"""What becomes of actions, as Django's signals: who counts it subscribes, and the engine knows nobody who does."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import transaction
from django.dispatch import Signal

action_started = Signal()
"""A worker has claimed an action for the first time: `slug`, and `waited_s` since it was accepted."""
action_taken_over = Signal()
"""A worker has claimed an action whose earlier lease is over: `slug`."""
action_ended = Signal()
"""An action has come to its end: `record`."""
action_faulted = Signal()
"""A step has raised a fault of a driver: `slug` and `code`. The action may be tried again."""
worker_fenced = Signal()
"""A worker has had to let an action go: `reason`, of FENCED."""

LOST, ENDED = "lease_lost", "ended_itself"
FENCED = (LOST, ENDED)
"""Another worker had the action; or its process ended itself, since it could not renew or made no progress."""


def send(signal: Signal, **facts: Any) -> None:
    """Send a signal now. A receiver that raises is logged, and changes nothing for the sender."""
    signal.send_robust(sender=None, **facts)


def send_when_committed(signal: Signal, **facts: Any) -> None:
    """Send a signal once the transaction is committed, inside of which this has to be called."""
    transaction.on_commit(partial(send, signal, **facts), robust=True)
