"""Those who use Gantry meanwhile: by token and by session, each asking one thing after the other."""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from statistics import quantiles
from urllib.parse import urlencode

PATIENCE_S = 60.0
PAUSE_S = 0.05
CLIENTS = 4
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Connection:
    """A connection that is opened again when it was lost; a proxy says that it comes from `source`."""

    def __init__(self, port: int, source: str = "192.0.2.1") -> None:
        self.port, self.source = port, source
        self.http: http.client.HTTPConnection | None = None

    def ask(
        self, method: str, path: str, body: str | bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Return status, headers and body. Raises OSError and HTTPException; the next one asks afresh."""
        self.http = self.http or http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            self.http.request(method, path, body, {"X-Forwarded-For": self.source, **(headers or {})})
            answer = self.http.getresponse()
            return answer.status, answer.headers, answer.read()
        except (OSError, http.client.HTTPException):
            self.http.close()
            self.http = None
            raise


def token(connection: Connection, name: str, password: str, project: str) -> str:
    """Return a token. Raises RuntimeError where there is none."""
    domain = {"id": "default"}
    auth = {
        "identity": {
            "methods": ["password"],
            "password": {"user": {"name": name, "domain": domain, "password": password}},
        },
        "scope": {"project": {"name": project, "domain": domain}},
    }
    status, headers, body = connection.ask(
        "POST", "/identity/v3/auth/tokens", json.dumps({"auth": auth}), JSON
    )
    if status != 201:
        raise RuntimeError(f"{name} cannot log in: {status} {body!r}")
    return headers["X-Subject-Token"]


def session(connection: Connection, name: str, password: str) -> str:
    """Return the cookies of somebody who has logged in to the console. Raises RuntimeError where he cannot."""
    _, headers, page = connection.ask("GET", "/admin/login/")
    csrf = re.findall(rb'name="csrfmiddlewaretoken" value="([^"]+)"', page)[0].decode()
    cookie = headers["Set-Cookie"].split(";")[0]
    form = urlencode({"username": name, "password": password, "csrfmiddlewaretoken": csrf, "next": "/admin/"})
    status, headers, _ = connection.ask("POST", "/admin/login/", form, {**FORM, "Cookie": cookie})
    if status != 302:
        raise RuntimeError(f"{name} cannot log in to the console: {status}")
    return "; ".join(value.split(";")[0] for value in headers.get_all("Set-Cookie", []))


class Others:
    """Clients that measure how long each answer takes."""

    def __init__(self, port: int, password: str) -> None:
        self.port = port
        self.headers = {"X-Auth-Token": token(Connection(port), "admin", password, "admin"), **JSON}
        self.cookie = {"Cookie": session(Connection(port), "admin", password)}
        _, _, body = Connection(port).ask("GET", "/v2.1/servers", headers=self.headers)
        self.server = json.loads(body)["servers"][0]["id"]
        self.took: list[float] = []
        self.codes: Counter[int | str] = Counter()

    def requests(self) -> tuple[tuple[str, str, str | None, dict[str, str]], ...]:
        """Return what each of them asks, in turn."""
        action = f"/v2.1/servers/{self.server}/action"
        return (
            ("GET", "/v2.1/servers", None, self.headers),
            ("POST", action, json.dumps({"lock": None}), self.headers),
            ("GET", f"/v2.1/servers/{self.server}", None, self.headers),
            ("GET", "/admin/servers/server/", None, self.cookie),
            ("POST", action, json.dumps({"unlock": None}), self.headers),
            ("GET", f"/v2.1/servers/{self.server}/os-instance-actions", None, self.headers),
        )

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Let them ask during the block."""
        self.took, self.codes = [], Counter()
        over = threading.Event()
        threads = [threading.Thread(target=self.ask_on, args=(over.is_set,)) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()

    def ask_on(self, is_over: Callable[[], bool]) -> None:
        connection = Connection(self.port)
        for asked in cycle(self.requests()):
            if is_over():
                return
            began = time.monotonic()
            try:
                code: int | str = connection.ask(*asked)[0]
            except (OSError, http.client.HTTPException) as error:
                code = type(error).__name__
            self.took.append(time.monotonic() - began)
            self.codes[code] += 1
            time.sleep(PAUSE_S)

    @property
    def p95_s(self) -> float:
        """Return what 95 of 100 answers took at most."""
        return quantiles(self.took, n=20, method="inclusive")[-1]
