"""PostgreSQL that goes away, has no room, or cuts connections: everything waits, and goes on by itself.

AWAY_S says for how long it is away; the long run is AWAY_S=300.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection

from servers.errors import DatabaseUnavailable
from servers.management.commands.up import web_server
from servers.management.listening import listen
from servers.models import ActionRecord, Host, Migration, Worker
from servers.states import ActionStatus
from servers.supervisor.processes import stop
from tests.conftest import Caller
from tests.factories import make_host
from tests.postgresql.cluster import from_environment
from tests.postgresql.workers import Workers, environment_of, pid_of, until, until_over
from tests.small_fleet import SmallFleet

pytestmark = pytest.mark.django_db(transaction=True)

AWAY_S = float(os.environ.get("AWAY_S", "8"))
LONG_LEASE_S = 40
HOSTS = 100
MOST_CONNECTIONS = 40
"""With one process of the web server; each further one has WEB_THREADS more."""
CLIENTS = 24
LIVE = {"host": None, "block_migration": "auto"}
Start = Callable[..., Workers]
STATIC = "/static/servers/console.css"


@contextmanager
def postgresql_away(mode: str = "immediate") -> Iterator[None]:
    """Take the whole of PostgreSQL away for the time of the block."""
    cluster = from_environment()
    cluster.stop(mode)
    connection.close()
    try:
        yield
    finally:
        cluster.start()


@contextmanager
def no_connection_left() -> Iterator[None]:
    """Take every connection that PostgreSQL has, those of others as well, for the time of the block."""
    with ExitStack() as taken:
        mine = take_all(taken)
        cut_all_others(mine)
        time.sleep(0.5)
        take_all(taken)
        yield


def take_all(taken: ExitStack) -> list[int]:
    """Open connections until there is none left; return what PostgreSQL calls them."""
    mine: list[int] = []
    while True:
        one = connection.copy()
        try:
            one.ensure_connection()
        except OperationalError as error:
            assert "too many clients" in str(error)
            return mine
        taken.callback(one.close)
        mine.append(one.connection.info.backend_pid)


def cut_all_others(but: Sequence[int] = ()) -> int:
    """Terminate every connection but this one, and some more; return how many that were."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE NOT pid = ANY(%s)"
            " AND datname = current_database() AND pid != pg_backend_pid()",
            [list(but)],
        )
        return int(cursor.fetchone()[0])


def children_of(process: int) -> set[int]:
    """Return the processes that this one has started."""
    return {int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split()}


def until_all_listen(processes: int) -> None:
    """Wait until so many processes listen, and the one beside them that takes control actions alone."""

    def listen() -> bool:
        return count("procrastinate_workers") == processes + 1 and Worker.objects.exists()

    until(listen, "not every process listens")


