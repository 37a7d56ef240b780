"""Every server has a number of its own, and with it a name for its guest that no other guest has."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.db import IntegrityError

from servers.engine.records import numbering
from servers.engine.records.numbering import insert_with_number
from servers.models import Server

pytestmark = pytest.mark.django_db


def newcomer(name: str = "web", **fields: object) -> Server:
    """Return a server that was saved as a new one."""
    server = Server(name=name, project_id="p", user_id="u", vcpus=1, memory_mb=512, **fields)
    insert_with_number(server)
    return server


def test_numbers_go_up_and_stand_in_names() -> None:
    assert [newcomer().number for _ in range(3)] == [1, 2, 3]
    last = newcomer()
    assert (last.instance_name, last.reservation_id) == ("instance-00000004", "r-00000004")


def test_the_host_name_is_made_of_what_one_may_have() -> None:
    assert newcomer("Old mail server (2)").hostname == "old-mail-server-2"
    assert len(newcomer("x" * 200).hostname) == 63


def test_a_guest_that_nova_has_named_keeps_its_number_and_no_new_guest_gets_its_name() -> None:
    adopted = newcomer(guest_name="instance-0000002a")
    assert (adopted.number, adopted.instance_name) == (42, "instance-0000002a")
    assert newcomer().instance_name == "instance-0000002b"


def test_two_guests_of_one_name_on_two_hosts_have_two_numbers() -> None:
    first, second = newcomer(guest_name="instance-00000007"), newcomer(guest_name="instance-00000007")
    assert (first.number, second.number) == (7, 8)
    assert second.instance_name == "instance-00000007"
    assert newcomer().instance_name == "instance-00000009"


def test_a_number_that_somebody_takes_at_the_same_moment_is_not_given_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    newcomer()
    counted = iter([1, 2])
    monkeypatch.setattr(numbering, "next_number", lambda: next(counted))
    assert newcomer().number == 2


def test_a_server_that_is_known_is_not_made_again() -> None:
    known = newcomer(uuid=uuid4())
    with pytest.raises(IntegrityError, match="uuid"):
        newcomer(uuid=known.uuid)
    assert Server.objects.get().number == 1
