"""What is counted, by what labels, and who may read it."""

from __future__ import annotations

import math
import re
import socket
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.request import urlopen

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from prometheus_client import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families

from servers import clock
from servers.actions import definitions
from servers.engine.execution import signals
from servers.engine.execution.lease import claim
from servers.engine.execution.lease_renewal import FENCED
from servers.management.commands.work import WorkerProcess
from servers.models import ActionRecord, Project, Worker
from servers.monitoring import exposition, metrics, records, shared_values
from servers.monitoring.exposition import Listener, names
from servers.monitoring.requests import METHODS, NO_ROUTE, OTHER, template
from tests.blocked import blocked
from tests.conftest import Caller
from tests.factories import make_action, make_host, make_server
from tests.running import free_port
from tests.small_fleet import SmallFleet
from tests.virtual_time import fleet, virtual_clock

__all__ = ["fleet", "virtual_clock"]
pytestmark = pytest.mark.django_db

Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


def own_values() -> Values:
    """Return what this process has counted, by series: other processes count in files of their own."""
    files = [str(path) for path in shared_values.folder().glob(f"*_{shared_values.slot()}.db")]
    return values(MultiProcessCollector.merge(files))


def values(found: Any) -> Values:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for metric in found
        for sample in metric.samples
    }


class Counting:
    """What was counted since."""

    def __init__(self) -> None:
        self.before = own_values()

    def of(self, name: str, **labels: str) -> float:
        key = (name, frozenset(labels.items()))
        return own_values().get(key, 0) - self.before.get(key, 0)


@pytest.fixture
def counting() -> Counting:
    return Counting()


def series(text: bytes) -> Values:
    return values(text_string_to_metric_families(text.decode()))


def gauge(name: str, **labels: str) -> float:
    return values(records.Records().collect())[name, frozenset(labels.items())]


# ------------------------------------------------------------------------------------------- actions


