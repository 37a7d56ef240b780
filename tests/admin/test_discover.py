"""The page "Discover", and what the last reconcile leaves on the pages of the console."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from typing import Any

import pytest

from servers.inventory.discovery.apply import Owner, adopt
from servers.inventory.discovery.discover import discover
from servers.inventory.reconciliation.reconcile import reconcile
from servers.models import ActionRecord, Project, Server
from tests.admin.visiting import Visitor, page_of, refusal_of, words
from tests.small_fleet import SmallFleet, fleet_of
from tests.unknown_guests import place, stranger

PAGE = "/admin/servers/host/discover/"
HOME = "/admin/"


@pytest.fixture
def fleet(project: Project) -> Iterator[SmallFleet]:
    """Return a fleet whose hosts are recorded as they describe themselves; its servers belong to the visitor's project."""
    with fleet_of(project) as fleet:
        adopt(discover(), Owner(project.pk, "somebody"))
        yield fleet


def shown(visitor: Visitor) -> str:
    """Return what stands for the changes that the page shows."""
    found = re.search(r'name="shown" value="([^"]+)"', visitor.get(PAGE).content.decode())
    assert found is not None
    return unescape(found.group(1))


def write(visitor: Visitor, seen: str, project: Project) -> Any:
    return visitor.post(PAGE, {"shown": seen, "project": project.pk})


def test_page_shows_the_plan_and_writes_nothing(operator: Visitor, fleet: SmallFleet) -> None:
    place(fleet, stranger("mail"))
    text = operator.text(PAGE)
    assert "Guest new node1 mail" in text and "memory: 1024 MiB" in text and "Write 1 change" in text
    assert not Server.objects.exists()


def test_button_writes_the_plan_that_was_shown(
    operator: Visitor, fleet: SmallFleet, project: Project
) -> None:
    place(fleet, stranger("mail"))
    assert write(operator, shown(operator), project).status_code == 303
    server = Server.objects.get()
    assert (server.name, server.project_id, server.user_id) == ("mail", project.pk, operator.user.pk)
    assert "Nothing to do." in operator.text(PAGE)


def test_button_writes_what_was_shown_and_not_what_has_come_since(
    operator: Visitor, fleet: SmallFleet, project: Project
) -> None:
    place(fleet, stranger("mail"))
    seen = shown(operator)
    place(fleet, stranger("web"), "node2")
    assert write(operator, seen, project).status_code == 303
    assert [server.name for server in Server.objects.all()] == ["mail"]
    assert "Guest new node2 web" in operator.text(PAGE)


def test_what_is_not_as_it_was_shown_is_left_alone_and_named(
    operator: Visitor, fleet: SmallFleet, project: Project
) -> None:
    guest = place(fleet, stranger("mail"))
    place(fleet, stranger("web"))
    seen = shown(operator)
    fleet.simulation.remove_guest("node1", guest.uuid)
    place(fleet, replace(guest, memory_mb=2048))
    assert write(operator, seen, project).status_code == 303
    text = operator.text("/admin/servers/host/")
    assert "Written: 1." in text and "Left alone: guest new node1 mail: it has changed meanwhile." in text
    assert [server.name for server in Server.objects.all()] == ["web"]


@pytest.mark.parametrize("seen", ["", "[]", "no JSON", "{}", '{"0": "guest new node1 mail"}'])
def test_plan_of_which_nothing_is_as_it_was_shown_is_shown_again(
    operator: Visitor, fleet: SmallFleet, project: Project, seen: str
) -> None:
    place(fleet, stranger("mail"))
    response = write(operator, seen, project)
    assert response.status_code == 409
    assert refusal_of(response).startswith("The fleet is not as it was when the plan was made")
    assert "mail" in words(response) and not Server.objects.exists()
    assert write(operator, shown(operator), project).status_code == 303
    assert Server.objects.count() == 1


def test_what_is_left_alone_is_shown_with_the_reason(operator: Visitor, fleet: SmallFleet) -> None:
    fleet.simulation.lose_host("node2")
    text = operator.text(PAGE)
    assert "Host silent node2" in text and "left alone Connection to the hypervisor is broken on host" in text
    assert "Nothing to do." in text


@pytest.mark.parametrize("role", ["manager", "member", "reader"])
def test_nobody_else_discovers(role: str, fleet: SmallFleet, project: Project) -> None:
    place(fleet, stranger("mail"))
    visitor = Visitor(project, role)
    assert [visitor.get(PAGE).status_code, write(visitor, "", project).status_code] == [403, 403]
    assert not Server.objects.exists()


def test_list_of_hosts_leads_to_the_page(operator: Visitor, fleet: SmallFleet) -> None:
    assert f'href="{PAGE}"' in operator.get("/admin/servers/host/").content.decode()


# ---------------------------------------------------------------------------------- after a reconcile


def test_what_needs_a_person_stands_on_the_first_page_and_on_the_servers(
    operator: Visitor, onlooker: Visitor, fleet: SmallFleet
) -> None:
    assert "They have not been compared yet" in operator.text(HOME)
    server = fleet.add_server("lost")
    reconcile()
    assert "Records and hypervisors agree." in operator.text(HOME)
    fleet.simulation.remove_guest("node1", server.pk)
    fleet.simulation.lose_host("node3")
    reconcile()
    what = "is recorded on node1, and seen on no host that has answered"
    assert f"lost {what}" in operator.text(HOME) and "node3 was silent" in operator.text(HOME)
    assert what in operator.text(page_of(server))
    assert what not in onlooker.text(HOME) and what not in onlooker.text(page_of(server))


def test_what_was_repaired_stands_in_the_timeline_alone(operator: Visitor, fleet: SmallFleet) -> None:
    server = fleet.add_server("off")
    fleet.simulation.stop_guest("node1", server.pk)
    reconcile()
    assert "Records and hypervisors agree." in operator.text(HOME)
    assert "reconcile ✔ succeeded" in operator.text(page_of(server))
    text = operator.text(page_of(ActionRecord.objects.get()))
    assert "What was put right is shutdown on node1, is recorded as running (active)" in text


def test_reset_shows_where_the_guest_was_seen_to_those_who_see_hosts(
    operator: Visitor, onlooker: Visitor, fleet: SmallFleet
) -> None:
    record = fleet.submit("reset-state", fleet.add_server(), state="active").record
    assert "Where the guest was seen node1 running" in operator.text(page_of(record))
    assert "node1" not in onlooker.text(page_of(record))
