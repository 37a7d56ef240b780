"""How hosts are, asked again and again: whoever answers is up, and all who have answered are written down together."""

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
"""How long a round waits for answers; a later one is written by the next round."""
FIELDS = ("heartbeat_at", "hypervisor_type", "hypervisor_version", "cpu_model")


class Heartbeats:
    """What hosts have said since it was last written down, by their names."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._heard: dict[str, tuple[datetime, HostInfo]] = {}

    def collect(self, limit_s: float = LIMIT_S) -> int:
        """Ask every host, and write down who has answered; return how many have. Nobody waits for one that hangs.

        Those come first of which nothing was heard for longest, so that of many slow ones each has its turn.
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
        """Write down what was heard of the hosts that there are; a host that was removed is forgotten."""
        with self._lock:
            heard, self._heard = self._heard, {}
        heard = {name: said for name, said in heard.items() if name in known}
        written = write_down(heard)
        with self._lock:
            self._heard = {**{name: heard[name] for name in heard.keys() - written}, **self._heard}
        return len(written)


@transaction.atomic
def write_down(heard: dict[str, tuple[datetime, HostInfo]]) -> set[str]:
    """Write what hosts have said, in one statement; return whose rows that were.

    Nothing else of a row is written, and none that is locked is waited for: whoever locks several hosts could wait
    for somebody who waits for it.
    """
    rows = list(Host.objects.select_for_update(skip_locked=True).filter(name__in=heard).order_by("pk"))
    for row in rows:
        row.heartbeat_at, info = heard[row.name]
        row.hypervisor_type, row.hypervisor_version = info.hypervisor_type, info.hypervisor_version
        row.cpu_model = info.cpu_model
    Host.objects.bulk_update(rows, FIELDS)
    return {row.name for row in rows}
