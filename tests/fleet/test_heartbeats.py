"""Hosts that answer are up, one write for all of them; nothing else of a host changes by it."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, models
from django.test.utils import CaptureQueriesContext

from servers.drivers.base import HostInfo, HostRef
from servers.errors import HypervisorUnavailable
from servers.fleet import polling
from servers.fleet.drivers import driver_of
from servers.fleet.heartbeats import FIELDS, Heartbeats, write_down
from servers.fleet.host_questions import AT_A_TIME
from servers.models import Host
from tests.factories import make_host
from tests.small_fleet import SmallFleet
from tests.transactions import is_write

INFO = HostInfo("KVM", 10_001_000, "node", 8, 8192, 100, cpu_model="new")


class Slow:
    """A host that answers when it is let; of a driver it has what a heartbeat asks for."""

    def __init__(self, host: HostRef, free: threading.Event | None) -> None:
        self.host, self.free = host, free

    def describe(self) -> HostInfo:
        if self.free is not None:
            self.free.wait(20)
        if self.host.name.startswith("silent"):
            raise HypervisorUnavailable
        return INFO


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Let hosts whose name begins with "dead" hang until the event is set."""
    free = threading.Event()
    monkeypatch.setattr(
        polling, "driver_of", lambda host: Slow(host, free if host.name.startswith("dead") else None)
    )
    yield free
    free.set()


def heard_of() -> set[str]:
    return set(Host.objects.exclude(heartbeat_at=None).values_list("name", flat=True))


def test_hosts_that_answer_are_up_and_say_what_they_are(fleet: SmallFleet) -> None:
    Host.objects.update(heartbeat_at=None, cpu_model="old", hypervisor_version=1)
    fleet.simulation.lose_host("node3")
    assert Heartbeats().collect() == 2
    assert heard_of() == {"node1", "node2"}
    info = driver_of(survey_ref("node1")).describe()
    host = Host.objects.get(name="node1")
    assert (host.cpu_model, host.hypervisor_version) == (info.cpu_model, info.hypervisor_version)


def survey_ref(name: str) -> HostRef:
    host = Host.objects.get(name=name)
    return HostRef(host.name, host.driver, host.uri, host.domain_type)


@pytest.mark.django_db
def test_a_round_costs_as_many_queries_for_fifty_hosts_as_for_one(hanging: threading.Event) -> None:
    costs = []
    for hosts in (1, 49):
        for _ in range(hosts):
            make_host(heartbeat_at=None)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            Heartbeats().collect()
        costs.append(len(queries))
    assert len(heard_of()) == 50
    assert costs[0] == costs[1]


@pytest.mark.django_db
def test_a_host_that_hangs_keeps_nobody_waiting_and_is_heard_of_when_it_answers(
    hanging: threading.Event,
) -> None:
    for name in ("a", "b", "dead", "silent"):
        make_host(name, heartbeat_at=None)
    heartbeats = Heartbeats()
    assert heartbeats.collect(limit_s=0.3) == 2
    assert heartbeats.collect(limit_s=0.3) == 2
    assert heard_of() == {"a", "b"}
    hanging.set()
    for thread in threading.enumerate():
        if thread.name == "heartbeat dead":
            thread.join(20)
    heartbeats.collect(limit_s=5)
    assert heard_of() == {"a", "b", "dead"}


@pytest.mark.django_db
def test_of_more_slow_hosts_than_can_be_asked_in_a_round_each_has_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Slowish(Slow):
        def describe(self) -> HostInfo:
            time.sleep(0.2)
            return INFO

    monkeypatch.setattr(polling, "driver_of", lambda host: Slowish(host, None))
    for _ in range(4 * AT_A_TIME):
        make_host(heartbeat_at=None)
    heartbeats, rounds = Heartbeats(), 0
    while Host.objects.filter(heartbeat_at=None).exists():
        heartbeats.collect(limit_s=0.5)
        rounds += 1
        assert rounds < 6
    assert rounds > 1


@pytest.mark.django_db
def test_nothing_else_of_a_host_is_written(hanging: threading.Event) -> None:
    host = make_host("node1", heartbeat_at=None)
    others = [field for field in Host._meta.concrete_fields if field.attname not in FIELDS]
    before = values(host, others)
    now = host.created_at + timedelta(hours=1)
    with CaptureQueriesContext(connection) as queries:
        assert write_down({"node1": (now, INFO), "nobody": (now, INFO)}) == {"node1"}
    [written] = [query["sql"] for query in queries if is_write(query["sql"])]
    assert set(re.findall(r'"(\w+)" = \(?CASE', written)) == set(FIELDS)
    host.refresh_from_db()
    assert values(host, others) == before
    assert (host.heartbeat_at, host.cpu_model) == (now, "new")


def values(host: Host, fields: list[models.Field[Any, Any]]) -> list[Any]:
    return [getattr(host, field.attname) for field in fields]


@pytest.mark.django_db
def test_a_host_that_was_removed_is_forgotten(hanging: threading.Event) -> None:
    make_host("dead")
    make_host("node1")
    heartbeats = Heartbeats()
    heartbeats.collect(limit_s=0.2)
    Host.objects.get(name="dead").delete()
    hanging.set()
    for thread in threading.enumerate():
        if thread.name == "heartbeat dead":
            thread.join(20)
    assert heartbeats.collect() == 1
    assert not heartbeats._heard
