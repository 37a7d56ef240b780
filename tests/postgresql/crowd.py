"""Sixteen who want something of servers at the same moment, by REST, at the console and by the command."""

from __future__ import annotations

import io
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.core.management import call_command
from django.db import connections

from servers.actions import registry
from servers.models import Project, Server
from tests.admin.visiting import Visitor
from tests.conftest import Caller
from tests.small_fleet import SmallFleet

CROWD = 16
LIVE = {"host": None, "block_migration": "auto"}
BODIES: dict[str, Any] = {"live-migration": LIVE}
OPTIONS = {"live-migration": ["--block-migration", "auto"]}
NO_BODY = {"live-migration": {"host": "", "block_migration": "auto"}}

Ask = Callable[[str, Server, dict[str, Any]], str]


class Crowd:
    """Each asks by a door of their own; `rush` lets them ask at once."""

    def __init__(self, fleet: SmallFleet, project: Project) -> None:
        self.caller = Caller(project, "admin")
        self.visitors = [Visitor(project) for _ in range(CROWD // 3)]
        doors: list[Ask] = [self.by_rest] * (CROWD - 2 * (CROWD // 3)) + [self.by_command] * (CROWD // 3)
        self.doors = doors + [self._at_console(visitor) for visitor in self.visitors]

    def rush(self, asked: Sequence[tuple[str, Server, dict[str, Any]]]) -> Counter[str]:
        """Ask all of it at the same moment, one a person; return how often each answer came."""
        barrier = threading.Barrier(len(asked))

        def ask(number: int) -> str:
            slug, server, params = asked[number]
            try:
                barrier.wait(30)
                return self.doors[number % len(self.doors)](slug, server, params)
            finally:
                connections.close_all()

        with ThreadPoolExecutor(len(asked)) as pool:
            return Counter(pool.map(ask, range(len(asked))))

    def by_rest(self, slug: str, server: Server, params: dict[str, Any]) -> str:
        base = f"/v2.1/servers/{server.uuid}"
        if slug == "abort-migration":
            answer = self.caller.delete(f"{base}/migrations/{params['migration']}", "2.65")
        else:
            body = {registry[slug].wire_name: {**BODIES.get(slug, {}), **params} or None}
            answer = self.caller.post(f"{base}/action", body, "2.90")
        if answer.status_code in {202, 204}:
            return "accepted"
        return "refused" if answer.status_code in {400, 404, 409} else f"REST {answer.status_code}"

    def by_command(self, slug: str, server: Server, params: dict[str, Any]) -> str:
        words = [f"--{key.replace('_', '-')}={value}" for key, value in params.items()]
        complaints = io.StringIO()
        try:
            call_command(
                "server_action",
                slug,
                str(server.uuid),
                *OPTIONS.get(slug, []),
                *words,
                stdout=io.StringIO(),
                stderr=complaints,
            )
        except SystemExit as end:
            if end.code:
                return "refused" if "Traceback" not in complaints.getvalue() else "command broke"
        return "accepted"

    def _at_console(self, visitor: Visitor) -> Ask:
        def by_console(slug: str, server: Server, params: dict[str, Any]) -> str:
            answer = visitor.ask(slug, server, **params)
            if answer.status_code == 303:
                return "accepted"
            return (
                "refused" if answer.status_code in {200, 400, 404, 409} else f"console {answer.status_code}"
            )

        return by_console
