"""The metrics as Prometheus reads them: for the web application, and on a port of its own on this machine."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import structlog
from django.conf import settings
from prometheus_client import CollectorRegistry, generate_latest, make_wsgi_app
from prometheus_client.exposition import CONTENT_TYPE_LATEST, ThreadingWSGIServer

from servers.monitoring.metrics import OWN
from servers.monitoring.records import FAMILIES, Records
from servers.monitoring.shared_values import SharedValues

log = structlog.get_logger(__name__)

RULE = "gantry:metrics"
CONTENT_TYPE = CONTENT_TYPE_LATEST
LOOPBACK = "127.0.0.1"
AGAIN_S = 30.0
"""After how long a port is tried again that another process of this machine had."""

REGISTRY = CollectorRegistry()
REGISTRY.register(SharedValues())
REGISTRY.register(Records())


def text() -> bytes:
    """Return every metric, in Prometheus' text format."""
    return generate_latest(REGISTRY)


def names() -> set[str]:
    """Return the name of every metric as a query names it; of a histogram that of each of its series."""
    found = {family.name for family in FAMILIES}
    for metric in OWN.collect():
        endings = ("_bucket", "_count", "_sum") if metric.type == "histogram" else ("_total",)
        found |= {f"{metric.name}{ending}" for ending in endings}
    return found


class SilentHandler(WSGIRequestHandler):
    """A handler that logs no request: Prometheus asks every few seconds."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@dataclass
class Listener:
    """The metrics on METRICS_PORT of this machine alone, without a token; 0: not at all."""

    server: WSGIServer | None = None
    tried_at: float = -AGAIN_S

    def keep_up(self) -> None:
        """Listen, unless that is done. A port that another process has is tried again later: it may end."""
        if self.server is not None or not settings.METRICS_PORT:
            return
        if time.monotonic() - self.tried_at < AGAIN_S:
            return
        self.tried_at = time.monotonic()
        try:
            self.server = make_server(
                LOOPBACK, settings.METRICS_PORT, make_wsgi_app(REGISTRY), ThreadingWSGIServer, SilentHandler
            )
        except OSError as error:
            log.warning("metrics.port_taken", port=settings.METRICS_PORT, reason=str(error))
            return
        threading.Thread(target=self.server.serve_forever, name="metrics", daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None
