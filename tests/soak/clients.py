"""Sixteen who ask for something all the time, each by a way in of its own, again with the same key until they are answered."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from http.cookiejar import CookieJar
from typing import Any
from uuid import UUID, uuid4

from servers.supervisor.processes import PARENT
from tests.running import ROOT
from tests.soak.site import Machine

CLIENTS = 16
VERSION = "2.96"
AGAIN_S = 0.5
PATIENCE_S = 300.0
MOST_OPEN = 100
"""With so many actions that are not over nobody asks for more: a queue that only grows says nothing."""

Asked = tuple[str, str, dict[str, Any], list[str], dict[str, str]]
"""Slug, wire name, the value of the body, options of the command, fields of the console's form."""
LIVE: Asked = (
    "live-migration",
    "os-migrateLive",
    {"host": None, "block_migration": "auto"},
    ["--block-migration", "auto"],
    {"host": "", "block_migration": "auto"},
)
BACKUP: Asked = (
    "create-backup",
    "createBackup",
    {"name": "b", "backup_type": "daily", "rotation": 2},
    ["--name", "b", "--backup-type", "daily", "--rotation", "2"],
    {"name": "b", "backup_type": "daily", "rotation": "2"},
)
PLAIN: dict[str, Asked] = {
    slug: (slug, wire, {}, [], {})
    for slug, wire in {
        "migrate": "migrate",
        "confirm-resize": "confirmResize",
        "revert-resize": "revertResize",
        "reset-network": "resetNetwork",
        "inject-network-info": "injectNetworkInfo",
        "pause": "pause",
        "unpause": "unpause",
        "lock": "lock",
        "unlock": "unlock",
    }.items()
}
ACTIVE: tuple[tuple[Asked, int], ...] = (
    (PLAIN["reset-network"], 30),
    (LIVE, 20),
    (BACKUP, 12),
    (PLAIN["migrate"], 10),
    (PLAIN["inject-network-info"], 8),
    (PLAIN["pause"], 8),
    (PLAIN["lock"], 6),
    (PLAIN["unlock"], 6),
)
BY_STATUS: dict[str, tuple[tuple[Asked, int], ...]] = {
    "ACTIVE": ACTIVE,
    "VERIFY_RESIZE": ((PLAIN["confirm-resize"], 2), (PLAIN["revert-resize"], 1)),
    "PAUSED": ((PLAIN["unpause"], 1),),
}


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *given: Any, **named: Any) -> None:
        return None


@dataclass
class Answers:
    """What all clients have heard."""

    accepted: dict[str, str] = field(default_factory=dict)
    """By key: the action that was asked for."""
    refused: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    replayed: int = 0
    broken: list[str] = field(default_factory=list)
    """Answers that nobody may ever hear."""
    unanswered: list[str] = field(default_factory=list)
    open: int = 0
    """How many actions were not over when somebody looked last."""
    lock: threading.Lock = field(default_factory=threading.Lock)


