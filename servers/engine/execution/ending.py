"""A worker that was told to end finishes the step on which it works, and leaves the rest to another one."""

from __future__ import annotations

import threading

ENDING = threading.Event()
"""Set when this process was told to end."""


class HandedOver(Exception):
    """The process ends: another worker goes on with the next step."""


def hand_over_when_ending() -> None:
    """Do nothing unless this process was told to end. Raises HandedOver. To be called between steps."""
    if ENDING.is_set():
        raise HandedOver
