"""Heartbeats of hosts: all hosts are asked periodically, and the answers are written together."""

from __future__ import annotations

import threading
from datetime import datetime

import structlog
from django.db import transaction
from django.db.models import F

from servers import clock
from servers.drivers.base import Driver, HostInfo
from servers.fleet.drivers import ref
from servers.fleet.polling import ask_all
from servers.models import Host

log = structlog.get_logger(__name__)

LIMIT_S = 8.0
"""Seconds that `collect` waits for answers; the next call writes what comes later."""
FIELDS = ("heartbeat_at", "hypervisor_type", "hypervisor_version", "cpu_model")


class Heartbeats:
    """Answers of hosts that are not written yet, by host name, each with the time when it came."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._heard: dict[str, tuple[datetime, HostInfo]] = {}

    def collect(self, limit_s: float = LIMIT_S) -> int:
        """Ask every host, for at most `limit_s` seconds, and write the answers; return how many were written.

        The hosts with the oldest heartbeat are asked first, so that each of many slow hosts is asked in time.
        An answer that comes later, or whose row is locked, is written by the next call.
        """
        longest_ago = F("heartbeat_at").asc(nulls_first=True)
        hosts = [ref(host) for host in Host.objects.order_by(longest_ago)]
        for name, answer in ask_all(hosts, self._listen, limit_s, "heartbeat").items():
            if answer.fault:
                log.info("host.silent", host=name, reason=answer.fault)
        return self._write({host.name for host in hosts})

    def _listen(self, driver: Driver) -> None:
        info = driver.describe()
        with self._lock:
            self._heard[driver.host.name] = (clock.now(), info)

    def _write(self, known: set[str]) -> int:
        """Write the answers of the hosts named in `known`; answers of hosts that were removed are dropped."""
        with self._lock:
            heard, self._heard = self._heard, {}
        heard = {name: said for name, said in heard.items() if name in known}
        written = write_down(heard)
        with self._lock:
            self._heard = {**{name: heard[name] for name in heard.keys() - written}, **self._heard}
        return len(written)


@transaction.atomic
def write_down(heard: dict[str, tuple[datetime, HostInfo]]) -> set[str]:
    """Write what hosts have said, in one transaction; return the names of the hosts that were written.

    `heard` has the time and the answer by host name. Only FIELDS are written. A row that another transaction
    has locked is skipped: to wait for a transaction that locks several hosts could be a deadlock.
    """
    rows = list(Host.objects.select_for_update(skip_locked=True).filter(name__in=heard).order_by("pk"))
    for row in rows:
        row.heartbeat_at, info = heard[row.name]
        row.hypervisor_type, row.hypervisor_version = info.hypervisor_type, info.hypervisor_version
        row.cpu_model = info.cpu_model
    Host.objects.bulk_update(rows, FIELDS)
    return {row.name for row in rows}
