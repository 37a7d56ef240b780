"""`make attack`: ATTACK_S seconds of everything at once, after a quiet time and a time of slow clients alone.

On a machine that does something else meanwhile ATTACK_SLACK says how many times as long others may wait.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from tests.attack.attackers import ATTACKS, SLOW, Target, run
from tests.attack.others import Others
from tests.running import ROOT, Running, gantry

QUIET_S = 15.0
LIMIT_S = 1.0
"""What 95 of 100 answers to others may take while everything is attacked at once."""
TIMES = 3.0
"""How many times as long as in quiet they may take while clients are slow and hosts hang."""
LEAST_S = 0.1
"""A quiet p95 below this counts as this: of a few milliseconds the machine's own noise is many times."""


def main() -> int:
    """Attack, print what others felt of it, and return 0 when it was little and no process has died."""
    seconds, slack = float(os.environ.get("ATTACK_S", "60")), float(os.environ.get("ATTACK_SLACK", "1"))
    with gantry(RECONCILE_INTERVAL="600", BEHIND_PROXY="true") as running:
        servers = add_hosts(running)
        port = int(running.address.rpartition(":")[2])
        others = Others(port, running.passwords["admin"])
        processes = alive(running)
        print(f"{'':22} {'answers':>8} {'p95':>8}   codes")
        with others.at_work():
            time.sleep(QUIET_S)
        quiet_s = told("quiet", others)
        target = Target(port, running.passwords, "rita", "martin", "shop", servers)
        with attacked(target, SLOW), others.at_work():
            time.sleep(max(seconds / 4, QUIET_S))
        slow_s = told("slow clients, hangs", others)
        with attacked(target, tuple(ATTACKS)), others.at_work():
            time.sleep(seconds)
        all_s = told("everything at once", others)
        died = [f"{name} ({process.pid})" for process, name in processes.items() if not process.is_running()]
        why = ends(running) if died else []
    wrong = [
        *(
            [f"p95 {slow_s / quiet_s:.1f} times that in quiet"]
            if slow_s > slack * TIMES * max(quiet_s, LEAST_S)
            else []
        ),
        *([f"p95 {all_s:.2f} s while everything is attacked"] if all_s > slack * LIMIT_S else []),
        *([f"processes have died: {', '.join(died)}"] if died else []),
    ]
    print(
        "\n".join([*wrong, *why])
        or f"Nobody died; {slow_s / quiet_s:.1f} times the quiet p95 with slow clients."
    )
    return 1 if wrong else 0


def told(name: str, others: Others) -> float:
    """Print what the others felt; return their p95 in seconds."""
    codes = ", ".join(f"{code}: {number}" for code, number in sorted(others.codes.items(), key=str))
    print(f"{name:22} {len(others.took):8} {others.p95_s * 1000:6.0f}ms   {codes}", flush=True)
    return others.p95_s


def add_hosts(running: Running) -> tuple[str, ...]:
    """Add hosts that hang; return the servers that could move there."""
    environment = {key: value for key, value in os.environ.items() if key != "DATABASE_URL"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.attack.hosts"],
        cwd=ROOT,
        env={**environment, "DATA_DIR": str(running.data)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return tuple(done.stdout.split())


def ends(running: Running) -> list[str]:
    """Return what the logs say of processes that have ended."""
    logs = [running.data / "up.log", *(running.data / "log").iterdir()]
    return [
        line
        for log in logs
        for line in log.read_text().splitlines()
        if "ended" in line or "level=error" in line
    ][-20:]


def alive(running: Running) -> dict[psutil.Process, str]:
    """Return the processes of Gantry, each with its command: the web server's, the supervisor and the workers."""
    (up,) = (
        child
        for child in psutil.Process().children()
        if child.cmdline()[-2:] == ["manage.py", "up"]
        and child.environ().get("DATA_DIR") == str(running.data)
    )
    return {each: " ".join(each.cmdline()[-8:]) for each in (up, *up.children(recursive=True))}


@contextmanager
def attacked(target: Target, names: tuple[str, ...]) -> Iterator[None]:
    """Attack in these ways during the block, from another process."""
    spawn = multiprocessing.get_context("spawn")
    over = spawn.Event()
    process = spawn.Process(target=run, args=(target, names, over), daemon=True)
    process.start()
    try:
        yield
    finally:
        over.set()
        process.join(10)
        process.kill()


if __name__ == "__main__":
    sys.exit(main())
