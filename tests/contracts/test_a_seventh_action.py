"""A further action is one definition: with no other line anywhere, every door has it and the engine carries it out."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.test import Client

from servers import policy
from servers.actions import registry
from servers.actions.base import Action, Exclusivity, Parameter, Transition, step
from servers.actions.kinds import Count
from servers.actions.task import Task
from servers.engine.execution.queue import run_until_idle
from servers.models import ActionRecord
from servers.policy import Role, Rule
from servers.states import ActionStatus, VmState
from tests.factories import make_token, make_user
from tests.small_fleet import SmallFleet

pytestmark = pytest.mark.django_db


@pytest.fixture
def ring_bell() -> Iterator[type[Action]]:
    class RingBell(Action):
        """Ring a bell beside the server's host."""

        wire_name = "ringBell"
        record_name = "ringBell"
        slug = "ring-bell"
        exclusivity = Exclusivity.QUEUED
        policy = (Rule("toy:ring_bell", Role.MEMBER, "ring a bell"),)
        parameters = (Parameter("times", Count(), "how often"),)
        transition = Transition(allowed=frozenset({VmState.ACTIVE}))
        consequence = "A bell rings."

        @step
        def ring(self, task: Task) -> None:
            with task.event("compute_ring_bell", task.source):
                task.answer(rung=task.params["times"])

    yield RingBell
    del registry["ring-bell"]


def test_rest_accepts_it_and_a_worker_does_it(db: None, ring_bell: type[Action]) -> None:
    fleet = SmallFleet()
    server = fleet.add_server()
    secret = make_token(make_user("member", fleet.project), fleet.project, ["member"])
    response = Client().post(
        f"/v2.1/servers/{server.uuid}/action",
        json.dumps({"ringBell": {"times": "3"}}),
        content_type="application/json",
        headers={"X-Auth-Token": secret},
    )
    assert response.status_code == 202
    run_until_idle()
    record = ActionRecord.objects.get(name="ringBell")
    assert (record.status, record.result) == (ActionStatus.SUCCEEDED, {"rung": 3})
    assert record.events.get().result == "Success"


@pytest.mark.parametrize(("body", "status"), [({"times": -1}, 400), ({}, 400), ({"times": 1}, 403)])
def test_its_schema_and_its_rule_are_enforced(
    db: None, ring_bell: type[Action], body: dict[str, int], status: int
) -> None:
    fleet = SmallFleet()
    secret = make_token(make_user("reader", fleet.project), fleet.project, ["reader"])
    response = Client().post(
        f"/v2.1/servers/{fleet.add_server().uuid}/action",
        json.dumps({"ringBell": body}),
        content_type="application/json",
        headers={"X-Auth-Token": secret},
    )
    assert response.status_code == status


def test_the_command_has_it_with_its_options(db: None, ring_bell: type[Action]) -> None:
    server = SmallFleet().add_server()
    call_command("server_action", "ring-bell", server.name, "--times", "2", stdout=io.StringIO())
    assert ActionRecord.objects.get().params == {"times": 2}


def test_the_policy_knows_its_rule(ring_bell: type[Action]) -> None:
    assert policy.in_force().check_string("toy:ring_bell") == Role.MEMBER
