"""What the database says when Prometheus asks: the queue, hosts, workers, connections, in a few queries whatever its size."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog
from django.db import Error as DatabaseFault
from django.db import connection
from django.db.models import Count, Min
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from servers import clock
from servers.deployment.facts import FACTS
from servers.deployment.members import differing
from servers.engine.execution.choice import due
from servers.engine.execution.workers import worker_health
from servers.models import ActionRecord, Host
from servers.monitoring.database import within
from servers.states import OPEN_ACTION_STATUSES, ActionStatus, QueueClass

log = structlog.get_logger(__name__)

LIMIT_S = 5.0
"""How long the queries may take, together: Prometheus itself waits ten seconds."""
IN_STATES = "SELECT coalesce(state, 'none'), count(*) FROM pg_stat_activity WHERE datname = current_database() GROUP BY 1"

Samples = list[tuple[list[str], float]]


@dataclass(frozen=True)
class Family:
    """A gauge that is read from the database: its name, what it says, and the names of its labels."""

    name: str
    text: str
    labels: tuple[str, ...] = field(default=())

    def of(self, samples: Samples) -> Metric:
        """Return the gauge with these values, each behind the values of its labels."""
        metric = GaugeMetricFamily(self.name, self.text, labels=self.labels)
        for labels, value in samples:
            metric.add_metric(labels, value)
        return metric


UP = Family("gantry_database_up", "1 when the database has answered all of this in time, else 0.")
OPEN = Family("gantry_actions_open", "Accepted actions that are not over.", ("status",))
WAITING = Family(
    "gantry_actions_waiting_for_judgement", "Actions that no worker tries until a person has decided."
)
JUDGEMENT_AGE = Family(
    "gantry_judgement_age_seconds", "For how long the oldest of them waits; 0 without any."
)
DUE = Family("gantry_queue_depth", "Actions that a worker could claim at this moment.", ("queue_class",))
AGE = Family(
    "gantry_queue_age_seconds", "For how long the oldest of them is due; 0 without any.", ("queue_class",)
)
HEARTBEAT = Family(
    "gantry_host_heartbeat_age_seconds", "Since when a host has not answered; +Inf: it never has.", ("host",)
)
PROCESSES = Family("gantry_worker_processes", "Worker processes whose supervisor was heard of lately.")
DIFFERING = Family(
    "gantry_deployment_members_differing",
    "Processes that stay out because their machine differs from the deployment.",
    ("fact",),
)
CONNECTIONS = Family(
    "gantry_database_connections", "Connections to Gantry's PostgreSQL database.", ("state",)
)
FAMILIES = (UP, OPEN, WAITING, JUDGEMENT_AGE, DUE, AGE, HEARTBEAT, PROCESSES, DIFFERING, CONNECTIONS)


class Records(Collector):
    """The gauges of FAMILIES, each time as they are then."""

    def collect(self) -> Iterator[Metric]:
        """Yield every gauge; without the database the one that says so, and no other."""
        try:
            found = within(LIMIT_S, "metrics", read)
        except DatabaseFault as error:
            log.warning("metrics.without_database", reason=str(error))
            found = {UP: [([], 0)]}
        for family, samples in found.items():
            yield family.of(samples)

    def describe(self) -> list[Metric]:
        """Return the gauges without values."""
        return [family.of([]) for family in FAMILIES]


def read() -> dict[Family, Samples]:
    """Return the values of each gauge: five queries, on PostgreSQL six."""
    return {
        **_open_actions(),
        **_due_actions(),
        **_hosts(),
        **_processes(),
        **_deployment(),
        **_connections(),
        UP: [([], 1)],
    }


def _open_actions() -> dict[Family, Samples]:
    rows = ActionRecord.objects.filter(status__in=OPEN_ACTION_STATUSES).order_by().values("status")
    counted: dict[str, dict[str, Any]] = {
        row["status"]: dict(row)
        for row in rows.annotate(number=Count("pk"), stalled=Count("stalled_at"), since=Min("stalled_at"))
    }
    open_ones: Samples = [
        ([str(status)], counted[status]["number"] if status in counted else 0)
        for status in sorted(OPEN_ACTION_STATUSES)
    ]
    unknown = counted.get(ActionStatus.UNKNOWN, {"stalled": 0, "since": None})
    return {
        OPEN: open_ones,
        WAITING: [([], unknown["stalled"])],
        JUDGEMENT_AGE: [([], _age_s(unknown["since"]))],
    }


def _due_actions() -> dict[Family, Samples]:
    rows = due().order_by().values("queue_class").annotate(number=Count("pk"), oldest=Min("due_at"))
    found: dict[str, dict[str, Any]] = {row["queue_class"]: dict(row) for row in rows}
    nothing: dict[str, Any] = {"number": 0, "oldest": None}
    of_classes = [(name.value, found.get(name.value, nothing)) for name in QueueClass]
    return {
        DUE: [([name], row["number"]) for name, row in of_classes],
        AGE: [([name], _age_s(row["oldest"])) for name, row in of_classes],
    }


def _hosts() -> dict[Family, Samples]:
    rows = Host.objects.order_by().values_list("name", "heartbeat_at")
    return {HEARTBEAT: [([name], math.inf if at is None else _age_s(at)) for name, at in rows]}


def _processes() -> dict[Family, Samples]:
    return {PROCESSES: [([], worker_health().processes)]}


def _deployment() -> dict[Family, Samples]:
    found = differing()
    return {DIFFERING: [([fact.name], found[fact.name]) for fact in FACTS]}


def _connections() -> dict[Family, Samples]:
    if connection.vendor != "postgresql":
        return {}
    with connection.cursor() as cursor:
        cursor.execute(IN_STATES)
        return {CONNECTIONS: [([state], number) for state, number in cursor.fetchall()]}


def _age_s(since: datetime | None) -> float:
    return max((clock.now() - since).total_seconds(), 0.0) if since is not None else 0.0
