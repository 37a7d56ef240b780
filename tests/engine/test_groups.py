"""Server groups among moves under way: what a policy promises holds for every place that a member may end on."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from servers import clock
from servers.actions.task import MoveAllocations
from servers.clock import VirtualClock
from servers.engine.capacity import claims, groups, scheduling
from servers.errors import ComputeResourcesUnavailable, GroupPolicyViolated
from servers.models import ActionRecord, Allocation, Host, Migration, Server, ServerGroup
from servers.scheduler import Member
from servers.states import ActionStatus
from tests.carrying_out import carry_out
from tests.conftest import Caller
from tests.small_fleet import SmallFleet

LIVE, COLD = "live-migration", "migrate"
UNDER_WAY = {"running", "migrating"}


def make_group(
    fleet: SmallFleet, *members: Server, policy: str = "anti-affinity", most: int = 1
) -> ServerGroup:
    group = ServerGroup.objects.create(
        name="db", project_id=fleet.project.pk, user_id="u", policy=policy, max_server_per_host=most
    )
    join(group, *members)
    return group


def join(group: ServerGroup, *members: Server) -> None:
    Server.objects.filter(pk__in=[member.pk for member in members]).update(group=group)


def fresh(server: Server) -> Server:
    return Server.objects.select_related("group").get(pk=server.pk)


def send(fleet: SmallFleet, slug: str, server: Server, host: str | None) -> ActionRecord:
    """Submit a move, to a host of one's choice or the scheduler's."""
    params = {"host": host, "block_migration": "auto"} if slug == LIVE else {"host": host}
    return fleet.submit(slug, fresh(server), **params).record


def open_move(server: Server) -> Migration:
    """Let a migration hold what the server holds, as the first step of every move does."""
    move = Migration.objects.create(
        server=server, migration_type="migration", source_compute="node1", user_id="u", project_id="p"
    )
    claims.charge_migration(server.pk, move)
    return move


def while_under_way(clock_: VirtualClock, server: Server, do: Callable[[], None]) -> None:
    """Do something once, as soon as the server's guest is on its way."""

    def look() -> None:
        if Migration.objects.filter(server=server, status__in=UNDER_WAY).exists():
            clock_.on_sleep = None
            do()

    clock_.on_sleep = look


def hosts_of(group: ServerGroup) -> list[str]:
    return sorted(group.servers.values_list("host__name", flat=True))


def verdict(server: Server, host: str) -> tuple[bool, str]:
    found = next(v for v in scheduling.explain_hosts(fresh(server)) if v.host == host)
    return found.accepted, found.code


def statuses(*records: ActionRecord) -> list[str]:
    return [ActionRecord.objects.get(pk=record.pk).status for record in records]


# ---------------------------------------------------------------------------------------- under way


@pytest.mark.parametrize(("first", "second"), list(product([LIVE, COLD], repeat=2)))
def test_a_member_is_not_sent_to_where_another_one_is_on_its_way(
    fleet: SmallFleet, virtual_clock: VirtualClock, first: str, second: str
) -> None:
    one, two = (
        fleet.add_server("one", "node1", storage="local"),
        fleet.add_server("two", "node2", storage="local"),
    )
    group = make_group(fleet, one, two)
    mine, other = send(fleet, first, one, "node3"), send(fleet, second, two, "node3")
    seen: list[str] = []

    def meanwhile() -> None:
        carry_out(other.pk, "second", heartbeat=False)
        seen.append(ActionRecord.objects.get(pk=mine.pk).status)

    while_under_way(virtual_clock, one, meanwhile)
    carry_out(mine.pk, "first", heartbeat=False)
    fleet.work()
    assert seen == [ActionStatus.RUNNING]
    assert statuses(mine, other) == [ActionStatus.SUCCEEDED, ActionStatus.FAILED]
    assert hosts_of(group) == ["node2", "node3"]
    loser = fleet.state(two)
    assert (loser["vm_state"], loser["task_state"]) == ("active", "")
    assert (loser["server_charged_on"], loser["migration_charged_on"]) == (["node2"], [])


