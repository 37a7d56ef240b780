"""CPU of a request, latency under sixteen clients and memory of web servers on the same application, in the same run.

Ours is `manage.py serve`; gunicorn, and granian, are measured beside it where they are installed (pip install gunicorn
granian; Gantry needs neither).
"""

from __future__ import annotations

import http.client
import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from statistics import median

import psutil

from bench.figures import p95
from bench.prepared import prepared
from tests.running import ROOT, free_port

REQUESTS = 2000
CLIENTS = 16
ROUNDS = 3
THREADS = 8


def commands(port: int) -> dict[str, list[str]]:
    """Return how each server is started on a port, one process each; those that are not installed are left out."""
    python, wsgi = sys.executable, "project.wsgi:application"
    found = {"manage.py serve": [python, "manage.py", "serve"]}
    if importlib.util.find_spec("gunicorn"):
        options = [
            "--worker-class",
            "gthread",
            "--threads",
            "16",
            "--keep-alive",
            "75",
            "--log-level",
            "warning",
        ]
        found["gunicorn gthread"] = [
            *(python, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", *options, "--no-control-socket", wsgi)
        ]
    if importlib.util.find_spec("granian"):
        options = ["--interface", "wsgi", "--port", str(port), "--blocking-threads", str(THREADS), "--no-ws"]
        found["granian wsgi"] = [python, "-m", "granian", *options, "--log-level", "warning", wsgi]
    return found


def measure(
    name: str, port: int, path: str, token: str, environment: dict[str, str]
) -> tuple[float, list[float], float]:
    """Return CPU seconds of a request, the time that each answer took, and the resident memory in MiB."""
    process = subprocess.Popen(commands(port)[name], cwd=ROOT, env=environment)
    try:
        asked(port, path, token, 50, [])
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        before, took = cpu(family), list[float]()
        threads = [
            threading.Thread(target=asked, args=(port, path, token, REQUESTS // CLIENTS, took))
            for _ in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        memory = sum(member.memory_info().rss for member in family) / 2**20
        return (cpu(family) - before) / REQUESTS, took, memory
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def cpu(family: list[psutil.Process]) -> float:
    """Return the CPU time that some processes have had, in seconds."""
    return sum(sum(member.cpu_times()[:2]) for member in family)


def asked(port: int, path: str, token: str, times: int, took: list[float]) -> None:
    """Ask for a path again and again on one connection; wait for a server that is not up yet."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for _ in range(times):
        began = time.perf_counter()
        while True:
            try:
                connection.request("GET", path, headers={"X-Auth-Token": token})
                answer = connection.getresponse()
                break
            except ConnectionRefusedError:
                connection.close()
                time.sleep(0.1)
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path} is answered with {answer.status}")
        took.append(time.perf_counter() - began)


def main() -> int:
    """Print the figures, each server's of `ROUNDS` turns."""
    port = free_port()
    with prepared(PORT=str(port), WEB_THREADS=str(THREADS)) as data:
        from tests.conftest import Caller
        from tests.small_fleet import SmallFleet

        fleet = SmallFleet()
        caller, server = Caller(fleet.project, "admin"), fleet.add_server()
        (data / "static").mkdir()
        paths = {"versions": "/v2.1/", "a server": f"/v2.1/servers/{server.pk}"}
        for what, path in paths.items():
            for name in commands(port):
                rounds = [measure(name, port, path, caller.secret, dict(os.environ)) for _ in range(ROUNDS)]
                seconds = [one for round_ in rounds for one in round_[1]]
                print(
                    f"{what:10} {name:18} CPU {1000 * median(r[0] for r in rounds):6.2f} ms"
                    f"   median {1000 * median(seconds):6.1f} ms   p95 {1000 * p95(seconds):6.1f} ms"
                    f"   {median(r[2] for r in rounds):4.0f} MiB",
                    flush=True,
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
