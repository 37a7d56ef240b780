"""manage.py up: everything that Gantry needs, in one command; Ctrl-C stops it all."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import socket
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from servers.audit import triggers
from servers.database_age import pending, refuse_strange_database
from servers.demo.seed import is_seeded
from servers.management.accounts import ensure_admin, write_login, write_openrc
from servers.management.checks import warnings_of
from servers.management.greeting import IDENTITY, greeting
from servers.management.listening import listen
from servers.management.private_files import close_to_others
from servers.monitoring.health import examine
from servers.supervisor.processes import MANAGE, Child, Stopping, end_with_parent, stop

log = logging.getLogger(__name__)

READY_IN_S = 60.0
READY = 200
ASK_S = 0.25
TEND_S = 0.5
GRACE_S = settings.WORKER_GRACE_S + 3
LOG_LIMIT_BYTES = 20_000_000
"""How long each log becomes, and the one before that is kept beside it."""


class Command(BaseCommand):
    requires_system_checks = []
    help = "Start everything: database, demo fleet, web server and worker. PORT and DATA_DIR say where."

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.long_logs: set[Path] = set()
        """Those that could not be put aside."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--bind", default="127.0.0.1", help="address to listen on (default: %(default)s)")
        parser.add_argument("--empty", action="store_true", help="do without the demo fleet")

    def handle(self, *args: Any, **given: Any) -> None:
        stopping = Stopping().listen()
        end_with_parent(GRACE_S + READY_IN_S)  # make, which says who it is
        data, logs = Path(settings.DATA_DIR), Path(settings.DATA_DIR) / "log"
        Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)
        lock = take_data(data)
        close_to_others(data)
        listener = listen(given["bind"], settings.PORT)
        migrate()
        if not given["empty"]:
            self.make_demo(logs, stopping)
        web = web_server(listener, logs)
        children = [*web, worker(logs)]
        try:
            for process in web:
                process.start()
            admin = ensure_admin()  # while the web server starts
            openrc = write_openrc(admin, f"{settings.PUBLIC_URL}{IDENTITY}")
            text = greeting(admin, openrc, write_login(admin), logs) + warnings_of(given["bind"])
            connections.close_all()
            self.wait_until_ready(children, given["bind"], stopping)
            if not stopping.is_set():
                self.stdout.write(text)
                self.stdout.flush()
            self.tend(children, stopping, logs)
        finally:
            stop(children, GRACE_S)
            listener.close()
            lock.close()
        self.stdout.write("Stopped.")

    def make_demo(self, logs: Path, stopping: Stopping) -> None:
        """Make the demo fleet at the first start; give it up when somebody asks to end. Raises CommandError."""
        if is_seeded():
            return
        self.stdout.write("Making the demo fleet (once) …")
        self.stdout.flush()
        with log_file(logs, "demo") as output:
            demo = Child("the demo", [*MANAGE, "demo"], output=output)
            demo.start()
            while demo.is_alive() and not stopping.wait(0.1):
                pass
            stop([demo], GRACE_S)
        if not stopping.is_set() and demo.process is not None and demo.process.returncode:
            raise CommandError(f"The demo fleet could not be made. Why stands at the end of {output.name}")

    def tend(self, children: list[Child], stopping: Stopping, logs: Path) -> None:
        """Keep the children running until somebody asks to end, and their logs short; start those that do not run yet."""
        while not stopping.is_set():
            tend(children)
            self.keep_short(logs)
            stopping.wait(TEND_S)

    def keep_short(self, logs: Path) -> None:
        """Put long logs aside; a full disk, or somebody who moves them, is said once and keeps nothing from running."""
        for path in logs.glob("*.log"):
            try:
                put_aside(path)
                self.long_logs.discard(path)
            except OSError as error:
                if path not in self.long_logs:
                    log.warning("The log %s is not put aside: %s", path, error)
                self.long_logs.add(path)

    def wait_until_ready(self, children: list[Child], address: str, stopping: Stopping) -> None:
        """Keep the children running until `/readyz` says that all is well, or somebody asks to end.

        Raises CommandError when the web server does not come up. Where it answers, and after READY_IN_S something is
        still not well, that is said, and everything goes on: what was accepted before is carried out.
        """
        web, host = children[0], {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
        limit = time.monotonic() + READY_IN_S
        while not stopping.is_set() and (answer := status_of(host)) != READY:
            late = time.monotonic() > limit
            if not web.is_alive() or (late and answer is None):
                name = getattr(web.output, "name", "its log")
                raise CommandError(f"The web server does not come up. Why stands at the end of {name}")
            if late:
                for name, reason in examine().reasons.items():
                    self.stderr.write(f"Not well: {name}: {reason}")
                connections.close_all()
                return
            tend([child for child in children if child is not web])
            stopping.wait(ASK_S)


def tend(children: list[Child]) -> None:
    """Start those children that do not run, and log what has happened."""
    for child in children:
        happened = child.tend()
        if happened:
            log.warning(happened)


def migrate() -> None:
    """Bring the database up to date, where it is not: its tables, and what writes the audit trail.

    Raises StrangeDatabase where that cannot be done.
    """
    refuse_strange_database(may_be_older=True)
    if pending() or triggers.installed() != triggers.expected():
        call_command("migrate", interactive=False, verbosity=0)


def take_data(data: Path) -> IO[str]:
    """Return the lock on the data folder, held as long as it is open. Raises CommandError when it is taken."""
    lock = (data / "up.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise CommandError(
            f"Gantry runs already on the data in {data}. Stop it, or choose another folder: make up DATA_DIR=…"
        ) from error
    return lock


def log_file(logs: Path, name: str) -> IO[bytes]:
    """Return the log of one child, opened to add to it."""
    logs.mkdir(exist_ok=True)
    return (logs / f"{name}.log").open("ab")


def put_aside(path: Path) -> None:
    """Put a log aside that is long, in the place of the one that was before; whoever has it open goes on in it.

    It is copied and cut, since children have it open to add to its end, wherever that is. What is written in between is lost.
    """
    if path.stat().st_size > LOG_LIMIT_BYTES:
        shutil.copyfile(path, path.with_name(f"{path.name}.1"))
        os.truncate(path, 0)


def web_server(listener: socket.socket, logs: Path) -> list[Child]:
    """Return the processes of the web server, which share a socket."""
    descriptor = listener.fileno()
    command, output = [*MANAGE, "serve", "--socket", str(descriptor)], log_file(logs, "web")
    return [
        Child(f"web server {number}", command, output=output, descriptors=(descriptor,))
        for number in range(settings.WEB_PROCESSES)
    ]


def worker(logs: Path) -> Child:
    """Return the supervisor of the worker processes."""
    command = [*MANAGE, "work"]
    return Child("the worker", command, output=log_file(logs, "worker"))


def status_of(address: str) -> int | None:
    """Return what `/readyz` of the web server at `address` answers, None where nobody does; proxies are not asked."""
    connection = HTTPConnection(address, settings.PORT, timeout=5)
    try:
        connection.request("GET", "/readyz", headers={"Host": "localhost"})
        answer = connection.getresponse()
        answer.read()
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
    return answer.status