def count(table: str) -> int:
    """Return how many rows a table of Procrastinate has; its models are an extra."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        return int(cursor.fetchone()[0])


def do_something(fleet: SmallFleet, name: str) -> None:
    """Have an action carried out, and the queue empty: nobody is at work then."""
    record = fleet.submit("reset-network", fleet.add_server(name)).record
    until_over(record)
    record.refresh_from_db()
    assert record.status == ActionStatus.SUCCEEDED
    until(lambda: count("procrastinate_jobs") == 0, "the queue is not empty")


# ------------------------------------------------------------------------------------------ workers


@pytest.mark.parametrize("queue", ["procrastinate", "database"])
def test_supervisor_and_idle_workers_outlast_an_outage_and_work_on(
    fleet: SmallFleet, start_workers: Start, settings: Any, queue: str
) -> None:
    workers = start_workers(2, QUEUE=queue)
    if queue == "procrastinate":
        until_all_listen(2)
        do_something(fleet, "before")
    else:
        until(lambda: Worker.objects.exists(), "the supervisor does not show up")
    supervisor, processes = workers.supervisor.pid, children_of(workers.supervisor.pid)
    assert len(processes) == 3
    with postgresql_away():
        time.sleep(AWAY_S)
        assert workers.supervisor.poll() is None
    until(lambda: Worker.objects.exists(), "the supervisor does not come back")
    if queue == "procrastinate":
        do_something(fleet, "after")
    assert children_of(supervisor) == processes
    log = workers.log.read_text()
    assert "ended with" not in log, log


def test_connections_that_are_cut_again_and_again_or_not_to_be_had_end_no_process(
    fleet: SmallFleet, start_workers: Start
) -> None:
    workers = start_workers(2)
    until_all_listen(2)
    processes = children_of(workers.supervisor.pid)
    for _ in range(5):
        assert cut_all_others() > 2
        time.sleep(1.5)
    with no_connection_left():
        time.sleep(6)
    do_something(fleet, "after")
    assert children_of(workers.supervisor.pid) == processes


def test_a_killed_workers_action_goes_on_long_before_its_lease_is_over(
    fleet: SmallFleet, start_workers: Start, settings: Any
) -> None:
    start_workers(2, LEASE_TTL=str(LONG_LEASE_S))
    until_all_listen(2)
    fleet.simulation.set_hold("live_migration", "node1")
    server = fleet.add_server()
    record = fleet.submit("live-migration", server, **LIVE).record

    def moves(attempt: int) -> bool:
        record.refresh_from_db()
        is_running = (record.status, record.attempt) == (ActionStatus.RUNNING, attempt)
        return is_running and Migration.objects.filter(server=server, status="running").exists()

    until(lambda: moves(1), "it does not move")
    killed, at = pid_of(record), time.monotonic()
    os.kill(killed, signal.SIGKILL)
    until(lambda: moves(2), "nobody takes it over", LONG_LEASE_S - 5)
    took_s = time.monotonic() - at
    print(f"taken over after {took_s:.1f} s of a lease of {LONG_LEASE_S} s")
    assert took_s < LONG_LEASE_S / 3
    fleet.simulation.clear_faults()
    forced = fleet.submit("force-complete", server, migration=Migration.objects.get(server=server).pk).record
    until_over(record, forced)
    record.refresh_from_db()
    assert record.status == ActionStatus.SUCCEEDED, record.error_text


# ---------------------------------------------------------------------------------------------- web


class Web:
    """The web server as `manage.py up` starts it, on the database of the tests."""

    def __init__(self, folder: Path, settings: Any) -> None:
        settings.WEB_PROCESSES = 1
        self.listener = listen("127.0.0.1", 0)
        self.port = self.listener.getsockname()[1]
        (self.child,) = web_server(self.listener, folder)
        self.child.environment = environment_of(str(connection.settings_dict["NAME"])) | {
            "DATA_DIR": str(folder),
        }
        self.child.start()
        until(lambda: self.answers(), "the web server does not come up")

    def answers(self) -> bool:
        try:
            return self.get("/")[0] == 200
        except OSError:
            return False

    def get(self, path: str, token: str = "") -> tuple[int, dict[str, str], str]:
        """Return status, headers and body."""
        http = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            headers = {"Host": "localhost", "X-Auth-Token": token, "Cookie": "sessionid=of-somebody"}
            http.request("GET", path, headers=headers)
            response = http.getresponse()
            return response.status, dict(response.getheaders()), response.read().decode()
        finally:
            http.close()


@pytest.fixture
def web(fleet: SmallFleet, tmp_path: Path, settings: Any) -> Iterator[Web]:
    started = Web(tmp_path, settings)
    yield started
    stop([started.child], 10)
    started.listener.close()


PATHS = ("/v2.1/servers", "/identity/v3/projects", "/image/v2/images")


def assert_away(web: Web, token: str) -> None:
    """Check that everything says that there is no database, soon, and that files are served all the same."""
    for path in PATHS:
        began = time.monotonic()
        status, headers, body = web.get(path, token)
        assert (status, headers["Content-Type"].split(";")[0]) == (503, "application/json"), body
        assert headers["Retry-After"].isdigit() and str(DatabaseUnavailable()) in json.dumps(json.loads(body))
        assert time.monotonic() - began < 5
    status, _, body = web.get("/admin/login/")
    assert status == 503 and body.startswith("<!DOCTYPE html>")
    assert web.get(STATIC)[0] == 200


def test_the_web_server_says_that_there_is_no_database_and_comes_back_by_itself(
    web: Web, admin: Caller
) -> None:
    token = admin.secret

    def assert_there() -> None:
        assert [web.get(path, token)[0] for path in (*PATHS, "/admin/login/")] == [200] * 4

    assert_there()
    for _ in range(3):
        cut_all_others()
        assert_there()
    with no_connection_left():
        assert_away(web, token)
    assert_there()
    with postgresql_away():
        assert_away(web, token)
    assert_there()
    with postgresql_away("fast"):
        assert_away(web, token)
    assert_there()


# ------------------------------------------------------------------------------------- connections


def count_connections() -> int:
    """Return how many connections there are to the database, but for those of this process."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid != pg_backend_pid() AND backend_type = 'client backend'"
        )
        return int(cursor.fetchone()[0])


def test_a_busy_machine_has_fewer_than_forty_connections_whatever_the_number_of_hosts(
    fleet: SmallFleet, web: Web, start_workers: Start, admin: Caller
) -> None:
    for number in range(HOSTS):
        fleet.simulation.add_host(f"more{number}")
        make_host(f"more{number}", uri=f"simulated:///more{number}", heartbeat_at=None)
    servers = [fleet.add_server(f"web-{number}", storage="local") for number in range(8)]
    fleet.heartbeat()
    Host.objects.filter(name__startswith="more").update(heartbeat_at=None)
    start_workers(4)
    until_all_listen(4)
    token, most, over = admin.secret, [0], time.monotonic() + 15
    answers: Counter[int] = Counter()

    def visit(number: int) -> None:
        while time.monotonic() < over:
            answers[web.get(PATHS[number % len(PATHS)], token)[0]] += 1

    records = [
        fleet.submit("create-backup", server, name="b", backup_type="daily", rotation=1).record
        for server in servers
    ]
    with ThreadPoolExecutor(CLIENTS) as clients:
        visits = [clients.submit(visit, number) for number in range(CLIENTS)]
        while not all(one.done() for one in visits):
            most.append(count_connections())
            time.sleep(0.05)
    for one in visits:
        one.result()
    until_over(*records)
    until(lambda: not Host.objects.filter(heartbeat_at=None).exists(), "not every host was heard of")
    print(f"most connections {max(most)}, answers {dict(answers)}")
    assert set(answers) == {200}
    assert max(most) < MOST_CONNECTIONS
    assert ActionRecord.objects.exclude(status=ActionStatus.SUCCEEDED).count() == 0