@pytest.mark.parametrize("slug", [LIVE, COLD])
def test_the_scheduler_chooses_another_host_than_one_to_which_a_member_is_on_its_way(
    fleet: SmallFleet, virtual_clock: VirtualClock, slug: str
) -> None:
    fleet.add_host("node4", cpu_ratio=0.5)  # the last that would be chosen
    one, two = (
        fleet.add_server("one", "node1", storage="local"),
        fleet.add_server("two", "node2", storage="local"),
    )
    group = make_group(fleet, one, two)
    mine, other = send(fleet, slug, one, "node3"), send(fleet, slug, two, None)
    while_under_way(virtual_clock, one, lambda: carry_out(other.pk, "second", heartbeat=False) and None)
    carry_out(mine.pk, "first", heartbeat=False)
    fleet.work()
    assert statuses(mine, other) == [ActionStatus.SUCCEEDED] * 2
    assert hosts_of(group) == ["node3", "node4"]


@pytest.mark.parametrize("slug", [LIVE, COLD])
def test_whoever_was_chosen_a_host_and_claims_it_second_goes_to_the_next_one(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch, slug: str
) -> None:
    fleet.add_host("node4")
    one, two = fleet.add_server("one", "node1"), fleet.add_server("two", "node2")
    group = make_group(fleet, one, two)
    real, lost = claims.claim, []

    def claim(server_id: object, host: str) -> None:
        if server_id == two.pk and not lost:
            lost.append(host)
            open_move(one)
            real(one.pk, host)
        real(two.pk, host)

    monkeypatch.setattr(claims, "claim", claim)
    record = send(fleet, slug, two, None)
    fleet.work()
    record.refresh_from_db()
    assert record.status == ActionStatus.SUCCEEDED, record.error_text
    where = fleet.state(two)["host"]
    assert where in {"node3", "node4"} - set(lost)
    assert groups.refuses(fresh(two), where) is None
    assert len(hosts_of(group)) == len(set(hosts_of(group)))


@pytest.fixture
def occupied(fleet: SmallFleet) -> Server:
    """Return a server that may not go to node3, because another one of its group is on its way there."""
    one, two = fleet.add_server("one", "node1"), fleet.add_server("two", "node2")
    make_group(fleet, one, two)
    open_move(one)
    claims.claim(one.pk, "node3")
    return two


def test_forcing_a_host_breaks_no_group(fleet: SmallFleet, occupied: Server) -> None:
    params = {"host": "node3", "block_migration": "auto", "force": True}
    record = fleet.do(LIVE, fresh(occupied), "2.60", **params)
    assert (record.status, record.error_code) == (ActionStatus.FAILED, "group_policy_violated")
    assert fleet.state(occupied)["host"] == "node2"


def test_whoever_forces_a_host_and_waits_is_told_like_of_any_other_failed_check(
    occupied: Server, admin: Caller
) -> None:
    body = {"os-migrateLive": {"host": "node3", "block_migration": "auto"}}
    answer = admin.post(f"/v2.1/servers/{occupied.uuid}/action", body, "2.25")
    assert answer.status_code == 400
    assert b"The server's group does not allow the host: anti-affinity group db" in answer.content


@pytest.mark.parametrize("slugs", [[LIVE] * 5, [COLD] * 5, [LIVE, COLD] * 2 + [LIVE]])
def test_of_five_members_that_overlap_on_their_way_to_one_host_one_lands(
    fleet: SmallFleet, virtual_clock: VirtualClock, slugs: list[str]
) -> None:
    for number in range(4, 7):
        fleet.add_host(f"node{number}")
    members = [fleet.add_server(f"web-{n}", f"node{n}", storage="local") for n in range(1, 6)]
    group = make_group(fleet, *members)
    records = [send(fleet, slug, member, "node6") for slug, member in zip(slugs, members, strict=True)]

    def others() -> None:
        for record in records[1:]:
            carry_out(record.pk, "other", heartbeat=False)

    while_under_way(virtual_clock, members[0], others)
    carry_out(records[0].pk, "first", heartbeat=False)
    fleet.work()
    assert sorted(statuses(*records)) == [ActionStatus.FAILED] * 4 + [ActionStatus.SUCCEEDED]
    assert hosts_of(group) == ["node2", "node3", "node4", "node5", "node6"]


