"""A further action is one definition: the console has its button, its form and its page with no other line."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from servers.actions import registry
from servers.actions.base import Action, Exclusivity, Parameter, Transition, step
from servers.actions.kinds import Choice, Count
from servers.actions.task import Task
from servers.models import ActionRecord, Project, Server
from servers.policy import Role, Rule
from servers.states import VmState
from tests.admin.visiting import Visitor, form_of, page_of
from tests.factories import make_server


@pytest.fixture
def ring_bell() -> Iterator[type[Action]]:
    class RingBell(Action):
        """Ring a bell beside the server's host."""

        wire_name = "consoleRingBell"
        record_name = "consoleRingBell"
        slug = "console-ring-bell"
        exclusivity = Exclusivity.QUEUED
        policy = (Rule("toy:console_ring_bell", Role.MEMBER, "ring a bell"),)
        parameters = (
            Parameter("times", Count(), "how often"),
            Parameter("tone", Choice(("high", "low")), "which bell", required=False),
        )
        transition = Transition(allowed=frozenset({VmState.ACTIVE}))
        consequence = "A bell rings."

        @step
        def ring(self, task: Task) -> None:
            task.answer(rung=task.params["times"])

    yield RingBell
    del registry["console-ring-bell"]


def test_it_is_offered_asked_for_and_shown(
    ring_bell: type[Action], operator: Visitor, server: Server
) -> None:
    assert form_of("console-ring-bell", server) in operator.get(page_of(server)).content.decode()
    assert "A bell rings." in operator.text(form_of("console-ring-bell", server))
    response = operator.post(form_of("console-ring-bell", server), {"times": "3", "tone": "low"})
    record = ActionRecord.objects.get()
    assert (response.status_code, record.params) == (303, {"times": 3, "tone": "low"})
    assert "Console ring bell" in operator.text(page_of(record))


def test_its_refusals_are_told(ring_bell: type[Action], onlooker: Visitor, project: Project) -> None:
    text = onlooker.text(page_of(make_server(project)))
    assert "Policy doesn't allow toy:console_ring_bell to be performed." in text
