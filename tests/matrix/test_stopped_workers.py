"""Real processes: a worker is stopped at a verb, its successor ends the action, and what wakes then changes nothing."""

from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from servers.drivers import base
from tests.matrix.points import LOOKS
from tests.matrix.test_matrix import WANTED
from tests.shares import is_wanted

ROOT = Path(__file__).parent.parent.parent
LEASE_TTL_S = 2
CHECKS = {"check_destination", "check_source"}


def verbs() -> list[str]:
    """Return the verbs of the drivers that have an effect."""
    own = [name for name in base.Driver.__abstractmethods__ if name not in LOOKS]
    return sorted(
        own
        + [
            f"{ability}.{name}"
            for ability, promises in base.ABILITIES.items()
            for name, _ in inspect.getmembers(promises, inspect.isfunction)
            if name in promises.__abstractmethods__ and name not in CHECKS
        ]
    )


class Stage:
    """The process that sets the scene, and ends it."""

    def __init__(self, folder: Path) -> None:
        own = {"DATA_DIR": str(folder), "LEASE_TTL": str(LEASE_TTL_S), "LOG_LEVEL": "ERROR"}
        self.environment = {**os.environ, **own, "DJANGO_SETTINGS_MODULE": "project.settings"}
        self.environment.pop("DATABASE_URL", None)
        self.process = self.start("tests.matrix.stage")
        self.expect("ready\n")

    def start(self, *module: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", *module],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def expect(self, word: str) -> None:
        assert self.process.stdout and self.process.stdout.readline() == word

    def ask(self, *words: str) -> Any:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(tmp_path_factory.mktemp("stage"))
    yield stage
    stage.process.kill()
    stage.process.wait()


@pytest.mark.skipif(not WANTED, reason="real processes are stopped by: make matrix")
@pytest.mark.parametrize(
    "verb", [verb for place, verb in enumerate(verbs()) if not WANTED or is_wanted(WANTED, place)]
)
def test_stopped_worker_changes_nothing_when_it_wakes_after_its_successor(stage: Stage, verb: str) -> None:
    action = stage.ask("set", verb)
    late = stage.start("tests.matrix.late_worker", action, verb)
    try:
        assert late.stdout and late.stdout.readline() == "stopped\n", f"nobody has called {verb}"
        os.waitpid(late.pid, os.WUNTRACED)
        ends = stage.ask("end")
        before = stage.ask("truth")
        os.kill(late.pid, signal.SIGCONT)
        late.wait(timeout=20)
        assert stage.ask("truth") == before
        assert not [end for end in ends if end.rsplit(" ", 1)[1] not in {"succeeded", "failed", "cancelled"}]
    finally:
        late.kill()
        late.wait()