class Client:
    """Somebody who asks for one thing after the other until `over` is set, or `enough` have been accepted."""

    way = ""

    def __init__(
        self,
        web: Machine,
        password: str,
        servers: Sequence[UUID],
        answers: Answers,
        enough: int,
        over: threading.Event,
    ) -> None:
        self.base = f"http://127.0.0.1:{web.port}"
        self.web, self.password, self.servers = web, password, servers
        self.answers, self.enough, self.over = answers, enough, over
        self.opener = urllib.request.build_opener(NoRedirect, urllib.request.HTTPCookieProcessor(CookieJar()))
        self.chance = random.Random()
        self.token = ""

    def run(self) -> None:
        while not self.over.is_set() and len(self.answers.accepted) < self.enough:
            if self.answers.open > MOST_OPEN:
                time.sleep(AGAIN_S)
                continue
            server = self.chance.choice(self.servers)
            wanted = self.choose(server)
            if wanted is not None:
                self.insist(server, wanted)

    def choose(self, server: UUID) -> Asked | None:
        """Return what is possible for the server now, in most cases."""
        code, text, _ = self.send("GET", f"/v2.1/servers/{server}")
        if code != 200:
            return None
        status = json.loads(text)["server"]["status"]
        rows = BY_STATUS.get(status)
        return self.chance.choices([a for a, _ in rows], [w for _, w in rows])[0] if rows else None

    def insist(self, server: UUID, wanted: Asked) -> None:
        """Ask with a key until there is an answer that is one."""
        key, limit = str(uuid4()), time.monotonic() + PATIENCE_S
        while time.monotonic() < limit:
            code, again = self.ask(server, wanted, key)
            with self.answers.lock:
                self.answers.codes[f"{self.way} {code}"] += 1
                self.answers.replayed += again
            if code == "accepted":
                with self.answers.lock:
                    self.answers.accepted[key] = wanted[0]
                return
            if code == "refused":
                with self.answers.lock:
                    self.answers.refused[wanted[0]] += 1
                return
            if code not in {"later", "cut"}:
                with self.answers.lock:
                    self.answers.broken.append(f"{self.way} {wanted[0]}: {code}")
                return
            time.sleep(AGAIN_S)
        self.answers.unanswered.append(f"{self.way} {wanted[0]} {key}")

    def ask(self, server: UUID, wanted: Asked, key: str) -> tuple[str, bool]:
        """Ask once; return what came of it, and whether it was the answer to an earlier request."""
        raise NotImplementedError

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str, Any]:
        """Return code, text and headers of an answer by REST; 0 where there is none. Logs in where it has to."""
        for _ in range(2):
            if not self.token:
                self.log_in()
            sent = {"X-Auth-Token": self.token, "OpenStack-API-Version": f"compute {VERSION}"}
            sent |= {"Content-Type": "application/json", **headers}
            found = self.exchange(method, path, None if body is None else json.dumps(body).encode(), sent)
            if found[0] != 401:
                return found
            self.token = ""
        return found

    def exchange(
        self, method: str, path: str, data: bytes | None, headers: dict[str, str]
    ) -> tuple[int, str, Any]:
        request = urllib.request.Request(f"{self.base}{path}", data, headers, method=method)
        try:
            with self.opener.open(request, timeout=60) as answer:
                return answer.status, answer.read().decode(errors="surrogateescape"), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(), error.headers
        except (OSError, HTTPException):
            return 0, "", {}

    def log_in(self) -> None:
        user = {"name": "admin", "domain": {"id": "default"}, "password": self.password}
        scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
        _, _, headers = self.exchange(
            "POST",
            "/identity/v3/auth/tokens",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        self.token = headers.get("X-Subject-Token", "")


def verdict(code: int) -> str:
    """Return what a status code means to somebody who insists."""
    if code in {202, 204, 303}:
        return "accepted"
    if code == 0:
        return "cut"
    if code in {503, 401, 302}:
        return "later"
    return "refused" if code in {400, 403, 404, 409, 422} else str(code)


class ByRest(Client):
    way = "REST"

    def ask(self, server: UUID, wanted: Asked, key: str) -> tuple[str, bool]:
        _, wire, value, _, _ = wanted
        code, text, headers = self.send(
            "POST", f"/v2.1/servers/{server}/action", {wire: value or None}, **{"Idempotency-Key": f'"{key}"'}
        )
        if code == 409 and "under way" in text:
            return "later", False
        return verdict(code), headers.get("Idempotency-Replayed") == "true"


class AtConsole(Client):
    way = "console"
    page: dict[str, dict[str, str]]

    def ask(self, server: UUID, wanted: Asked, key: str) -> tuple[str, bool]:
        slug, _, _, _, fields = wanted
        path = f"/admin/servers/server/{server}/do/{slug}/"
        hidden = self.hidden(path, key)
        if hidden is None:
            return "later", False
        code, _, _ = self.form(path, {**hidden, **fields})
        return verdict(code), False

    def hidden(self, path: str, key: str) -> dict[str, str] | None:
        """Return the hidden fields of a form as it was first shown, None where it cannot be shown now."""
        if key not in self.shown:
            code, text, _ = self.exchange("GET", path, None, {})
            if code == 302:
                self.enter()
                code, text, _ = self.exchange("GET", path, None, {})
            if code != 200:
                return None
            found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', text)
            self.shown = {key: dict(found)}
        return self.shown[key]

    shown: dict[str, dict[str, str]] = {}

    def enter(self) -> None:
        """Log in to the console."""
        path = "/admin/login/?next=/admin/"
        _, text, _ = self.exchange("GET", path, None, {})
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', text))
        self.form(path, {**hidden, "username": "admin", "password": self.password})

    def form(self, path: str, fields: dict[str, str]) -> tuple[int, str, Any]:
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Referer": f"{self.base}{path}"}
        return self.exchange("POST", path, urllib.parse.urlencode(fields).encode(), headers)


class ByCommand(Client):
    way = "command"

    def ask(self, server: UUID, wanted: Asked, key: str) -> tuple[str, bool]:
        slug, _, _, options, _ = wanted
        words = ["server_action", slug, str(server), *options, "--idempotency-key", key, "--json"]
        done = subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT,
            env={**self.web.environment, PARENT: ""},
            capture_output=True,
            text=True,
            check=False,
        )
        if "Traceback" in done.stderr:
            return done.stderr.strip().splitlines()[-1], False
        return {0: "accepted", 9: "accepted", 10: "later"}.get(done.returncode, "refused"), False


def crowd(
    web: Machine, password: str, servers: Sequence[UUID], answers: Answers, enough: int, over: threading.Event
) -> list[threading.Thread]:
    """Return the clients' threads: eleven by REST, four at the console, one by the command, which costs a process."""
    kinds: list[type[Client]] = [ByRest] * 11 + [AtConsole] * 4 + [ByCommand]
    made = [kind(web, password, servers, answers, enough, over) for kind in kinds]
    return [threading.Thread(target=client.run, daemon=True) for client in made]
