"""Questions to many hypervisors at once: a host that hangs delays the answer by no more than the limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar
from uuid import UUID

import structlog

from servers.drivers.base import Driver, FoundGuest, HostInfo, HostRef, JobKind
from servers.errors import Fault, HypervisorUnavailable
from servers.fleet.drivers import driver_of
from servers.fleet.guest_location import ALIVE
from servers.fleet.host_questions import ASKER, Question
from servers.states import PowerState
from servers.waiting import PLACES

log = structlog.get_logger(__name__)

T = TypeVar("T")

SURVEY_LIMIT_S = 30.0
NO_ANSWER = "no answer in {limit_s:g} s"


@dataclass(frozen=True)
class Answer(Generic[T]):
    """The answer of one host, or the reason why there is none: `fault` is empty when the host answered."""

    value: T | None = None
    fault: str = ""


@dataclass(frozen=True)
class HostReport:
    """What a host says of itself, and all guests that are defined on it."""

    info: HostInfo
    guests: tuple[FoundGuest, ...]


Survey = dict[str, Answer[HostReport]]
"""The reports of hosts, by host name."""


def ask_all(
    hosts: Iterable[HostRef], question: Callable[[Driver], T], limit_s: float, topic: str
) -> dict[str, Answer[T]]:
    """Return the answer of each host, by host name, after at most `limit_s` seconds.

    `question` is called with a driver that can only read. A host that does not answer in time gets a fault,
    and so does a host that raises: no error of a host is raised here. A host that still hangs over an earlier
    question of the same `topic` is not asked again, because threads would pile up.
    """
    hosts, answers = list(hosts), dict[str, Answer[T]]()
    until = time.monotonic() + limit_s
    questions = [Question(host.name, topic, partial(_ask, host, question, answers), until) for host in hosts]
    with PLACES.place():
        for each in questions:
            ASKER.put(each)
        for each in questions:
            ASKER.wait(each)
    given = dict(answers)  # a thread that is late may still write into `answers`
    silent = Answer[T](fault=NO_ANSWER.format(limit_s=limit_s))
    return {host.name: given.get(host.name, silent) for host in hosts}


def _ask(host: HostRef, question: Callable[[Driver], T], answers: dict[str, Answer[T]]) -> None:
    try:
        answers[host.name] = Answer(question(driver_of(host)))
    except Fault as fault:
        answers[host.name] = Answer(fault=str(fault))
    except Exception as error:
        log.error("survey.unforeseen", host=host.name, exc_info=error)
        answers[host.name] = Answer(fault=str(error) or type(error).__name__)


def ask_until(host: str, question: Callable[[], T], until: float, topic: str) -> T:
    """Return the answer to one question to a host, or raise what it raises.

    Raises TimeoutError when there is none by `until`, a time by time.monotonic(), and HypervisorUnavailable, at once,
    when the host still hangs over an earlier question of the same `topic`.
    """
    answers: list[T] = []
    faults: list[Exception] = []

    def ask() -> None:
        try:
            answers.append(question())
        except Exception as error:  # noqa: BLE001 - it is raised below
            faults.append(error)

    asked = Question(host, topic, ask, until)
    with PLACES.place():
        ASKER.put(asked)
        ASKER.wait(asked)
    if faults:
        raise faults[0]
    if answers:
        return answers[0]
    if time.monotonic() >= until:
        raise TimeoutError
    raise HypervisorUnavailable


def survey(hosts: Iterable[HostRef], limit_s: float = SURVEY_LIMIT_S) -> Survey:
    """Return each host's report, by host name, after at most `limit_s` seconds; see ask_all."""
    return ask_all(hosts, _report, limit_s, "survey")


def _report(driver: Driver) -> HostReport:
    return HostReport(driver.describe(), tuple(driver.list_guests()))


def sightings(found: Survey) -> dict[UUID, dict[str, FoundGuest]]:
    """Return what each host has of each guest: by the guest's UUID, then by host name."""
    seen: dict[UUID, dict[str, FoundGuest]] = {}
    for host, answer in found.items():
        for guest in answer.value.guests if answer.value else ():
            seen.setdefault(guest.uuid, {})[host] = guest
    return seen


def runs_on(seen: Mapping[str, FoundGuest]) -> list[str]:
    """Return, sorted, the hosts on which the guest has a process; `seen` is the guest by host name.

    During a live migration it has a process on both hosts. Then only the hosts on which it is RUNNING are
    returned, or the first host when it is RUNNING on none: the other process is no second guest.
    """
    alive = sorted(host for host, g in seen.items() if g.power_state in ALIVE and not g.prepared_only)
    moved = any(guest.job is JobKind.LIVE_MIGRATION for guest in seen.values())
    if len(alive) < 2 or not moved:
        return alive
    return [host for host in alive if seen[host].power_state is PowerState.RUNNING] or alive[:1]
