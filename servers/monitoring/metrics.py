"""What is counted where it happens: requests, and what becomes of actions. A figure that cannot be kept is lost."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

import structlog
from django.dispatch import receiver
from prometheus_client import CollectorRegistry, Counter, Histogram

from servers.engine.execution import signals
from servers.models import ActionRecord
from servers.monitoring.shared_values import prepare

log = structlog.get_logger(__name__)
P = ParamSpec("P")

OWN = CollectorRegistry()
"""What this process has defined; what is shown are the values of all processes (`exposition.REGISTRY`)."""
WAITS_S = (0.1, 0.5, 1, 5, 15, 60, 300, 1800, 7200)
WORK_S = (0.5, 1, 5, 15, 60, 300, 900, 3600, 14400)
REQUESTS_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30)

REQUESTS = Counter(
    "gantry_http_requests",
    "Requests that were answered, by the pattern of their address.",
    ["method", "route", "status"],
    registry=OWN,
)
REQUEST_S = Histogram(
    "gantry_http_request_duration_seconds",
    "From a request to the beginning of its answer.",
    ["route"],
    buckets=REQUESTS_S,
    registry=OWN,
)
ACTIONS = Counter(
    "gantry_actions_ended", "Actions that came to their end.", ["action", "result"], registry=OWN
)
ACTION_WAIT_S = Histogram(
    "gantry_action_wait_seconds",
    "From the acceptance of an action to its first claim.",
    ["action"],
    buckets=WAITS_S,
    registry=OWN,
)
ACTION_S = Histogram(
    "gantry_action_duration_seconds",
    "From the first claim of an action to its end.",
    ["action", "result"],
    buckets=WORK_S,
    registry=OWN,
)
TAKEOVERS = Counter(
    "gantry_action_takeovers",
    "Claims of an action of which an earlier worker's lease was over.",
    ["action"],
    registry=OWN,
)
FENCED = Counter(
    "gantry_workers_fenced",
    "Times that a worker had to let its action go: its lease was another's, or it ended itself.",
    ["reason"],
    registry=OWN,
)
FAULTS = Counter(
    "gantry_driver_faults",
    "Faults of hypervisors that steps have met, by the fault's code.",
    ["action", "code"],
    registry=OWN,
)


def never_fails(record: Callable[P, object]) -> Callable[P, None]:
    """Return `record`, which then raises nothing: whoever is counted goes on. The reason is logged once a process."""
    said: set[str] = set()

    @wraps(record)
    def attempt(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            prepare()
            record(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - a figure decides nothing
            reason = type(error).__name__
            if reason not in said:
                said.add(reason)
                log.warning("metrics.not_kept", metric=record.__name__, reason=f"{reason}: {error}")

    return attempt


@never_fails
def count_request(method: str, route: str, status: int, duration_s: float) -> None:
    """Count an answer. `route` is a pattern, of which there are not many; `method` one of HTTP's."""
    REQUESTS.labels(method, route, str(status)).inc()
    REQUEST_S.labels(route).observe(duration_s)


@receiver(signals.action_started)
@never_fails
def count_start(slug: str, waited_s: float, **rest: Any) -> None:
    """Count the first claim of an action."""
    ACTION_WAIT_S.labels(slug).observe(waited_s)


@receiver(signals.action_ended)
@never_fails
def count_end(record: ActionRecord, **rest: Any) -> None:
    """Count the end of an action."""
    ACTIONS.labels(record.slug, str(record.status)).inc()
    if record.started_at is not None and record.finished_at is not None:
        took_s = (record.finished_at - record.started_at).total_seconds()
        ACTION_S.labels(record.slug, str(record.status)).observe(took_s)


@receiver(signals.action_taken_over)
@never_fails
def count_takeover(slug: str, **rest: Any) -> None:
    """Count a claim of what another worker had."""
    TAKEOVERS.labels(slug).inc()


@receiver(signals.worker_fenced)
@never_fails
def count_fenced(reason: str, **rest: Any) -> None:
    """Count a worker that had to let its action go."""
    FENCED.labels(reason).inc()


@receiver(signals.action_faulted)
@never_fails
def count_fault(slug: str, code: str, **rest: Any) -> None:
    """Count a fault of a driver."""
    FAULTS.labels(slug, code).inc()
