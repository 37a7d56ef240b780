"""Child processes under supervision: started, started again when they die, stopped by their id."""

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
"""What runs another command of manage.py."""

HEALTHY_AFTER_S = 10.0
LONGEST_PAUSE_S = 30.0
WATCH_S = 1.0


@dataclass
class Child:
    """A command that is to run for ever. It is no member of the terminal's group: Ctrl-C is for its parent alone."""

    name: str
    command: list[str]
    output: IO[bytes] | None = None
    environment: Mapping[str, str] | None = None
    process: subprocess.Popen[bytes] | None = None
    deaths: int = 0
    started_at: float = 0.0
    start_at: float = 0.0

    def start(self) -> None:
        """Start the process."""
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=self.output,
            env=None if self.environment is None else {**os.environ, **self.environment},
            process_group=0,
        )

    def reaped(self, process: subprocess.Popen[bytes]) -> None:
        """Hear of a process that has ended, once."""

    def is_alive(self) -> bool:
        """Return whether the process runs."""
        return self.process is not None and self.process.poll() is None

    def tend(self) -> str | None:
        """Start a dead process again, each time after a longer pause; return what happened, if anything did.

        A machine that has no room for a process, for now, is the same as a process that has died.
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
        """Let the next start wait, longer each time; return how long."""
        self.deaths += 1
        pause = min(0.5 * 2 ** (self.deaths - 1), LONGEST_PAUSE_S)
        self.start_at = time.monotonic() + pause
        return f"starting it again in {pause:g} s"

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, if it runs."""
        if self.is_alive() and self.process is not None:
            self.process.send_signal(number)


def stop(children: Iterable[Child], grace_s: float) -> None:
    """Ask all to end; kill after `grace_s` what has not. Nothing of them runs when this returns."""
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
    """Set when somebody asks this process to end: SIGTERM, SIGINT, or the death of its parent."""

    def listen(self) -> Stopping:
        """Take over the signals; return self."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        return self

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.set()


def end_with_parent(parent: int) -> None:
    """Send this process SIGTERM as soon as `parent` is no longer its parent, so that nobody is left behind."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_S)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()
