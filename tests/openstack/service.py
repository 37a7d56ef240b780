"""A service of OpenStack as a process: started, ended, killed and stopped in its tracks, on a port of this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.openstack.installing import environment

READY_IN_S = 60.0

CONFIGURATION = """
bind = "127.0.0.1:{port}"
workers = 1  # its cache is in its memory
threads = 8
timeout = 600
graceful_timeout = 1
wsgi_app = "{application}"
control_socket_disable = True
"""


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Service:
    """A WSGI application of a service under gunicorn, with its configuration in a folder."""

    name: str
    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "output.log"

    def manage(self, *arguments: str) -> None:
        """Run the service's own command. Raises RuntimeError with what it said."""
        program = environment(self.name) / "bin" / f"{self.name}-manage"
        command = [str(program), "--config-dir", str(self.folder), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{self.name}-manage {arguments[0]} failed:\n{done.stderr[-2000:]}")

    def start(self) -> None:
        """Start it and wait until it answers. Raises RuntimeError.

        Both services read the command line as if it were theirs, so that gunicorn's has to stay empty.
        """
        configuration = self.folder / "gunicorn.conf.py"
        configuration.write_text(
            CONFIGURATION.format(port=self.port, application=f"{self.name}.wsgi.api:application")
        )
        variables = {
            **os.environ,
            "PYTHONWARNINGS": "ignore",
            "GUNICORN_CMD_ARGS": f"-c {configuration}",
            f"OS_{self.name.upper()}_CONFIG_DIR": str(self.folder),
        }
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [str(environment(self.name) / "bin" / "gunicorn")],
                cwd=self.folder,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        limit = time.monotonic() + READY_IN_S
        while not self._answers():
            if self.process is None or self.process.poll() is not None or time.monotonic() > limit:
                self.kill()
                raise RuntimeError(f"{self.name} does not come up:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.url, timeout=2):
                return True
        except urllib.error.HTTPError as answer:
            return answer.code < 500  # 300, several choices, is what a healthy one says
        except OSError:
            return False

    def end(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        """End it and all its workers, gently or not."""
        if self.process is None:
            return
        self._signal(with_signal)
        try:
            self.process.wait(timeout=20)
        finally:
            self._signal(signal.SIGKILL)
            self.process = None

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        self.end(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self.process is not None:
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                return  # all of them have ended

    @contextmanager
    def down(self) -> Iterator[None]:
        """Let nobody listen on its port within the block."""
        self.end()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Have it back after the block, whatever becomes of it within."""
        try:
            yield
        finally:
            if self.process is None:
                self.start()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Let it take connections and never answer within the block."""
        self._signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)
