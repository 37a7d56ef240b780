"""Which hosts come into question, and the two reasons of NoValidHost (Nova contract C.1, C.2)."""

from __future__ import annotations

from typing import Any

import pytest

from servers.errors import NoValidHost
from servers.scheduler import HostState, MoveRequest, Resources
from servers.scheduler.placement import refuses
from tests.scheduler.fleet import a_host, a_move, choose, three_hosts, verdict_on

EMPTY = "No valid host was found. "
NOT_ENOUGH = "No valid host was found. There are not enough hosts available."


def refusal(request: MoveRequest, hosts: list[HostState]) -> NoValidHost:
    with pytest.raises(NoValidHost) as caught:
        choose(request, hosts)
    return caught.value


def without_room(**facts: Any) -> dict[str, Any]:
    return {"used": Resources(0, 8000, 0), **facts}


@pytest.mark.parametrize(
    ("facts", "wanted"),
    [
        ({"used": Resources(63, 0, 0)}, Resources(1, 0, 0)),
        ({"used": Resources(0, 7680, 0)}, Resources(0, 512, 0)),
        ({"ratios": (1.0, 1.5, 1.0), "used": Resources(0, 11776, 0)}, Resources(0, 512, 0)),
        ({"used": Resources(0, 0, 99)}, Resources(0, 0, 1)),
    ],
)
def test_a_host_that_is_exactly_filled_has_room(facts: dict[str, Any], wanted: Resources) -> None:
    assert refuses(a_host("host2", **facts), a_move(resources=wanted)) is None


def test_what_is_reserved_is_taken_off_before_the_ratio() -> None:
    host = a_host("host2", reserved=Resources(0, 192, 0), ratios=(1.0, 1.5, 1.0))
    assert host.capacity.memory_mb == 12000


@pytest.mark.parametrize(
    ("facts", "wanted", "reason"),
    [
        (
            {"used": Resources(0, 8092, 0)},
            Resources(1, 512, 1),
            "needs 512 MiB of memory, 100 of 8192 are free",
        ),
        ({"used": Resources(64, 0, 0)}, Resources(1, 512, 1), "needs 1 vCPU, 0 of 64 are free"),
        ({"used": Resources(0, 0, 120)}, Resources(1, 512, 1), "needs 1 GiB of disk, 0 of 100 are free"),
        ({}, Resources(17, 512, 1), "needs 17 vCPU, the machine has 16"),
    ],
)
def test_a_lack_of_room_is_told_in_numbers(facts: dict[str, Any], wanted: Resources, reason: str) -> None:
    assert refuses(a_host("host2", **facts), a_move(resources=wanted)) == ("room", reason)


def test_what_the_server_does_not_need_may_be_overcommitted() -> None:
    full_disk = a_host("host2", used=Resources(0, 0, 500))
    assert refuses(full_disk, a_move(resources=Resources(1, 512, 0))) is None


def test_the_reason_is_empty_where_no_host_comes_into_question() -> None:
    hosts = three_hosts(host1=without_room(), host2=without_room(), host3={"enabled": False})
    assert str(refusal(a_move(), hosts)) == EMPTY


def test_the_reason_is_empty_without_any_host() -> None:
    assert str(refusal(a_move(), [])) == EMPTY


def test_the_source_still_counts_as_a_candidate_when_all_others_are_disabled() -> None:
    hosts = three_hosts(host2={"enabled": False}, host3={"enabled": False})
    assert str(refusal(a_move(), hosts)) == NOT_ENOUGH


def test_a_source_without_room_for_another_copy_is_no_candidate() -> None:
    hosts = three_hosts(host1=without_room(), host2={"enabled": False}, host3={"enabled": False})
    assert str(refusal(a_move(), hosts)) == EMPTY


def test_a_requested_host_that_is_disabled_gives_the_empty_reason() -> None:
    assert str(refusal(a_move(requested_host="host2"), three_hosts(host2={"enabled": False}))) == EMPTY


def test_a_requested_host_without_room_gives_the_empty_reason() -> None:
    assert str(refusal(a_move(requested_host="host2"), three_hosts(host2=without_room()))) == EMPTY


def test_requesting_the_source_finds_not_enough_hosts() -> None:
    assert str(refusal(a_move(requested_host="host1"), three_hosts())) == NOT_ENOUGH


def test_when_every_candidate_has_been_tried_there_are_not_enough_hosts() -> None:
    tried = frozenset({"host1", "host2", "host3"})
    assert str(refusal(a_move(ignore_hosts=tried), three_hosts())) == NOT_ENOUGH


def test_a_requested_host_that_is_down_is_left_to_the_filters() -> None:
    assert str(refusal(a_move(requested_host="host2"), three_hosts(host2={"up": False}))) == NOT_ENOUGH


def test_only_the_requested_host_is_asked() -> None:
    assert choose(a_move(requested_host="host3"), three_hosts()).hosts == ("host3",)


def test_a_requested_host_is_named_exactly() -> None:
    assert str(refusal(a_move(requested_host="HOST2"), three_hosts())) == EMPTY


def test_hosts_to_ignore_are_compared_without_regard_to_case() -> None:
    assert choose(a_move(ignore_hosts=frozenset({"HOST1", "Host2"})), three_hosts()).hosts == ("host3",)


def test_every_host_has_its_reason_on_the_fault() -> None:
    hosts = three_hosts(host2={"enabled": False, "disabled_reason": "new disks"}, host3={"maintenance": True})
    verdicts = refusal(a_move(), hosts).facts["verdicts"]
    assert [(v.host, v.accepted, v.code, v.reason) for v in verdicts] == [
        ("host1", False, "ignored", "the server is here"),
        ("host2", False, "disabled", "disabled: new disks"),
        ("host3", False, "compute", "in maintenance"),
    ]


def test_room_is_looked_at_before_what_was_tried_and_the_filters() -> None:
    hosts = three_hosts(host1=without_room(), host2=without_room(up=False))
    verdicts = choose(a_move(), hosts).verdicts
    assert [verdict_on(name, verdicts).code for name in ("host1", "host2")] == ["room", "room"]


def test_a_host_with_capitals_in_its_name_is_ignored_by_another_spelling() -> None:
    hosts = [a_host("Host2"), a_host("host3")]
    assert choose(a_move(ignore_hosts=frozenset({"host2"})), hosts).hosts == ("host3",)
