"""Members of one group that are all sent to one host at the same moment, each by a worker process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
MEMBERS = 5
SLUGS = ("live-migration", "migrate")
AT_CHOICE, AT_CLAIM = "failed-at-the-choice", "failed-at-the-claim"


class Movers:
    """As many processes as there are members; the first one also prepares each round and judges it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.engine.mover"],
                env=environment,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            for _ in range(MEMBERS)
        ]
        for process in self.processes:
            assert hear(process) == "ready"

    def race(self, slug: str) -> tuple[list[str], int]:
        """Send a new group's members to one host at once; return the ends, and the most that are together."""
        tell(self.processes[0], f"group {slug}")
        moves = hear(self.processes[0]).split()
        for process, move in zip(self.processes, moves, strict=True):
            tell(process, f"work {move}")
        ends = [hear(process) for process in self.processes]
        tell(self.processes[0], "together")
        return ends, int(hear(self.processes[0]))

    def end(self) -> None:
        for process in self.processes:
            with suppress(OSError):
                assert process.stdin
                process.stdin.close()
            process.wait(timeout=20)


def tell(process: subprocess.Popen[str], command: str) -> None:
    assert process.stdin
    process.stdin.write(command + "\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


@contextmanager
def movers(environment: Mapping[str, str]) -> Iterator[Movers]:
    """Start the processes, and end them."""
    started = Movers({**environment, "DJANGO_SETTINGS_MODULE": "project.settings", "PYTHONPATH": str(ROOT)})
    try:
        yield started
    finally:
        started.end()


def rounds(usual: int) -> int:
    """Return how many rounds are run: RACES says it, where somebody wants more."""
    return int(os.environ.get("RACES", usual))


def hold_races(environment: Mapping[str, str], number: int) -> None:
    """Run that many races, live and cold in turn. Exactly one member lands each time, and no two are together."""
    seen: Counter[str] = Counter()
    with movers(environment) as started:
        for turn in range(number):
            ends, together = started.race(SLUGS[turn % len(SLUGS)])
            seen.update(ends)
            assert set(ends) <= {"succeeded", AT_CHOICE, AT_CLAIM}, ends
            assert (ends.count("succeeded"), together) == (1, 1), (turn, ends, together)
    print(f"{number} rounds of {MEMBERS} members: {dict(seen)}")
