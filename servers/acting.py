"""Who acts at this moment, by which way in and from where: the audit trail writes it beside each change.

It is set by whoever has established it for a request (the token, or the session, that was shown), a command, or an
action; never found out afterwards.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, replace
from datetime import UTC
from typing import Any

from servers import clock

SYSTEM = "system"
"""The door of what nobody has asked for: periodic tasks, and the steps of an action in its worker."""


@dataclass(frozen=True)
class Actor:
    """Who acts.

    `who` is a name, of a user or of a user of the operating system; `who_id` the id of a user, where there is one.
    `on_behalf_of` names the user in whose stead that is done. `door` is rest, console, command or SYSTEM, `source` an
    address or a machine.
    """

    who: str = ""
    who_id: str = ""
    on_behalf_of: str = ""
    door: str = SYSTEM
    source: str = ""
    request_id: str = ""
    reason: str = ""


_of_process = [Actor("gantry", source=socket.gethostname())]
_now: ContextVar[Actor | None] = ContextVar("actor", default=None)


def current() -> Actor:
    """Return who acts: in this context, else whoever has started the process."""
    return _now.get() or _of_process[0]


def process_acts(actor: Actor) -> None:
    """Let every thread of this process act as `actor`, unless it says otherwise."""
    _of_process[0] = actor


@contextmanager
def acting(actor: Actor | None = None, **changes: str) -> Iterator[None]:
    """Let the block act as `actor`, by default the current one, with these changes; what `become` says ends with it."""
    token = _now.set(replace(actor or current(), **changes))
    try:
        yield
    finally:
        _now.reset(token)


def become(**changes: str) -> None:
    """Change who acts from here to the end of the block that `acting` has begun."""
    _now.set(replace(current(), **changes))


def somebody_at_the_machine(reason: str) -> Actor:
    """Return the user of the operating system who has typed a command; through sudo, both names."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        name = f"uid {os.getuid()}"
    behind = os.environ.get("SUDO_USER", "")
    who = f"{behind} (sudo {name})" if behind and behind != name else name
    return Actor(who, door="command", source=socket.gethostname(), reason=reason)


def said(**more: Any) -> str:
    """Return who acts as JSON, with the time, and `more`: what the database's triggers write."""
    at = clock.now().astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    return json.dumps({**asdict(current()), "at": at, **more}, ensure_ascii=False)
