"""Comparing what this process has with what the deployment has, and with what its other processes have."""

from __future__ import annotations

import atexit
import os
import socket
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from enum import Enum

import structlog
from django.db import Error, connection, transaction

from servers import clock
from servers.deployment.facts import FACTS, Fact, Value
from servers.deployment.standing import STANDING, Difference, Work
from servers.models import DeploymentFact, Member
from servers.outage import drop_connections, is_outage

log = structlog.get_logger(__name__)

INTERVAL_S = 10.0
"""How often a member compares."""
SILENT = timedelta(seconds=30)
"""A member that was not seen for longer is gone."""
RESTART_S = 120.0
"""So long another member's value counts after it has gone: it may only be starting again."""
FORGOTTEN = timedelta(days=1)
LOOKED_AFTER_S = 60.0
"""After so many seconds a process that is no member compares again before it begins something."""


class Outcome(Enum):
    """What follows for one fact."""

    AGREES = "agrees"
    SETS = "sets"
    """This process's value becomes the deployment's."""
    DIFFERS = "differs"


def outcome_of(fact: Fact, here: Value, recorded: DeploymentFact | None, held: Collection[str]) -> Outcome:
    """Return what follows for a fact; `held` are the names of facts of which another living member has the deployment's value.

    A process sets the deployment's value where there is none, where its own is newer, or where no other member
    has the deployment's any more; but not when it lacks what the records know of.
    """
    if here is None or (recorded is not None and recorded.value == here):
        return Outcome.AGREES
    if recorded is not None and fact.is_newer(here, recorded.value):
        return Outcome.SETS
    if fact.name in held or fact.lacks():
        return Outcome.DIFFERS
    return Outcome.SETS


def difference(fact: Fact, here: Value, recorded: DeploymentFact | None) -> Difference:
    """Return the difference in words."""
    if recorded is None:
        how = "what is recorded is not to be found in it"
    else:
        how = fact.differs(here, recorded.value)
    title = fact.title[:1].upper() + fact.title[1:]
    sentence = f"{title} of this machine is not the deployment's: {how}."
    return Difference(fact.name, title, sentence, fact.remedy, fact.spoils)


def compare(member: str = "", role: str = "") -> tuple[Difference, ...]:
    """Compare every fact with the deployment's; return where this process differs, and keep it in STANDING.

    One that is named is a member: its row says what it has and that it is there, and it may set what the
    deployment has. Others, such as commands, only look at what is set. Raises database errors.
    """
    values = {fact.name: fact.read() for fact in FACTS}
    found: list[Difference] = []
    with transaction.atomic():
        recorded = {row.name: row for row in DeploymentFact.objects.select_for_update()}
        others = Member.objects.filter(seen_at__gt=clock.now() - SILENT).exclude(name=member)
        living = list(others.values_list("values", "seen_at"))
        held = held_by_others(member, {name: row.value for name, row in recorded.items()}, living)
        for fact in FACTS if member else [fact for fact in FACTS if fact.name in recorded]:
            here = values[fact.name]
            outcome = outcome_of(fact, here, recorded.get(fact.name), held)
            if outcome is Outcome.DIFFERS:
                found.append(difference(fact, here, recorded.get(fact.name)))
            elif outcome is Outcome.SETS and member:
                values[fact.name] = fact.make() if fact.make else here
                recorded[fact.name] = set_fact(fact.name, values[fact.name], member)
        if member:
            report(member, role, values, found)
    _memories[member].differs = {each.fact for each in found}
    store = recorded["image_store"].value if "image_store" in recorded else {}
    if STANDING.settle(found, store.get("identity")):
        tell(found)
    return STANDING.differences


@dataclass
class Memory:
    """What a member remembers from one comparison to the next."""

    began_at: datetime
    differs: set[str] = field(default_factory=set)
    held_at: dict[str, float] = field(default_factory=dict)
    """By fact, by clock.monotonic(): when another one last had the deployment's value, while this one differed."""


_memories: dict[str, Memory] = {}
"""By the member's name; this process has one at most."""


