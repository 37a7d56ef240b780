"""Real processes on a real database file: of all who want the same, exactly one gets it, and nobody gets a 500."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RACERS = 4
ROUNDS = 10

SET_UP = """
import django; django.setup()
from django.core.management import call_command
from servers import clock
from servers.models import Host, Server
call_command("migrate", verbosity=0)
host = Host.objects.create(name="node1", hypervisor_hostname="node1", heartbeat_at=clock.now())
for number in range({rounds}):
    print(Server.objects.create(name=f"s{{number}}", project_id="p", user_id="u", host=host, vm_state="active",
        vcpus=1, memory_mb=512, launched_at=clock.now()).pk)
"""
ACTIONS = """
import django; django.setup()
from servers.models import ActionRecord
print(*ActionRecord.objects.order_by("created_at").values_list("pk", flat=True), sep="\\n")
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("races")
    clean = {k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "DATA_DIR"}}
    return {
        **clean,
        "DATA_DIR": str(folder),
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "PYTHONPATH": str(ROOT),
    }


def run(script: str, environment: dict[str, str]) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.fixture(scope="module")
def racers(environment: dict[str, str]) -> Iterator[list[subprocess.Popen[str]]]:
    environment["SERVERS"] = " ".join(run(SET_UP.format(rounds=ROUNDS), environment))
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.engine.racer"],
            env=environment,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(RACERS)
    ]
    for process in processes:
        assert process.stdout and process.stdout.readline() == "ready\n"
    yield processes
    for process in processes:
        assert process.stdin
        process.stdin.close()
        process.wait(timeout=20)


def race(processes: list[subprocess.Popen[str]], command: str) -> Counter[str]:
    """Give every process the same command at once; return how often each answer came."""
    for process in processes:
        assert process.stdin
        process.stdin.write(command + "\n")
        process.stdin.flush()
    return Counter(p.stdout.readline().strip() for p in processes if p.stdout)


def test_one_request_is_accepted_and_the_others_are_conflicts_and_one_worker_claims_it(
    racers: list[subprocess.Popen[str]], environment: dict[str, str]
) -> None:
    for server in environment["SERVERS"].split():
        assert race(racers, f"submit {server}") == {"ok": 1, "WrongState": RACERS - 1}
    actions = run(ACTIONS, environment)
    assert len(actions) == ROUNDS
    for action in actions:
        assert race(racers, f"claim {action}") == {"ok": 1, "lost": RACERS - 1}