# -------------------------------------------------------------------------------------- at the claim


@pytest.fixture
def chosen(fleet: SmallFleet) -> list[Server]:
    """Return five members, each on a host of its own, for all of which node6 has been chosen already."""
    for number in range(4, 7):
        fleet.add_host(f"node{number}")
    members = [fleet.add_server(f"web-{n}", f"node{n}") for n in range(1, 6)]
    make_group(fleet, *members)
    for member in members:
        open_move(member)
        assert scheduling.select_hosts(fresh(member), requested="node6").hosts == ("node6",)
    return members


def take(members: list[Server], host: str) -> list[Server]:
    """Return those of the members that could claim the host, in this order."""
    taken = []
    for member in members:
        try:
            claims.claim(member.pk, host)
            taken.append(member)
        except GroupPolicyViolated:
            pass
    return taken


def test_of_five_members_that_claim_one_host_one_gets_it(chosen: list[Server]) -> None:
    assert take(chosen, "node6") == chosen[:1]
    assert take(chosen, "node6") == chosen[:1]  # a claim that stands is asked for again after a crash


@pytest.mark.parametrize("most", [2, 3])
def test_a_group_may_have_as_many_on_a_host_as_it_says(chosen: list[Server], most: int) -> None:
    ServerGroup.objects.update(max_server_per_host=most)
    assert take(chosen, "node6") == chosen[:most]
    assert len(groups.other_members(ServerGroup.objects.get(), chosen[4])) == 4


@pytest.mark.parametrize("policy", ["soft-affinity", "soft-anti-affinity"])
def test_a_soft_policy_refuses_no_claim(chosen: list[Server], policy: str) -> None:
    ServerGroup.objects.update(policy=policy)
    assert take(chosen, "node6") == chosen


def test_members_of_different_groups_do_not_mind_each_other(chosen: list[Server]) -> None:
    other = ServerGroup.objects.create(name="other", project_id="p", user_id="u", policy="anti-affinity")
    join(other, chosen[1])
    Server.objects.filter(pk=chosen[2].pk).update(group=None)
    assert take(chosen, "node6") == chosen[:3]


def test_a_refused_claim_says_who_has_room_there_and_leaves_nothing(chosen: list[Server]) -> None:
    claims.claim(chosen[0].pk, "node6")
    with pytest.raises(ComputeResourcesUnavailable) as caught:
        claims.claim(chosen[1].pk, "node6")
    reason = "anti-affinity group db may have 1 on node6, and has room there for web-1"
    assert str(caught.value) == f"The server's group does not allow the host: {reason}"
    assert not Allocation.objects.filter(server=chosen[1]).exists()


def test_a_claim_that_is_given_back_makes_way(chosen: list[Server]) -> None:
    one, two = chosen[:2]
    claims.claim(one.pk, "node6")
    claims.release(one.pk, one.migrations.get().pk)
    claims.claim(two.pk, "node6")
    claims.finish_move_allocations(two.pk, two.migrations.get().pk, MoveAllocations.BACK_TO_SOURCE)
    claims.claim(chosen[2].pk, "node6")


def test_a_move_that_is_over_makes_way_where_it_began(chosen: list[Server]) -> None:
    one, two = chosen[:2]
    claims.claim(one.pk, "node6")
    with pytest.raises(GroupPolicyViolated):
        claims.claim(two.pk, "node1")
    claims.finish_move_allocations(one.pk, one.migrations.get().pk, MoveAllocations.TO_DESTINATION)
    claims.claim(two.pk, "node1")


