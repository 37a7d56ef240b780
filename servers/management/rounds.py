"""What the supervisor of workers does itself, again and again: quick things that keep the rest honest."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from django.db import DatabaseError, close_old_connections, connections

from servers import clock
from servers.conductor.bells.base import bells
from servers.conductor.fleet import refresh_host
from servers.conductor.images import discard_left
from servers.conductor.periodic import confirm_overdue, reconcile_when_due
from servers.conductor.retention import prune
from servers.conductor.work import sweep
from servers.errors import Fault
from servers.models import Host, Worker

log = logging.getLogger(__name__)

SWEEP_S = 1.0
HEARTBEAT_S = 10.0
PRESENCE_S = 5.0
CONFIRM_S = 10.0
DISCARD_S = 60.0
RECONCILE_S = 5.0
"""How often it is looked whether a comparison is due; RECONCILE_INTERVAL says how often one is."""
PRUNE_S = 3600.0
FORGET_WORKERS = timedelta(days=1)


def worker_name() -> str:
    """Return the name of this supervisor: the machine's and the process's."""
    return f"{socket.gethostname()[:40]}-{os.getpid()}"


@dataclass
class Duty:
    """Something to do every so many seconds. A database that is busy or away is met again at the next round."""

    every_s: float
    do: Callable[[], object]
    due_at: float = 0.0

    def do_when_due(self) -> None:
        if time.monotonic() < self.due_at:
            return
        self.due_at = time.monotonic() + self.every_s
        try:
            self.do()
        except DatabaseError as error:
            log.warning("%s: %s", getattr(self.do, "__name__", self.do), error)


@dataclass
class Rounds:
    """All duties of one supervisor."""

    name: str
    processes: int
    asking: dict[int, threading.Thread] = field(default_factory=dict)
    comparing: threading.Thread | None = None
    duties: list[Duty] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.duties = [
            Duty(PRESENCE_S, self.show_presence),
            Duty(SWEEP_S, sweep),
            Duty(HEARTBEAT_S, self.ask_hosts),
            Duty(CONFIRM_S, confirm_overdue),
            Duty(DISCARD_S, discard_left),
            Duty(RECONCILE_S, self.reconcile),
            Duty(PRUNE_S, tidy_up),
        ]

    def go_round(self) -> None:
        """Do what is due."""
        close_old_connections()
        for duty in self.duties:
            duty.do_when_due()

    def show_presence(self) -> None:
        """Write down that this supervisor is there."""
        Worker.objects.update_or_create(
            name=self.name, defaults={"processes": self.processes, "seen_at": clock.now()}
        )

    def leave(self) -> None:
        """Write down that this supervisor is gone; without a database its presence ends by growing old."""
        try:
            Worker.objects.filter(name=self.name).delete()
        except DatabaseError as error:
            log.warning("leave: %s", error)

    def ask_hosts(self) -> None:
        """Ask each host how it is, each in a thread of its own: one that hangs keeps nobody else waiting."""
        for host in Host.objects.all():
            thread = self.asking.get(host.pk)
            if thread is None or not thread.is_alive():
                self.asking[host.pk] = threading.Thread(target=ask_host, args=(host,), daemon=True)
                self.asking[host.pk].start()

    def reconcile(self) -> None:
        """Compare records and hypervisors in a thread of its own: hosts that hang keep no bell from ringing."""
        if self.comparing is None or not self.comparing.is_alive():
            self.comparing = threading.Thread(target=compare, daemon=True)
            self.comparing.start()


def compare() -> None:
    """Do a comparison that is due. What it meets is logged; the next one begins anew."""
    try:
        reconcile_when_due()
    except (Fault, DatabaseError) as error:
        log.warning("reconcile: %s", error)
    finally:
        connections.close_all()


def ask_host(host: Host) -> None:
    """Ask one host; a host that does not answer shows by its old heartbeat."""
    try:
        refresh_host(host)
    except (Fault, DatabaseError) as error:
        log.info("host %s: %s", host.name, error)
    finally:
        connections.close_all()


def tidy_up() -> None:
    """Delete what has been kept for long enough."""
    prune()
    Worker.objects.filter(seen_at__lt=clock.now() - FORGET_WORKERS).delete()
    bells().tidy_up()
