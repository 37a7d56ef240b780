"""Asking all hosts at once, and what their answers say of one guest."""

from __future__ import annotations

import threading
import time
from uuid import uuid4

import pytest

from servers.drivers.base import Driver, FoundGuest, JobKind
from servers.fleet.drivers import ref
from servers.fleet.polling import ask_all, runs_on, sightings, survey
from servers.models import Host
from servers.states import PowerState
from tests.small_fleet import SmallFleet

UUID = uuid4()
RUNS, PAUSED, OFF = PowerState.RUNNING, PowerState.PAUSED, PowerState.SHUTDOWN


def found(power: PowerState, *, moved: bool = False, prepared: bool = False) -> FoundGuest:
    job = JobKind.LIVE_MIGRATION if moved else None
    return FoundGuest(UUID, "web", power, job=job, prepared_only=prepared)


@pytest.mark.parametrize(
    ("source", "destination", "hosts"),
    [
        (found(RUNS), None, ["a"]),
        (found(OFF), None, []),
        (found(RUNS), found(OFF), ["a"]),
        (found(RUNS), found(RUNS), ["a", "b"]),
        (found(RUNS), found(PAUSED), ["a", "b"]),
        (found(RUNS), found(PAUSED, prepared=True), ["a"]),
        (found(RUNS, moved=True), found(PAUSED), ["a"]),
        (found(PAUSED, moved=True), found(RUNS), ["b"]),
        (found(PAUSED, moved=True), found(PAUSED), ["a"]),
        (found(RUNS, moved=True), found(RUNS), ["a", "b"]),
    ],
)
def test_guest_that_is_being_moved_is_no_second_one_unless_both_run(
    source: FoundGuest, destination: FoundGuest | None, hosts: list[str]
) -> None:
    seen = {"a": source} if destination is None else {"a": source, "b": destination}
    assert runs_on(seen) == hosts


def test_every_host_tells_of_itself_and_of_its_guests(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    fleet.simulation.lose_host("node3")
    answers = survey([ref(host) for host in Host.objects.all()])
    assert answers["node3"].fault == "Connection to the hypervisor is broken on host"
    assert answers["node2"].value is not None and answers["node2"].value.guests == ()
    assert list(sightings(answers)[server.pk]) == ["node1"]


def test_host_that_hangs_keeps_nobody_waiting_and_is_not_asked_again(fleet: SmallFleet) -> None:
    released, asked = threading.Event(), []

    def question(driver: Driver) -> str:
        asked.append(driver.host.name)
        if driver.host.name == "node2":
            released.wait(20)
        return driver.host.name

    hosts = [ref(host) for host in Host.objects.all()]
    began = time.monotonic()
    answers = ask_all(hosts, question, 0.2, "a test")
    assert time.monotonic() - began < 5
    assert {name: a.value for name, a in answers.items()} == {
        "node1": "node1",
        "node2": None,
        "node3": "node3",
    }
    assert answers["node2"].fault == "no answer in 0.2 s"
    time.sleep(0.1)
    assert ask_all(hosts, question, 0.2, "a test")["node2"].value is None
    assert asked.count("node2") == 1 and asked.count("node1") == 2
    released.set()
    for thread in threading.enumerate():
        if thread.name == "a test node2":
            thread.join(20)
    assert ask_all(hosts, question, 5, "a test")["node2"].value == "node2"


def test_error_that_a_driver_did_not_translate_is_the_hosts_silence(fleet: SmallFleet) -> None:
    def question(driver: Driver) -> str:
        raise ValueError("odd")

    answers = ask_all([ref(host) for host in Host.objects.all()], question, 5, "an error")
    assert {a.fault for a in answers.values()} == {"odd"}