def test_a_deleted_member_does_not_count_and_one_in_error_does_for_as_long_as_it_holds_room(
    chosen: list[Server],
) -> None:
    one, two = chosen[:2]
    claims.claim(one.pk, "node6")
    Server.objects.filter(pk=one.pk).update(vm_state="error")
    assert groups.refuses(fresh(two), "node6") is not None  # its guest may run there
    Allocation.objects.filter(server=one).delete()
    Allocation.objects.filter(migration__server=one).delete()
    assert groups.refuses(fresh(two), "node6") is None
    assert groups.refuses(fresh(two), "node1") is None
    Server.objects.filter(pk=one.pk).update(vm_state="active")
    assert groups.refuses(fresh(two), "node1") is not None
    Server.objects.filter(pk=one.pk).update(deleted_at=clock.now())
    assert groups.refuses(fresh(two), "node1") is None


def test_a_member_that_holds_no_room_is_where_its_record_says(fleet: SmallFleet) -> None:
    one, two = fleet.add_server("one", "node1"), fleet.add_server("two", "node2")
    group = make_group(fleet, one, two)
    Allocation.objects.filter(server=one).delete()
    assert groups.other_members(group, two) == (Member("one", frozenset({"node1"})),)
    with pytest.raises(GroupPolicyViolated):
        claims.claim(two.pk, "node1")


def test_members_of_one_name_are_counted_each(chosen: list[Server]) -> None:
    Server.objects.update(name="web")
    assert len(groups.other_members(ServerGroup.objects.get(), chosen[0])) == 4


# -------------------------------------------------------------------------------- waits to be confirmed


@pytest.mark.parametrize(("end", "free"), [("confirm-resize", "node1"), ("revert-resize", "node3")])
def test_a_move_that_waits_to_be_confirmed_keeps_both_places_and_its_end_frees_one(
    fleet: SmallFleet, end: str, free: str
) -> None:
    one, two = fleet.add_server("one", "node1"), fleet.add_server("two", "node2")
    make_group(fleet, one, two)
    fleet.do(COLD, fresh(one), host="node3")
    assert fleet.state(one)["vm_state"] == "resized"
    for host in ("node1", "node3"):
        assert verdict(two, host) == (False, "anti_affinity")
        assert statuses(send(fleet, LIVE, two, host)) == [ActionStatus.QUEUED]
        fleet.work()
        assert fleet.state(two)["host"] == "node2"
    fleet.do(end, fresh(one))
    assert verdict(two, free) == (True, "accepted")
    send(fleet, LIVE, two, free)
    fleet.work()
    assert fleet.state(two)["host"] == free


@pytest.mark.parametrize(("slug", "verb"), [(LIVE, "live_migration"), (COLD, "migrate_disk_and_power_off")])
def test_a_move_that_fails_frees_its_place(fleet: SmallFleet, slug: str, verb: str) -> None:
    one, two = fleet.add_server("one", "node1"), fleet.add_server("two", "node2")
    group = make_group(fleet, one, two)
    fleet.simulation.set_fault(verb, "node1", mode="refuse")
    failed = send(fleet, slug, one, "node3")
    fleet.work()
    moved = send(fleet, slug, two, "node3")
    fleet.work()
    assert statuses(failed, moved) == [ActionStatus.FAILED, ActionStatus.SUCCEEDED]
    assert hosts_of(group) == ["node1", "node3"]


# ------------------------------------------------------------------------------------------- affinity


@pytest.fixture
def pair(fleet: SmallFleet) -> list[Server]:
    """Return two servers on node1 that are to stay together."""
    servers = [fleet.add_server(name, "node1") for name in ("one", "two")]
    make_group(fleet, *servers, policy="affinity")
    return servers


def test_of_two_that_stay_together_none_leaves(fleet: SmallFleet, pair: list[Server]) -> None:
    record = send(fleet, COLD, pair[0], "node2")
    fleet.work()
    assert statuses(record) == [ActionStatus.FAILED]
    open_move(pair[0])
    with pytest.raises(GroupPolicyViolated, match="affinity group db is on node1"):
        claims.claim(pair[0].pk, "node2")


