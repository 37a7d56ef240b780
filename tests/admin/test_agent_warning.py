"""What a guest without agent cannot do is said above the form, before the click."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from servers.actions import Action, registry
from servers.models import Project
from tests.admin.visiting import Visitor, form_of
from tests.small_fleet import SmallFleet, fleet_of

NEEDING = [action for action in registry.values() if action.without_agent]
every_action_of_an_agent = pytest.mark.parametrize("action", NEEDING, ids=lambda action: action.slug)


@pytest.fixture
def fleet(project: Project) -> Iterator[SmallFleet]:
    with fleet_of(project) as fleet:
        yield fleet


@every_action_of_an_agent
def test_a_guest_without_agent_is_named_with_how_to_have_one(
    action: type[Action], operator: Visitor, fleet: SmallFleet
) -> None:
    text = operator.text(form_of(action.slug, fleet.add_server(agent=False)))
    assert "No guest agent answers in web." in text
    assert action.without_agent in text
    assert "install and start qemu-guest-agent" in text


@every_action_of_an_agent
def test_a_guest_with_an_agent_is_asked_without_more_words(
    action: type[Action], operator: Visitor, fleet: SmallFleet
) -> None:
    assert "No guest agent" not in operator.text(form_of(action.slug, fleet.add_server()))


def test_what_needs_no_agent_does_not_speak_of_one(operator: Visitor, fleet: SmallFleet) -> None:
    assert "agent" not in operator.text(form_of("migrate", fleet.add_server(agent=False)))


def test_a_host_that_is_silent_leaves_the_form_as_it_is(operator: Visitor, fleet: SmallFleet) -> None:
    server = fleet.add_server(agent=False)
    fleet.simulation.lose_host("node1")
    response = operator.get(form_of("reset-network", server))
    assert response.status_code == 200
    assert b"No guest agent" not in response.content