def test_action_is_counted_with_its_result_its_wait_and_its_duration(
    fleet: SmallFleet, counting: Counting, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        fleet.do("reset-network", fleet.add_server())
    assert counting.of("gantry_actions_ended_total", action="reset-network", result="succeeded") == 1
    assert counting.of("gantry_action_wait_seconds_count", action="reset-network") == 1
    ended = {"action": "reset-network", "result": "succeeded"}
    assert counting.of("gantry_action_duration_seconds_count", **ended) == 1


def test_action_that_fails_is_counted_with_the_faults_that_it_met(
    fleet: SmallFleet, counting: Counting, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        server = fleet.add_server()
        fleet.simulation.set_fault("reset_network", error="BackupFailed", args={"reason": "EIO"})
        fleet.do("reset-network", server)
    assert counting.of("gantry_actions_ended_total", action="reset-network", result="failed") == 1
    assert counting.of("gantry_driver_faults_total", action="reset-network", code="backup_failed") == 1


def test_claim_of_what_another_worker_had_is_a_takeover_and_no_second_start(
    fleet: SmallFleet, counting: Counting, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        record = fleet.submit("reset-network", fleet.add_server()).record
        assert claim(record.pk, "first")
        ActionRecord.objects.update(lease_until=clock.now() - timedelta(seconds=1))
        assert claim(record.pk, "second")
    assert counting.of("gantry_action_takeovers_total", action="reset-network") == 1
    assert counting.of("gantry_action_wait_seconds_count", action="reset-network") == 1


def test_worker_that_ended_itself_is_counted_by_whoever_has_started_it(counting: Counting) -> None:
    process = WorkerProcess("worker", ["sh", "-c", f"exit {FENCED}"])
    super(WorkerProcess, process).start()
    assert process.process is not None
    process.process.wait()
    process.tend()
    assert counting.of("gantry_workers_fenced_total", reason=signals.ENDED) == 1


def test_figure_that_cannot_be_kept_costs_no_action_its_end(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    def fail() -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(metrics, "prepare", fail)
    with django_capture_on_commit_callbacks(execute=True):
        fleet.do("reset-network", fleet.add_server())
    assert ActionRecord.objects.get().status == "succeeded"


def test_receiver_that_raises_costs_nobody_anything(fleet: SmallFleet) -> None:
    def fail(**facts: Any) -> None:
        raise ValueError("odd")

    signals.worker_fenced.connect(fail)
    try:
        signals.send(signals.worker_fenced, reason=signals.LOST)
    finally:
        signals.worker_fenced.disconnect(fail)


# ------------------------------------------------------------------------------------------ requests


def test_request_is_counted_by_the_pattern_of_its_address(
    admin: Caller, project: Project, counting: Counting
) -> None:
    admin.get(f"/v2.1/servers/{make_server(project).pk}")
    admin.get("/v2.1/servers/none")
    route = "/v2.1/servers/{server_id}"
    for status in ("200", "404"):
        assert counting.of("gantry_http_requests_total", method="GET", route=route, status=status) == 1
    assert counting.of("gantry_http_request_duration_seconds_count", route=route) == 2


def test_callers_invent_no_label(admin: Caller) -> None:
    before = set(own_values())
    for number in range(20):
        admin.request(f"BREW{number}", f"/nowhere/{number}")
        admin.get(f"/v2.1/nowhere/{number}")
        admin.get(f"/admin/nowhere/{number}/")
        admin.get(f"/static/{number}")
    new = {labels for name, labels in set(own_values()) - before if name == "gantry_http_requests_total"}
    assert len(new) <= 8
    assert {dict(labels)["method"] for labels in new} <= METHODS | {OTHER}


def test_every_route_is_written_without_a_regular_expression() -> None:
    def walk(patterns: list[Any], start: str = "") -> Iterator[str]:
        for pattern in patterns:
            text = start + str(pattern.pattern)
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns, text)
            elif isinstance(pattern, URLPattern):
                yield text

    written = [template(route) for route in walk(get_resolver().url_patterns)]
    assert len(written) > 100 and NO_ROUTE not in written
    assert [route for route in written if re.search(r"[\\^$()?*<>\[\]]", route)] == []


# ------------------------------------------------------------------------- read from the database


def test_queue_is_shown_with_its_depth_and_the_age_of_its_oldest(project: Project) -> None:
    for minutes, slug in ((1, "migrate"), (5, "migrate"), (60, "create-backup")):
        due_at = clock.now() - timedelta(minutes=minutes)
        make_action(make_server(project), slug, status="queued", due_at=due_at)
    later = clock.now() + timedelta(minutes=1)
    make_action(make_server(project), "migrate", status="queued", due_at=later)
    assert gauge("gantry_queue_depth", queue_class="moves") == 2
    assert gauge("gantry_queue_age_seconds", queue_class="moves") == pytest.approx(300, abs=30)
    assert gauge("gantry_queue_age_seconds", queue_class="backups") == pytest.approx(3600, abs=30)
    assert gauge("gantry_actions_open", status="queued") == 4
    assert gauge("gantry_actions_open", status="running") == 0


def test_what_waits_for_judgement_is_shown_with_the_age_of_its_oldest(project: Project) -> None:
    assert gauge("gantry_actions_waiting_for_judgement") == gauge("gantry_judgement_age_seconds") == 0
    for hours in (1, 2):
        stalled_at = clock.now() - timedelta(hours=hours)
        make_action(make_server(project), status="unknown", stalled_at=stalled_at)
    make_action(make_server(project), status="unknown")
    assert gauge("gantry_actions_waiting_for_judgement") == 2
    assert gauge("gantry_judgement_age_seconds") == pytest.approx(7200, abs=60)


def test_host_is_shown_with_the_age_of_its_heartbeat(db: None) -> None:
    make_host("node1", heartbeat_at=clock.now() - timedelta(seconds=90))
    make_host("node2", heartbeat_at=None)
    assert gauge("gantry_host_heartbeat_age_seconds", host="node1") == pytest.approx(90, abs=30)
    assert gauge("gantry_host_heartbeat_age_seconds", host="node2") == math.inf


def test_workers_are_shown_that_were_heard_of_lately(db: None) -> None:
    Worker.objects.create(name="here-1", processes=4)
    Worker.objects.create(name="gone-1", processes=8, seen_at=clock.now() - timedelta(minutes=1))
    assert gauge("gantry_worker_processes") == 4


def test_figures_cost_as_many_queries_with_many_records_as_with_none(
    project: Project, django_assert_num_queries: Any
) -> None:
    for number in range(10):
        make_host(f"node{number}")
        make_action(make_server(project), status="queued")
        Worker.objects.create(name=f"here-{number}")
    with django_assert_num_queries(5):
        list(records.Records().collect())


def test_without_its_database_it_is_said_that_there_is_none_and_nothing_made_up(db: None) -> None:
    with blocked():
        found: list[Metric] = list(records.Records().collect())
    assert [(metric.name, metric.samples[0].value) for metric in found] == [("gantry_database_up", 0)]


# ------------------------------------------------------------------------------------- who may read


def test_who_may_reads_every_metric(admin: Caller) -> None:
    answer = admin.get("/metrics")
    assert answer["Content-Type"].startswith("text/plain")
    found = {name for name, _ in series(answer.content)}
    assert {"gantry_database_up", "gantry_queue_depth"} <= found


def test_token_may_come_as_prometheus_sends_it(admin: Caller, reader: Caller) -> None:
    for caller, code in ((admin, 200), (reader, 403)):
        answer = Client().get("/metrics", headers={"Authorization": f"Bearer {caller.secret}"})
        assert answer.status_code == code
    assert b"gantry:metrics" in answer.content


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer no"}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer "}],
)
def test_nobody_reads_without_a_token_wherever_from(headers: dict[str, str], db: None) -> None:
    assert Client(REMOTE_ADDR="127.0.0.1").get("/metrics", headers=headers).status_code == 401


