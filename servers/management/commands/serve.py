"""manage.py serve: one process of the web server; `manage.py up` runs several of them on one port."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.core.wsgi import get_wsgi_application

from servers.database_age import refuse_strange_database
from servers.deployment.comparison import Membership, name_of_web
from servers.management.checks import findings
from servers.management.listening import listen
from servers.management.root import warn_of_root
from servers.outage import drop_connections
from servers.supervisor.processes import Stopping, end_with_parent
from servers.waiting import PLACES
from servers.web.pool import Pool
from servers.web.server import Server

log = structlog.get_logger(__name__)

GRACE_S = 3.0
"""How long it goes on with what was asked before it was told to end."""


class Command(BaseCommand):
    requires_system_checks = []
    help = "Answer by HTTP, in one process, so many requests at a time as WEB_THREADS says."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--bind", default="127.0.0.1", help="address to listen on (default: %(default)s)")
        parser.add_argument(
            "--socket", type=int, metavar="FD", help="listen on the inherited socket with this descriptor"
        )

    def handle(self, *args: Any, **given: Any) -> None:
        end_with_parent(GRACE_S + 2)
        warn_of_root()
        refuse_strange_database()
        drop_connections()
        Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)  # WhiteNoise warns where there is none
        inherited = given["socket"]
        listener = (
            listen(given["bind"], settings.PORT) if inherited is None else socket.socket(fileno=inherited)
        )
        pool = Pool(settings.WEB_THREADS, at_end=drop_connections)
        PLACES.limit(settings.WEB_THREADS, pool)
        if inherited is None:  # of others it is said by `up`
            for line in findings(given["bind"]):
                log.warning("deployment.check", finding=line)
        server = Server(get_wsgi_application(), listener, pool, settings.FORCE_SCRIPT_NAME or "")
        stopping = WebStopping(server).listen()
        Membership(name_of_web(), "web").begin()
        server.serve(stopping, GRACE_S)


class WebStopping(Stopping):
    """Wakes the server up, which may wait for a client to say something."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server

    def _on_signal(self, number: int, frame: Any) -> None:
        super()._on_signal(number, frame)
        self.server.pull_trigger()
