"""Processes under supervision."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from servers.supervisor.processes import PARENT, Child, Stopping, end_with_parent, stop

LONG_S = 60
FOREVER = [sys.executable, "-c", f"import time; time.sleep({LONG_S})"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True);"
    f" time.sleep({LONG_S})",
]


@pytest.fixture
def child() -> Iterator[Child]:
    made = Child("the child", FOREVER)
    yield made
    stop([made], 0)


def until(condition: Callable[[], bool], limit_s: float = 20) -> None:
    limit = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_a_child_is_started_at_the_first_look(child: Child) -> None:
    assert child.tend() is None
    assert child.is_alive()


def test_a_dead_child_is_started_again_after_a_pause(child: Child) -> None:
    child.start()
    assert child.process is not None
    first = child.process.pid
    child.process.kill()
    until(lambda: not child.is_alive())
    assert child.tend() == "the child ended with -9; starting it again in 0.5 s"
    child.tend()
    assert not child.is_alive()
    until(lambda: (child.tend(), child.is_alive())[1])
    assert child.process.pid != first


def test_each_pause_is_longer_than_the_one_before_up_to_a_limit(child: Child) -> None:
    pauses = []
    for _ in range(9):
        child.process = subprocess.Popen([sys.executable, "-c", ""])
        child.process.wait()
        child.tend()
        pauses.append(round(child.start_at - time.monotonic(), 1))
    assert pauses == sorted(pauses)
    assert pauses[-1] <= 30


def test_a_child_that_ends_when_asked_is_not_killed(child: Child) -> None:
    child.start()
    stop([child], 20)
    assert child.process is not None
    assert child.process.returncode == -signal.SIGTERM


def test_a_child_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as output:
        child = Child("deaf", STUBBORN, output=output)
        child.start()
        until(lambda: (tmp_path / "out").read_bytes() != b"")
        stop([child], 0.2)
    assert child.process is not None
    assert child.process.returncode == -signal.SIGKILL


def test_a_child_does_not_hear_the_terminals_interrupt(child: Child) -> None:
    child.start()
    assert child.process is not None
    assert os.getpgid(child.process.pid) != os.getpgid(0)


def test_a_child_ends_with_its_parent() -> None:
    grandchild = (
        "import django, os, time; django.setup();"
        "from servers.supervisor.processes import end_with_parent;"
        "end_with_parent(0); print('there', flush=True); time.sleep(60)"
    )
    program = (
        "import django, sys, time; django.setup(); from servers.supervisor.processes import Child;"
        f"Child('the child', [sys.executable, '-c', {grandchild!r}]).start(); time.sleep({LONG_S})"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "project.settings"}
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment, text=True
    )
    assert parent.stdout is not None
    assert parent.stdout.readline()  # the grandchild is there
    parent.kill()
    parent.wait()
    killed_at = time.monotonic()
    assert parent.stdout.read() == ""  # the end of the pipe: nobody holds it any more
    assert time.monotonic() - killed_at < LONG_S / 2


def test_a_child_that_does_not_listen_is_gone_with_its_parent_too() -> None:
    deaf = (
        "import django, os, signal, time; django.setup(); signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "from servers.supervisor.processes import end_with_parent; end_with_parent(0.1); time.sleep(60)"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "project.settings", PARENT: "1"}  # gone already
    began_at = time.monotonic()
    assert subprocess.run([sys.executable, "-c", deaf], env=environment, check=False).returncode == 1
    assert time.monotonic() - began_at < LONG_S


def test_a_childs_own_children_are_not_told_of_another_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PARENT, str(os.getppid()))
    end_with_parent(0)
    assert PARENT not in os.environ


def test_a_signal_asks_to_end() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        stopping = Stopping().listen()
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
        assert stopping.wait(20)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_machine_without_room_for_a_process_is_asked_again(tmp_path: Path) -> None:
    program = tmp_path / "later"
    child = Child("the child", [str(program)])
    assert "could not be started" in (child.tend() or "")
    assert child.tend() is None and not child.is_alive()
    program.write_text(f"#!/bin/sh\nexec sleep {LONG_S}\n")
    program.chmod(0o700)
    try:
        until(lambda: (child.tend(), child.is_alive())[1])
    finally:
        stop([child], 0)


class Heard(Child):
    """A child of which every end is written down."""

    def __init__(self) -> None:
        super().__init__("the child", FOREVER)
        self.ended: list[int] = []

    def reaped(self, process: subprocess.Popen[bytes]) -> None:
        self.ended.append(process.pid)


def test_every_end_of_a_process_is_heard_of_once_however_it_comes() -> None:
    child = Heard()
    child.start()
    assert child.process is not None
    killed = child.process.pid
    child.process.kill()
    until(lambda: (child.tend(), child.ended)[1] != [])
    until(lambda: (child.tend(), child.is_alive())[1])
    stopped = child.process.pid
    stop([child], 0)
    assert child.ended == [killed, stopped]


def test_the_end_of_a_process_that_nobody_has_tended_since_is_heard_of() -> None:
    child = Heard()
    child.start()
    assert child.process is not None
    child.process.kill()
    until(lambda: not child.is_alive())
    stop([child], 0)
    assert child.ended == [child.process.pid]
