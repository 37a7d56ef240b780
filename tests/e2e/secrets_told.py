"""What a whole run of the console has told those who may read its logs, or list the processes of the machine."""

from __future__ import annotations

import json
import sqlite3
import urllib.request
from contextlib import closing
from typing import Any

import psutil

from tests.running import Running

TYPED = {"correct horse", "not the password"}
"""What tests type where a password belongs (test_actions.py, test_logging_in.py)."""


def used(running: Running) -> set[str]:
    """Return the secrets of a run: passwords, sessions, and tokens and a credential that are made here by REST."""
    with closing(sqlite3.connect(running.data / "gantry.sqlite3")) as database:
        sessions = {str(key) for (key,) in database.execute("SELECT session_key FROM django_session")}
    assert sessions, "nobody has logged in"
    login = json.loads((running.data / "login.json").read_text())
    token, user_id = log_in(running, login)
    credential = {"application_credential": {"name": "told", "roles": [{"name": "reader"}]}}
    made = ask(running, f"/identity/v3/users/{user_id}/application_credentials", credential, token)
    made = json.load(made)["application_credential"]
    secret = {"id": made["id"], "secret": made["secret"]}
    identity = {"methods": ["application_credential"], "application_credential": secret}
    other, _ = log_in(running, {"auth": {"identity": identity}})
    return {*TYPED, *running.passwords.values(), *sessions, token, other, made["secret"]}


def ask(running: Running, path: str, body: dict[str, Any], token: str = "") -> Any:
    """Return the answer to a POST."""
    headers = {"Content-Type": "application/json", "X-Auth-Token": token}
    return urllib.request.urlopen(
        urllib.request.Request(f"{running.address}{path}", json.dumps(body).encode(), headers)
    )


def log_in(running: Running, body: dict[str, Any]) -> tuple[str, str]:
    """Return a token, and whose it is."""
    answer = ask(running, "/identity/v3/auth/tokens", body)
    return str(answer.headers["X-Subject-Token"]), str(json.load(answer)["token"]["user"]["id"])


def told(running: Running, secrets: set[str]) -> list[str]:
    """Return where secrets stand that should not: in logs, but for the greeting, and in command lines of the machine."""
    texts = {path.name: path.read_text() for path in (running.data / "log").iterdir()}
    assert len(texts["web.log"]) > 1000
    for process in psutil.process_iter(["pid", "cmdline"]):
        texts[f"process {process.info['pid']}"] = " ".join(process.info["cmdline"] or [])
    return sorted(
        f"{name}: {secret[:4]}…" for name, text in texts.items() for secret in secrets if secret in text
    )
