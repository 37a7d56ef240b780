"""The same request at the other doors: as a `curl` line, and as a `manage.py` line."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from django.conf import settings

from servers.actions import Action, kinds
from servers.actions.base import Parameter, Shape
from servers.actions.restore import Restore
from servers.microversions import Microversion, maximum

SECRET = "…"


def curl_line(action: type[Action], server_id: str, params: Mapping[str, Any], version: Microversion) -> str:
    """Return the REST request; a secret is left out."""
    words = ["curl", "--request", "POST" if action.wire_name else "DELETE"]
    headers = [f"OpenStack-API-Version: compute {version}"]
    body = []
    if action.wire_name:
        headers.append("Content-Type: application/json")
        body = [
            "--data",
            json.dumps({action.wire_name: wire_value(action, params, version)}, ensure_ascii=False),
        ]
    for header in headers:
        words += ["--header", header]
    address = settings.PUBLIC_URL + path(action, server_id, params)
    token = '--header "X-Auth-Token: $OS_TOKEN"'  # the shell fills it in
    return " ".join([shlex.join(words), token, shlex.join([*body, address])])


def path(action: type[Action], server_id: str, params: Mapping[str, Any]) -> str:
    """Return where REST takes the action."""
    if not action.on_migration:
        return f"/v2.1/servers/{server_id}/action"
    migration = f"/v2.1/servers/{server_id}/migrations/{params.get('migration') or '…'}"
    return f"{migration}/action" if action.wire_name else migration


def wire_value(action: type[Action], params: Mapping[str, Any], version: Microversion) -> Any:
    """Return what stands under the action's key."""
    shape = action.body(version)
    if shape is Shape.NULL:
        return None
    value = {
        p.name: SECRET if isinstance(p.kind, kinds.Secret) else params[p.name]
        for p in action.parameters_at(version)
        if p.name in params and not p.in_path
    }
    return value if value or shape is Shape.OBJECT else None


def command_line(
    action: type[Action], server_id: str, params: Mapping[str, Any], version: Microversion
) -> str:
    """Return the shell command; a secret is left out, because the command asks for it."""
    words = ["python", "manage.py", "server_action", action.slug, server_id]
    if version != maximum():
        words += ["--api-version", str(version)]
    for parameter in action.parameters_at(version):
        words += option(parameter, params.get(parameter.name))
    return shlex.join(words)


def restore_line(image_id: str, params: Mapping[str, Any]) -> str:
    """Return the shell command that makes a server of an image."""
    words = ["python", "manage.py", "image", Restore.slug, image_id]
    for parameter in Restore.parameters:
        words += option(parameter, params.get(parameter.name) or None)
    return shlex.join(words)


def option(parameter: Parameter, value: Any) -> list[str]:
    """Return the words of one option: none where there is no value."""
    if value is None or isinstance(parameter.kind, kinds.Secret):
        return []
    flag = parameter.flag
    if isinstance(value, Mapping):
        return [word for key, text in value.items() for word in (flag, f"{key}={text}")]
    return [flag, str(value).lower() if isinstance(value, bool) else str(value)]
