"""How a test asks Gantry with a token of Keystone's."""

from __future__ import annotations

import json
from typing import Any

from servers.models import Project, Server
from tests.conftest import HTTP
from tests.factories import make_domain, make_server
from tests.openstack.keystone import Keystone


def ask(token: str | None, path: str, body: Any = None, version: str = "2.1", **headers: str) -> Any:
    """Return the answer to a GET, or to a POST where there is a body."""
    sent = {"OpenStack-API-Version": f"compute {version}"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    if token is not None:
        sent["X-Auth-Token"] = token
    if body is None:
        return HTTP.get(path, headers=sent)
    return HTTP.post(path, json.dumps(body), content_type="application/json", headers=sent)


def server_of(keystone: Keystone, project: str, **fields: Any) -> Server:
    """Return a new server of one of Keystone's projects."""
    pk = keystone.project_id(project)
    owner, _ = Project.objects.get_or_create(pk=pk, defaults={"name": project, "domain": make_domain()})
    return make_server(owner, **fields)
