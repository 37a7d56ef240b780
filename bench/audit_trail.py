"""Changes a second by sixteen clients with the audit trail and without it, in turns, in the same run.

Locking and unlocking, which REST accepts and ends at once: of all actions the trail weighs most on these. With
`python -m tests.postgresql.cluster python -m bench.audit_trail` it is measured on PostgreSQL.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from statistics import median

from bench.prepared import prepared
from tests.running import ROOT, free_port

CLIENTS = 16
CHANGES = int(os.environ.get("CHANGES", "10000"))
ROUNDS = 10
CHAINING = """
import threading
import django
django.setup()
from servers.supervisor.periodic_tasks import CHAIN_S, PeriodicTask, chain
PeriodicTask("chain", CHAIN_S, chain, keeps_connection=True).repeat(threading.Event())
"""
"""A process that does one duty of a supervisor."""


def change(port: int, token: str, server: str, times: int) -> None:
    """Lock and unlock a server in turns, on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"X-Auth-Token": token, "Content-Type": "application/json"}
    for number in range(times):
        body = '{"unlock": null}' if number % 2 else '{"lock": null}'
        connection.request("POST", f"/v2.1/servers/{server}/action", body, headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 202:
            raise RuntimeError(f"a change is answered with {answer.status}")


def wait_for(port: int) -> None:
    """Return when the server answers."""
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.2)


def measured(port: int, token: str, servers: list[str], times: int) -> float:
    """Return how many changes a second sixteen clients have had."""
    clients = [threading.Thread(target=change, args=(port, token, server, times)) for server in servers]
    began = time.monotonic()
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    return times * len(servers) / (time.monotonic() - began)


def main() -> int:
    """Print what each round has had, and the ratio of the medians."""
    port = free_port()
    with prepared(PORT=str(port), WEB_THREADS=str(CLIENTS)):
        from django.db import transaction

        from servers.audit import checkpoints, triggers
        from servers.audit.chain import chain
        from servers.audit.verification import verify
        from servers.models import AuditRecord
        from tests.conftest import Caller
        from tests.small_fleet import SmallFleet

        fleet = SmallFleet()
        caller = Caller(fleet.project, "admin")
        servers = [str(fleet.add_server(f"s{n}", f"node{n % 3 + 1}").pk) for n in range(CLIENTS)]
        processes = [
            subprocess.Popen([sys.executable, *words], cwd=ROOT)
            for words in (["manage.py", "serve"], ["-c", CHAINING])
        ]
        try:
            wait_for(port)
            measured(port, caller.secret, servers, 10)
            times, rates = CHANGES // CLIENTS // ROUNDS, {True: list[float](), False: list[float]()}
            before = AuditRecord.objects.count()
            for _ in range(ROUNDS):
                for with_trail in (True, False):
                    with transaction.atomic():
                        (triggers.install if with_trail else triggers.remove)()
                    rates[with_trail].append(measured(port, caller.secret, servers, times))
            with transaction.atomic():
                triggers.install()
            written = AuditRecord.objects.count() - before
            while chain():
                pass
            found = verify(checkpoints.kept())
        finally:
            for process in processes:
                process.send_signal(signal.SIGTERM)
                process.wait(30)
    for with_trail, name in ((True, "with"), (False, "without")):
        print(
            f"{name:8} the trail: {median(rates[with_trail]):6.1f} changes a second, median of {ROUNDS} rounds"
        )
    print(
        f"ratio {median(rates[True]) / median(rates[False]):.3f}; {written} records; sound: {not found.problems}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
