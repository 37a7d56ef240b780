"""Asking hypervisors, all of them at once: one that hangs keeps nobody waiting longer than the limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar
from uuid import UUID

import structlog

from servers.drivers.base import Driver, FoundGuest, HostInfo, HostRef, JobKind
from servers.errors import Fault
from servers.fleet.drivers import driver_of
from servers.fleet.guest_location import ALIVE
from servers.fleet.host_questions import ASKER, Question
from servers.states import PowerState

log = structlog.get_logger(__name__)

T = TypeVar("T")

SURVEY_LIMIT_S = 30.0
NO_ANSWER = "no answer in {limit_s:g} s"


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What one host has said. `fault` says why there is no value."""

    value: T | None = None
    fault: str = ""


@dataclass(frozen=True)
class HostReport:
    """A host and all its guests, as it told them."""

    info: HostInfo
    guests: tuple[FoundGuest, ...]


Survey = dict[str, Answer[HostReport]]
"""By the host's name."""


def ask_all(
    hosts: Iterable[HostRef], question: Callable[[Driver], T], limit_s: float, topic: str
) -> dict[str, Answer[T]]:
    """Return each host's answer, at the latest after `limit_s`; whoever has not answered by then is silent.

    A host that still hangs over an earlier question of the same topic is not asked again: threads would pile up.
    """
    hosts, answers = list(hosts), dict[str, Answer[T]]()
    until = time.monotonic() + limit_s
    questions = [Question(host.name, topic, partial(_ask, host, question, answers), until) for host in hosts]
    for each in questions:
        ASKER.put(each)
    for each in questions:
        ASKER.wait(each)
    given = dict(answers)  # a late answer may still come in
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


def survey(hosts: Iterable[HostRef], limit_s: float = SURVEY_LIMIT_S) -> Survey:
    """Return what every host says of itself and of its guests."""
    return ask_all(hosts, _report, limit_s, "survey")


def _report(driver: Driver) -> HostReport:
    return HostReport(driver.describe(), tuple(driver.list_guests()))


def sightings(found: Survey) -> dict[UUID, dict[str, FoundGuest]]:
    """Return on which hosts each guest was seen."""
    seen: dict[UUID, dict[str, FoundGuest]] = {}
    for host, answer in found.items():
        for guest in answer.value.guests if answer.value else ():
            seen.setdefault(guest.uuid, {})[host] = guest
    return seen


def runs_on(seen: Mapping[str, FoundGuest]) -> list[str]:
    """Return the hosts on which the guest has a process.

    While it is moved live it has one on both, of which at most one runs: the other one is no second guest.
    """
    alive = sorted(host for host, g in seen.items() if g.power_state in ALIVE and not g.prepared_only)
    moved = any(guest.job is JobKind.LIVE_MIGRATION for guest in seen.values())
    if len(alive) < 2 or not moved:
        return alive
    return [host for host in alive if seen[host].power_state is PowerState.RUNNING] or alive[:1]
