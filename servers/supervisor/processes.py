"""Child processes under supervision: started, started again when they die, stopped by their process id."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import IO

from django.conf import settings

MANAGE = [sys.executable, str(settings.BASE_DIR / "manage.py")]
"""The beginning of a command line that runs a command of manage.py."""

WITHHELD = frozenset({"ADMIN_PASSWORD", "MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS"})
"""What no child needs to be told: a password that `up` alone sets, and that which make was given besides."""
HEALTHY_AFTER_S = 10.0
LONGEST_PAUSE_S = 30.0
WATCH_S = 1.0
PARENT = "GANTRY_PARENT"
"""The variable in which a process is told by which process id its parent goes, before that one can be gone."""


@dataclass
class Child:
    """A command that is to run until it is stopped.

    It has a process group of its own, so Ctrl-C in the terminal reaches the parent alone.
    """

    name: str
    command: list[str]
    output: IO[bytes] | None = None
    environment: Mapping[str, str] | None = None
    descriptors: tuple[int, ...] = ()
    """What it inherits of this process's open files, besides `output`."""
    process: subprocess.Popen[bytes] | None = None
    deaths: int = 0
    started_at: float = 0.0
    start_at: float = 0.0

    def start(self) -> None:
        """Start the process, with this process's environment but for WITHHELD, `environment`, and PARENT.

        Raises OSError when that fails.
        """
        given = {name: value for name, value in os.environ.items() if name not in WITHHELD}
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=self.output,
            env={**given, **(self.environment or {}), PARENT: str(os.getpid())},
            pass_fds=self.descriptors,
            process_group=0,
        )

    def reaped(self, process: subprocess.Popen[bytes]) -> None:
        """Handle the end of a process; called once for each. Does nothing here: subclasses override it."""

    def is_alive(self) -> bool:
        """Return whether the process runs."""
        return self.process is not None and self.process.poll() is None

    def tend(self) -> str | None:
        """Start the process when it does not run; return what happened, as a sentence for the log, or None.

        To be called about twice a second. After a death the next start waits, from 0.5 s up to
        LONGEST_PAUSE_S, twice as long each time; a process that has lived for HEALTHY_AFTER_S starts that
        anew. A process that cannot be started (OSError) counts as a death.
        """
        if self.is_alive():
            if self.deaths and time.monotonic() - self.started_at > HEALTHY_AFTER_S:
                self.deaths = 0
            return None
        if self.process is not None:
            ended, self.process = self.process, None
            self.reaped(ended)
            return f"{self.name} ended with {ended.returncode}; {self._put_off()}"
        if time.monotonic() >= self.start_at:
            try:
                self.start()
            except OSError as error:
                return f"{self.name} could not be started ({error}); {self._put_off()}"
        return None

    def _put_off(self) -> str:
        """Put the next start off, each time for longer; return how long, in words."""
        self.deaths += 1
        pause = min(0.5 * 2 ** (self.deaths - 1), LONGEST_PAUSE_S)
        self.start_at = time.monotonic() + pause
        return f"starting it again in {pause:g} s"

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, if it runs."""
        if self.is_alive() and self.process is not None:
            self.process.send_signal(number)


def stop(children: Iterable[Child], grace_s: float) -> None:
    """Send SIGTERM to all children, and SIGKILL to those that still run after `grace_s` seconds in all.

    Returns when none of them runs any more. Calls `reaped` of each.
    """
    children = list(children)
    running = [child for child in children if child.is_alive()]
    for child in running:
        child.signal(signal.SIGTERM)
    limit = time.monotonic() + grace_s
    for child in running:
        assert child.process is not None
        try:
            child.process.wait(max(limit - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            child.signal(signal.SIGKILL)
            child.process.wait()
    for child in children:
        if child.process is not None:
            child.reaped(child.process)


class Stopping(threading.Event):
    """An event that is set when this process gets SIGTERM, SIGINT or SIGHUP."""

    def listen(self) -> Stopping:
        """Install the signal handlers, in the main thread; return self."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        return self

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.set()


def end_with_parent(grace_s: float) -> None:
    """Send this process SIGTERM as soon as the parent that PARENT names is gone, and kill it after `grace_s` more.

    A daemon thread looks every WATCH_S seconds, so no child is left behind when its parent is killed. Does nothing
    without the variable, which is taken out of the environment: it is not meant for children.
    """
    parent = os.environ.pop(PARENT, "")
    if not parent:
        return

    def watch() -> None:
        while os.getppid() == int(parent):
            time.sleep(WATCH_S)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace_s)
        os._exit(1)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()
