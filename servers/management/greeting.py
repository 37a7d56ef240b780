"""What `manage.py up` says when everything runs: every line of it can be used as it stands."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path

from django.conf import settings

from servers.actions import registry
from servers.demo.roster import SHOWPIECES
from servers.engine.accepting.request_context import local_operator
from servers.engine.accepting.submit import explain
from servers.management.accounts import Admin
from servers.management.root import REMEDY, is_root_unmeant
from servers.microversions import maximum
from servers.models import Server

IDENTITY = "/identity/v3"
COMPUTE = "/v2.1"
CONSOLE = "/admin/"
SLUG = "live-migration"


def movable_servers(admin: Admin) -> list[Server]:
    """Return servers of the admin's project that can be live-migrated at this moment, showpieces first."""
    context = local_operator(admin.project)
    servers = Server.objects.filter(project_id=admin.project.pk, deleted_at=None, host__enabled=True)
    found = [server for server in servers if explain(registry[SLUG], server, context) is None]
    return sorted(found, key=lambda server: (server.name not in SHOWPIECES, server.name))


def greeting(admin: Admin, openrc: Path, login: Path, logs: Path) -> str:
    """Return the whole text. `login` is the file with the body of a login."""
    password = admin.password or "the one that you have set"
    parts = [
        "Gantry is up.",
        f"  Console   {settings.PUBLIC_URL}{CONSOLE}\n  Name      {admin.user.name}\n  Password  {password}",
        f"  OpenStack's clients read {openrc}:\n\n    . {shlex.quote(str(openrc))}",
    ]
    servers = movable_servers(admin)
    if servers:
        first, second = servers[0], servers[1 % len(servers)]
        parts += [
            f"  Move {first.name} to another host while it runs, with curl:\n\n{indented(curl(login, first))}",
            f"  The same with the command, for {second.name}:\n\n{indented(command(second))}",
        ]
    if is_root_unmeant():
        parts.append(f"  It runs as root, and needs not: {REMEDY}.")
    parts.append(f"  Logs are in {logs}. Ctrl-C stops everything.")
    return "\n" + "\n\n".join(parts) + "\n"


def indented(text: str) -> str:
    """Return `text` four columns to the right."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def curl(login: Path, server: Server) -> str:
    """Return two lines for a shell: one gets a token, the other one posts the action."""
    body = {"os-migrateLive": {"host": None, "block_migration": "auto"}}
    header = "-H 'Content-Type: application/json'"
    token = f"curl -s -D - -o /dev/null {header} -d @{shlex.quote(str(login))} {settings.PUBLIC_URL}{IDENTITY}/auth/tokens"
    return (
        f"TOKEN=$({token} | tr -d '\\r' | sed -n 's/^[Xx]-[Ss]ubject-[Tt]oken: //p')\n"
        f"""curl -i -H "X-Auth-Token: $TOKEN" -H 'OpenStack-API-Version: compute {maximum()}' {header} """
        f"-d {shlex.quote(json.dumps(body))} {settings.PUBLIC_URL}{COMPUTE}/servers/{server.uuid}/action"
    )


def command(server: Server) -> str:
    """Return the line for a shell that does the same through the command."""
    python = Path(sys.executable)
    if python.is_relative_to(Path.cwd()):
        python = python.relative_to(Path.cwd())
    manage = os.path.relpath(settings.BASE_DIR / "manage.py")
    data = f"DATA_DIR={shlex.quote(str(settings.DATA_DIR))} " if "DATA_DIR" in os.environ else ""
    return f"{data}{shlex.quote(str(python))} {shlex.quote(manage)} server_action {SLUG} {server.name} --wait"