def test_bearer_is_a_token_nowhere_else(admin: Caller) -> None:
    answer = Client().get("/v2.1/servers", headers={"Authorization": f"Bearer {admin.secret}"})
    assert answer.status_code == 401


def test_port_of_its_own_gives_the_same_on_this_machine_alone(
    settings: Any, monkeypatch: pytest.MonkeyPatch, db: None
) -> None:
    settings.METRICS_PORT = free_port()
    monkeypatch.setattr(records, "within", lambda limit_s, topic, ask: {records.UP: [([], 1)]})
    listener = Listener()
    listener.keep_up()
    listener.keep_up()
    try:
        with urlopen(f"http://127.0.0.1:{settings.METRICS_PORT}/metrics", timeout=60) as answer:
            assert ("gantry_database_up", frozenset()) in series(answer.read())
        assert listener.server is not None and listener.server.server_address[0] == "127.0.0.1"
    finally:
        listener.close()


def test_port_that_another_process_has_is_tried_again_and_stops_nobody(settings: Any) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        settings.METRICS_PORT = other.getsockname()[1]
        listener = Listener()
        listener.keep_up()
        assert listener.server is None
    listener.tried_at -= exposition.AGAIN_S
    listener.keep_up()
    assert listener.server is not None
    listener.close()


def test_without_a_port_nobody_listens(settings: Any) -> None:
    settings.METRICS_PORT = 0
    listener = Listener()
    listener.keep_up()
    assert listener.server is None


def test_every_label_has_values_of_a_list_that_is_known() -> None:
    known = {
        "action",
        "result",
        "reason",
        "code",
        "method",
        "route",
        "status",
        "le",
        "queue_class",
        "host",
        "state",
        "fact",
    }
    labels = {name for family in records.FAMILIES for name in family.labels}
    labels |= {name for metric in metrics.OWN._collector_to_names for name in metric._labelnames}
    assert labels <= known and names() and len(definitions) < 100
