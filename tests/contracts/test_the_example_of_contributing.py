"""The action that CONTRIBUTING shows is one: taken from the page as it stands, every way in has it, and it stops a guest."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from servers import policy
from servers.actions import Action, registry
from servers.api.schema import generator
from servers.engine.execution.queue import run_until_idle
from servers.models import ActionRecord, Server
from servers.states import ActionStatus, PowerState, VmState
from tests.admin.visiting import Visitor, form_of, page_of
from tests.conftest import Caller
from tests.small_fleet import SmallFleet

pytestmark = pytest.mark.django_db

PAGE = Path(__file__).parents[2] / "CONTRIBUTING.md"
SLUG = "stop"


@pytest.fixture
def stop() -> Iterator[type[Action]]:
    """Return the action of the page's first example."""
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    exec(compile(found[1], str(PAGE), "exec"), {"__name__": "servers.actions.stop"})
    yield registry[SLUG]
    del registry[SLUG]


@pytest.fixture
def fleet(db: None) -> SmallFleet:
    return SmallFleet()


def check_stopped(fleet: SmallFleet, server: Server, door: str) -> None:
    """Carry out what was accepted, and check that the guest is off and every record says so."""
    run_until_idle()
    record = ActionRecord.objects.get(slug=SLUG)
    assert (record.status, record.door) == (ActionStatus.SUCCEEDED, door), record.error_text
    server.refresh_from_db()
    assert (server.vm_state, server.task_state) == (VmState.STOPPED, "")
    assert server.power_state == PowerState.SHUTDOWN
    assert fleet.simulation.running_on(server.uuid) is None


def test_rest_takes_it(stop: type[Action], fleet: SmallFleet) -> None:
    server = fleet.add_server()
    caller = Caller(fleet.project, "member")
    address = f"/v2.1/servers/{server.uuid}/action"
    assert caller.post(address, {"os-stop": None}).status_code == 202
    refused = caller.post(address, {"os-stop": None})
    assert refused.status_code == 409
    assert "Cannot 'stop' instance" in refused.json()["conflictingRequest"]["message"]
    check_stopped(fleet, server, "rest")


def test_the_console_takes_it(stop: type[Action], fleet: SmallFleet) -> None:
    server, visitor = fleet.add_server(), Visitor(fleet.project, "member")
    assert form_of(SLUG, server) in visitor.get(page_of(server)).content.decode()
    assert stop.consequence in visitor.text(form_of(SLUG, server))
    assert visitor.ask(SLUG, server).status_code == 303
    check_stopped(fleet, server, "console")


def test_the_command_takes_it(stop: type[Action], fleet: SmallFleet) -> None:
    server = fleet.add_server()
    call_command("server_action", SLUG, server.name, stdout=io.StringIO())
    check_stopped(fleet, server, "command")


def test_policy_and_document_know_it(stop: type[Action]) -> None:
    rule = stop.policy[0]
    assert policy.in_force().check_string(rule.name) == rule.default
    operation: dict[str, Any] = generator.document()["paths"]["/v2.1/servers/{server_id}/action"]["post"]
    assert operation["x-openstack"]["actions"]["os-stop"]["policy"] == [rule.name]
    assert operation["requestBody"]["content"]["application/json"]["examples"]["os-stop 2.1"]