def test_one_that_is_alone_in_its_affinity_group_may_go_and_nobody_joins_it_until_it_is_there(
    fleet: SmallFleet, pair: list[Server]
) -> None:
    one, two = pair
    Allocation.objects.filter(server=two).delete()
    Server.objects.filter(pk=two.pk).update(host=None)
    move = open_move(one)
    claims.claim(one.pk, "node2")
    for host in ("node1", "node2", "node3"):
        with pytest.raises(GroupPolicyViolated, match="affinity group db is on the move: one"):
            claims.claim(two.pk, host)
    claims.finish_move_allocations(one.pk, move.pk, MoveAllocations.TO_DESTINATION)
    Server.objects.filter(pk=one.pk).update(host=Host.objects.get(name="node2"))
    with pytest.raises(GroupPolicyViolated):
        claims.claim(two.pk, "node1")
    claims.claim(two.pk, "node2")


def test_members_that_were_found_apart_may_come_together(fleet: SmallFleet) -> None:
    one, two = fleet.add_server("one", "node1"), fleet.add_server("two", "node2")
    group = make_group(fleet, one, two, policy="affinity")
    assert verdict(one, "node3") == (False, "affinity")
    fleet.do(LIVE, fresh(one), host=None, block_migration="auto")
    assert hosts_of(group) == ["node2", "node2"]


# ------------------------------------------------------------------------------------ before the switch


def test_a_claim_that_stands_is_still_allowed_before_the_switch(chosen: list[Server]) -> None:
    claims.claim(chosen[0].pk, "node6")
    assert claims.group_refuses(fresh(chosen[0]), "node6") is None


def test_a_guest_of_the_group_that_was_found_on_the_destination_meanwhile_is_seen_before_the_switch(
    chosen: list[Server],
) -> None:
    one, two = chosen[:2]
    claims.claim(one.pk, "node6")
    two.host = Host.objects.get(name="node6")
    claims.allocate(two)  # found there: it is written down, allowed or not
    reason = "anti-affinity group db may have 1 on node6, and has room there for web-2"
    assert claims.group_refuses(fresh(one), "node6") == reason


def test_a_group_that_has_changed_meanwhile_is_seen_before_the_switch(chosen: list[Server]) -> None:
    one, two = chosen[:2]
    ServerGroup.objects.update(max_server_per_host=2)
    assert take([one, two], "node6") == [one, two]
    assert claims.group_refuses(fresh(one), "node6") is None
    ServerGroup.objects.update(max_server_per_host=1)
    assert claims.group_refuses(fresh(one), "node6") is not None
    Server.objects.filter(pk=two.pk).update(group=None)
    assert claims.group_refuses(fresh(one), "node6") is None


@pytest.mark.parametrize("slug", [LIVE, COLD])
def test_a_guest_stays_where_it_is_when_its_group_no_longer_allows_the_destination(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch, slug: str
) -> None:
    one, two = fleet.add_server("one", "node1"), fleet.add_server("two", "node2")
    make_group(fleet, one, two)
    ask = claims.group_refuses

    def be_found_first(server: Server, host: str) -> str | None:
        two.host = Host.objects.get(name=host)
        claims.allocate(two)
        return ask(server, host)

    monkeypatch.setattr(claims, "group_refuses", be_found_first)
    record = send(fleet, slug, one, "node3")
    fleet.work()
    record.refresh_from_db()
    assert (record.status, record.error_code) == (ActionStatus.FAILED, "group_policy_violated")
    state = fleet.state(one)
    assert (state["vm_state"], state["task_state"]) == ("active", "")
    assert (state["runs_on"], state["defined_on"]) == ("node1", ["node1"])
    assert (state["server_charged_on"], state["migration_charged_on"]) == (["node1"], [])


def test_a_server_without_a_group_is_asked_nothing_and_costs_nothing(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    open_move(server)
    with CaptureQueriesContext(connection) as alone:
        assert claims.group_refuses(server, "node2") is None
    assert len(alone) == 0
    with CaptureQueriesContext(connection) as claim_alone:
        claims.claim(server.pk, "node2")
    member = fleet.add_server("member", "node3")
    make_group(fleet, member)
    open_move(member)
    with CaptureQueriesContext(connection) as claim_of_a_member:
        claims.claim(member.pk, "node2")
    assert len(claim_of_a_member) == len(claim_alone) + 2  # its group, and what the others hold