def held_by_others(
    member: str, recorded: Mapping[str, Value], others: Collection[tuple[dict[str, Value], datetime]]
) -> set[str]:
    """Return the facts of which another member has the deployment's value, or had it less than RESTART_S ago.

    `others` are values and last sign of life of the other members. What was said before this member began may be
    that of a process that was killed: it counts only as long as the row itself.
    """
    now, memory = clock.monotonic(), _memories.setdefault(member, Memory(clock.now()))
    held = set()
    for name, value in recorded.items():
        having = [seen_at for values, seen_at in others if values.get(name) == value]
        if name in memory.differs and any(seen_at > memory.began_at for seen_at in having):
            memory.held_at[name] = now
        was_held = name in memory.differs and now - memory.held_at.get(name, -RESTART_S) < RESTART_S
        if having or was_held:
            held.add(name)
    return held


def set_fact(name: str, value: Value, by: str) -> DeploymentFact:
    """Write what the deployment has, in the caller's transaction; return the row."""
    row, _ = DeploymentFact.objects.update_or_create(
        name=name, defaults={"value": value, "set_by": by, "set_at": clock.now()}
    )
    log.info("deployment.set", fact=name, by=by)
    return row


def report(member: str, role: str, values: dict[str, Value], found: list[Difference]) -> None:
    """Write that a member is there, what it has, and where it differs; forget those that are long gone."""
    now = clock.now()
    said = {
        "role": role,
        "machine": socket.gethostname()[:64],
        "values": values,
        "differences": [asdict(each) for each in found],
        "seen_at": now,
    }
    Member.objects.update_or_create(name=member, defaults=said, create_defaults={**said, "started_at": now})
    Member.objects.filter(seen_at__lt=now - FORGOTTEN).delete()


def tell(found: Collection[Difference]) -> None:
    """Log where this process differs now, or that it does no longer."""
    for each in found:
        log.error(
            "deployment.differs",
            fact=each.fact,
            reason=each.reason,
            remedy=each.remedy,
            stays_out_of=each.spoils,
        )
    if not found:
        log.info("deployment.agrees")


class Membership:
    """A member that compares every INTERVAL_S seconds, in a thread of its own, for as long as the process lives."""

    def __init__(self, name: str, role: str) -> None:
        self.name, self.role = name, role
        self.ended = threading.Event()

    def begin(self) -> Membership:
        """Compare once, then go on in the background; return self. A database that is away is met again later.

        The row is deleted when the interpreter ends; that of a process that was killed is too old after SILENT.
        """
        self.compare_once()
        atexit.register(self.leave)
        threading.Thread(target=self.repeat, name=f"membership of {self.role}", daemon=True).start()
        return self

    def repeat(self) -> None:
        """Compare until the process ends."""
        while not self.ended.wait(INTERVAL_S):
            self.compare_once()

    def compare_once(self) -> None:
        """Compare; an error is logged, and what was found before stays."""
        try:
            compare(self.name, self.role)
        except Exception as error:
            log.warning(
                "deployment.not_compared", reason=str(error), exc_info=None if is_outage(error) else error
            )
        finally:
            if not connection.in_atomic_block:
                drop_connections()

    def leave(self) -> None:
        """Delete the member's row, and compare no more. Does nothing without a database."""
        self.ended.set()
        with suppress(Error):
            Member.objects.filter(name=self.name).delete()
        drop_connections()


def is_admitted() -> bool:
    """Return whether this process may work; compare again when the last comparison is older than a minute.

    Raises database errors.
    """
    if STANDING.is_older_than(LOOKED_AFTER_S):
        compare()
    return STANDING.refuses() is None


def wait_until_admitted(sleep: Callable[[float], object]) -> None:
    """Return as soon as this process may work; it compares again every INTERVAL_S seconds until then."""
    while True:
        try:
            compare()
        except Error as error:
            if not is_outage(error):
                raise
            log.warning("deployment.not_compared", reason=str(error))
            drop_connections()
            return  # whoever serves the queue waits for the database by itself
        if STANDING.refuses(Work.EVERYTHING) is None:
            return
        sleep(INTERVAL_S)


def name_of_web() -> str:
    """Return the name of this web server process as a member."""
    return f"{socket.gethostname()[:32]}-web-{os.getpid()}-{threading.get_native_id()}"
