"""A person judges what came to no end by itself: with the evidence, by name, with a reason, and only as it was seen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from servers import clock
from servers.drivers.base import JobKind
from servers.engine.accepting.restore import restore
from servers.engine.execution.lease import Lease, fenced, stall_foreign
from servers.engine.judgement import judge
from servers.engine.judgement.cases import evidence_of, find_action, still_tried, waiting
from servers.engine.judgement.endings import Outcome, ending_of, shortest
from servers.engine.judgement.judge import (
    LOOK_AGAIN,
    UNDO,
    close,
    look_again_when_hosts_return,
    ways_out,
)
from servers.errors import (
    ActionNotFound,
    CannotClose,
    CannotUndo,
    GuestSeenTwice,
    HostAnswers,
    HostsSilent,
    HostUnknown,
    InvalidParameters,
    Judged,
    LeaseLost,
    NotKnown,
    NotPermitted,
    NotWaiting,
)
from servers.fleet.polling import Answer
from servers.inventory.reconciliation.reconcile import reconcile
from servers.models import ActionRecord, Host, Image, Migration, Server
from servers.states import MIGRATION_OVER, ActionStatus, MigrationStatus, PowerState
from tests.carrying_out import carry_out
from tests.small_fleet import SmallFleet
from tests.stalling import LIVE, arrived_move, stall, stalled_move
from tests.unknown_guests import run_twice

WHY = "I have looked at the host"


def fresh(record: ActionRecord) -> ActionRecord:
    return ActionRecord.objects.get(pk=record.pk)


def server_of(record: ActionRecord) -> Server:
    return Server.objects.get(pk=record.server_id)


# ------------------------------------------------------------------------------------ what waits


def test_what_waits_is_told_from_what_is_still_tried(fleet: SmallFleet, settings: Any) -> None:
    settings.MAX_CONCURRENT_LIVE_MIGRATIONS = 2
    stalled = stalled_move(fleet)
    fleet.simulation.set_fault("live_migration", "node1", mode="hang")
    tried = fleet.submit("live-migration", fleet.add_server("other"), **LIVE).record
    carry_out(tried.pk, "inline", heartbeat=False)
    assert list(waiting()) == [stalled]
    assert list(still_tried()) == [tried]


def test_evidence_is_records_journal_and_every_host(fleet: SmallFleet) -> None:
    record = stalled_move(fleet)
    fleet.simulation.lose_host("node3")
    said = evidence_of(record).as_data()
    assert (said["server"]["host"], said["server"]["task_state"]) == ("node1", "migrating")
    assert (said["migration"]["status"], said["migration"]["destination"]) == ("running", "node2")
    assert {(a["host"], a["held_by"]) for a in said["allocations"]} == {
        ("node1", "migration"),
        ("node2", "server"),
    }
    move = said["steps"][-1]
    assert (move["name"], move["ended"], bool(move["effect"])) == ("move_guest", None, False)
    assert [e["event"] for e in said["open_events"]] == ["compute_live_migration"]
    hosts = {h["host"]: (h["matters"], h["says"], h["silent"]) for h in said["hosts"]}
    assert hosts["node1"] == (True, "running", False)
    assert hosts["node2"] == (True, "prepared for it", False)
    assert hosts["node3"] == (False, "silent: Connection to the hypervisor is broken on host", True)
    assert (said["seen_at"], said["runs_on"]) == ("node1", ["node1"])


def test_action_is_found_by_its_uuid_and_by_its_request(fleet: SmallFleet) -> None:
    record = stalled_move(fleet)
    context = fleet.context()
    assert find_action(str(record.pk), context) == find_action(record.request_id, context) == record
    for nothing in ("req-nobody", "\0", ""):
        with pytest.raises(ActionNotFound):
            find_action(nothing, context)


# ------------------------------------------------------------------------------------ who, and why


@pytest.mark.parametrize("reason", ["", "  \n ", "x" * 1001, "a\0b"])
@pytest.mark.parametrize("verdict", judge.VERDICTS)
def test_judgement_without_a_readable_reason_is_none(fleet: SmallFleet, verdict: str, reason: str) -> None:
    record = stalled_move(fleet)
    with pytest.raises(InvalidParameters):
        judge.judge(record.pk, verdict, fleet.context(), reason)
    assert fresh(record).judgements == [] and fresh(record).stalled_at == record.stalled_at


@pytest.mark.parametrize("verdict", judge.VERDICTS)
def test_only_whom_the_policy_lets_judge_does(fleet: SmallFleet, verdict: str) -> None:
    record = stalled_move(fleet)
    with pytest.raises(NotPermitted):
        judge.judge(record.pk, verdict, fleet.context("manager"), WHY)
    assert fresh(record).judgements == []


@pytest.mark.parametrize("verdict", judge.VERDICTS)
def test_whoever_comes_second_is_told_so(fleet: SmallFleet, verdict: str) -> None:
    record = stalled_move(fleet)
    judge.judge(record.pk, LOOK_AGAIN, fleet.context(), WHY)
    with pytest.raises(NotWaiting, match="it is looked at again"):
        judge.judge(record.pk, verdict, fleet.context(), WHY)
    fleet.work()
    with pytest.raises(NotWaiting, match="it is succeeded"):
        judge.judge(record.pk, verdict, fleet.context(), WHY)
    assert len(fresh(record).judgements) == 1


def test_judgement_is_kept_with_name_reason_and_what_was_seen(fleet: SmallFleet) -> None:
    record = stalled_move(fleet)
    close(record.pk, fleet.context(), f"  {WHY}\n", Outcome.FAILED)
    (said,) = fresh(record).judgements
    assert said.pop("at")
    assert said == {
        "by": {"id": "somebody", "name": "somebody"},
        "door": "rest",
        "verdict": "failed",
        "reason": WHY,
        "dead_hosts": [],
        "seen": {"node1": "running", "node2": "prepared for it"},
    }


# --------------------------------------------------------------------------------------- look again


def test_look_again_brings_the_action_to_its_end(fleet: SmallFleet) -> None:
    record = stalled_move(fleet)
    judge.judge(record.pk, LOOK_AGAIN, fleet.context(), WHY)
    fleet.work()
    assert fresh(record).status == ActionStatus.SUCCEEDED
    assert fleet.state(server_of(record))["runs_on"] == "node2"


def test_look_again_is_bounded_as_at_first(fleet: SmallFleet, settings: Any) -> None:
    record = stalled_move(fleet)
    fleet.simulation.set_fault("live_migration", "node1", mode="hang")
    judge.judge(record.pk, LOOK_AGAIN, fleet.context(), WHY)
    fleet.work()
    again = fresh(record)
    assert again.stalled_at is not None and again.stalled_at > record.stalled_at
    assert again.attempt == record.attempt + settings.MAX_FUTILE_ATTEMPTS


@pytest.mark.parametrize("verdict", judge.VERDICTS)
def test_host_that_answers_is_not_dead(fleet: SmallFleet, verdict: str) -> None:
    record = stalled_move(fleet)
    with pytest.raises(HostAnswers, match="Host node2 answers, it is not dead"):
        judge.judge(record.pk, verdict, fleet.context(), WHY, ["node2"])
    with pytest.raises(HostUnknown):
        judge.judge(record.pk, verdict, fleet.context(), WHY, ["node9"])
    assert fresh(record).judgements == [] and fresh(record).stalled_at is not None


def test_nothing_waits_for_a_host_for_which_somebody_has_answered(fleet: SmallFleet) -> None:
    server = fleet.add_server(storage="local")
    record = stall(fleet, "migrate", server, ("finish_migration", "node2"))
    fleet.simulation.lose_host("node1")
    judge.judge(record.pk, LOOK_AGAIN, fleet.context(), WHY)
    fleet.work()
    assert fresh(record).stalled_at is not None
    assert "node1 does not answer" in fresh(record).error_text
    judge.judge(record.pk, LOOK_AGAIN, fleet.context(), WHY, ["node1"])
    fleet.work()
    state = fleet.state(server)
    assert fresh(record).status == ActionStatus.SUCCEEDED, fresh(record).error_text
    assert (state["vm_state"], state["host"]) == ("resized", "node2")


# -------------------------------------------------------------------------------------------- undo


def test_undo_takes_back_what_was_made_and_ends_as_failed(fleet: SmallFleet) -> None:
    record = stalled_move(fleet)
    judge.judge(record.pk, UNDO, fleet.context(), WHY)
    fleet.work()
    ended, state = fresh(record), fleet.state(server_of(record))
    assert (ended.status, ended.error_code) == ("failed", "judged")
    assert ended.error_text == f"somebody has had it undone: {WHY}"
    assert (state["host"], state["defined_on"], state["task_state"]) == ("node1", ["node1"], "")
    assert (state["server_charged_on"], state["migration_charged_on"]) == (["node1"], [])
    assert state["open_events"] == 0 and state["migrations"][0][0] in {"failed", "error"}


def test_undo_is_refused_behind_the_switch(fleet: SmallFleet) -> None:
    server = fleet.add_server(storage="local")
    fleet.do("migrate", server)
    record = stall(fleet, "revert-resize", server, ("finish_revert_migration", "node1"))
    with pytest.raises(CannotUndo, match="destroy_at_destination has happened"):
        judge.judge(record.pk, UNDO, fleet.context(), WHY)
    assert fresh(record).stalled_at is not None and fresh(record).verdict == {}


# ------------------------------------------------------------------------------------------- close


def test_move_that_has_arrived_is_closed_as_succeeded_where_its_guest_is(fleet: SmallFleet) -> None:
    record = arrived_move(fleet)
    assert fleet.state(server_of(record))["host"] == "node1"
    close(record.pk, fleet.context(), WHY, Outcome.SUCCEEDED)
    ended, state = fresh(record), fleet.state(server_of(record))
    assert (ended.status, ended.error_code, ended.message) == ("succeeded", "judged", "")
    assert ended.error_text == f"somebody has closed it: {WHY}"
    assert (ended.stalled_at, ended.lease_until, ended.step) == (None, None, "")
    assert (state["host"], state["runs_on"], state["power_state"]) == ("node2", "node2", 1)
    assert (state["vm_state"], state["task_state"]) == ("active", "")
    assert (state["server_charged_on"], state["migration_charged_on"]) == (["node2"], [])
    assert state["migrations"] == [("completed", "node1", "node2")]
    assert state["open_events"] == 0


def test_move_that_has_arrived_can_be_closed_as_failed_as_well(fleet: SmallFleet) -> None:
    record = arrived_move(fleet)
    close(record.pk, fleet.context(), WHY, Outcome.FAILED)
    state = fleet.state(server_of(record))
    assert (fresh(record).status, state["host"], state["vm_state"]) == ("failed", "node2", "active")
    assert (state["server_charged_on"], state["migration_charged_on"]) == (["node2"], [])
    assert server_of(record).fault_code == "judged"


def test_move_whose_guest_has_stayed_is_no_success(fleet: SmallFleet) -> None:
    record = stalled_move(fleet)
    with pytest.raises(CannotClose, match="seen on node1, and not on node2"):
        close(record.pk, fleet.context(), WHY, Outcome.SUCCEEDED)
    assert fresh(record).status == ActionStatus.UNKNOWN and fresh(record).stalled_at == record.stalled_at
    close(record.pk, fleet.context(), WHY, Outcome.FAILED)
    state = fleet.state(server_of(record))
    assert (state["host"], state["vm_state"], state["task_state"]) == ("node1", "active", "")
    assert (state["server_charged_on"], state["migration_charged_on"]) == (["node1"], [])
    assert state["migrations"][0][0] == "failed" and state["open_events"] == 0
    assert fresh(record).left_on == "node2"  # it was prepared for the guest
    reconcile()
    assert (fresh(record).left_on, evidence_of(record).said["node2"]) == ("", "not defined")


def test_nothing_is_closed_while_the_guest_runs_twice(fleet: SmallFleet) -> None:
    record = stalled_move(fleet)
    run_twice(fleet, server_of(record), "node3")
    for outcome in Outcome:
        with pytest.raises(GuestSeenTwice, match="node1 and node3"):
            close(record.pk, fleet.context(), WHY, outcome)
    assert fresh(record).stalled_at == record.stalled_at


def test_host_that_may_run_the_guest_has_to_answer_be_forced_down_or_named_dead(
    fleet: SmallFleet, settings: Any
) -> None:
    settings.MAX_CONCURRENT_LIVE_MIGRATIONS = 2
    first, second = stalled_move(fleet), stalled_move(fleet, fleet.add_server("second"))
    fleet.simulation.lose_host("node1")
    for outcome in Outcome:
        with pytest.raises(HostsSilent, match="node1 may run instance"):
            close(first.pk, fleet.context(), WHY, outcome)
    close(first.pk, fleet.context(), WHY, Outcome.FAILED, ["node1"])
    assert fresh(first).judgements[0]["dead_hosts"] == ["node1"]
    Host.objects.filter(name="node1").update(forced_down=True)
    close(second.pk, fleet.context(), WHY, Outcome.FAILED)
    assert {fresh(r).status for r in (first, second)} == {"failed"}


def test_host_on_which_the_guest_never_was_need_not_answer(fleet: SmallFleet) -> None:
    record = stalled_move(fleet)
    fleet.simulation.lose_host("node3")
    close(record.pk, fleet.context(), WHY, Outcome.FAILED)
    assert fresh(record).judgements[0]["seen"]["node3"].startswith("silent")


def test_guest_that_is_nowhere_leaves_its_server_in_error(fleet: SmallFleet) -> None:
    record = stalled_move(fleet)
    fleet.simulation.remove_guest("node1", record.server_id)
    with pytest.raises(CannotClose, match="seen on no host"):
        close(record.pk, fleet.context(), WHY, Outcome.SUCCEEDED)
    close(record.pk, fleet.context(), WHY, Outcome.FAILED)
    state = fleet.state(server_of(record))
    assert (state["vm_state"], state["host"], state["task_state"]) == ("error", "node1", "")
    assert (state["power_state"], state["server_charged_on"]) == (PowerState.NOSTATE, ["node1"])


def test_nothing_is_closed_while_the_guest_is_being_moved(fleet: SmallFleet) -> None:
    case = evidence_of(stalled_move(fleet))
    guest = case.hosts[0].guest
    assert guest is not None
    moving = replace(case.hosts[0], answer=Answer(replace(guest, job=JobKind.LIVE_MIGRATION)))
    for outcome in Outcome:
        with pytest.raises(CannotClose, match="being moved from node1"):
            ending_of(replace(case, hosts=(moving, *case.hosts[1:])), outcome, Judged(by="me", reason=WHY))


def test_cold_move_that_has_arrived_waits_to_be_confirmed(fleet: SmallFleet) -> None:
    server = fleet.add_server(storage="local")
    fleet.simulation.set_fault("finish_migration", "node2", mode="hang_after")
    record = fleet.do("migrate", server)
    fleet.simulation.clear_faults()
    fleet.heartbeat()
    assert record.stalled_at is not None
    close(record.pk, fleet.context(), WHY, Outcome.SUCCEEDED)
    state = fleet.state(server)
    assert (state["vm_state"], state["task_state"], state["runs_on"]) == ("resized", "", "node2")
    assert (state["server_charged_on"], state["migration_charged_on"]) == (["node2"], ["node1"])
    assert state["migrations"] == [("finished", "node1", "node2")]
    assert fleet.do("confirm-resize", server).status == ActionStatus.SUCCEEDED
    assert fleet.state(server)["defined_on"] == ["node2"]


def test_cold_move_that_failed_on_its_way_is_where_it_was_and_stopped(fleet: SmallFleet) -> None:
    server = fleet.add_server(storage="local")
    record = stall(fleet, "migrate", server, ("finish_migration", "node2"))
    with pytest.raises(CannotClose):
        close(record.pk, fleet.context(), WHY, Outcome.SUCCEEDED)
    close(record.pk, fleet.context(), WHY, Outcome.FAILED)
    state = fleet.state(server)
    assert (state["host"], state["vm_state"], state["power_state"]) == ("node1", "stopped", 4)
    assert (state["server_charged_on"], state["migration_charged_on"]) == (["node1"], [])
    assert state["migrations"][0][0] == "error"


@pytest.mark.parametrize(
    ("slug", "verb", "where", "status"),
    [
        ("confirm-resize", "confirm_migration", "node2", "confirmed"),
        ("revert-resize", "finish_revert_migration", "node1", "reverted"),
    ],
)
def test_end_of_a_cold_move_is_closed_as_it_was_seen(
    fleet: SmallFleet, slug: str, verb: str, where: str, status: str
) -> None:
    server = fleet.add_server(slug, storage="local")
    fleet.do("migrate", server)
    fleet.simulation.set_fault(verb, "node1", mode="hang_after")
    record = fleet.do(slug, server)
    fleet.simulation.clear_faults()
    assert record.stalled_at is not None
    close(record.pk, fleet.context(), WHY, Outcome.SUCCEEDED)
    state = fleet.state(server)
    assert (state["vm_state"], state["host"], state["runs_on"]) == ("active", where, where)
    assert (state["server_charged_on"], state["migration_charged_on"]) == ([where], [])
    assert state["migrations"] == [(status, "node1", "node2")]


def test_backup_is_a_success_only_when_its_image_is_complete(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    record = stall(
        fleet, "create-backup", server, ("snapshot", "node1"), name="b", backup_type="daily", rotation=1
    )
    with pytest.raises(CannotClose, match="its image is not complete"):
        close(record.pk, fleet.context(), WHY, Outcome.SUCCEEDED)
    close(record.pk, fleet.context(), WHY, Outcome.FAILED)
    assert Image.objects.get().status == "deleted"
    assert fleet.state(server)["task_state"] == ""


@pytest.mark.parametrize("outcome", list(Outcome))
def test_image_for_which_older_ones_are_deleted_stays(fleet: SmallFleet, outcome: Outcome) -> None:
    server = fleet.add_server()
    backup = {"name": "b", "backup_type": "daily", "rotation": 1}
    fleet.do("create-backup", server, **backup)
    record = fleet.do("create-backup", server, **backup)
    ActionRecord.objects.filter(pk=record.pk).update(status="unknown", stalled_at=clock.now())
    close(record.pk, fleet.context(), WHY, outcome)
    assert [i.status for i in Image.objects.order_by("created_at")] == ["deleted", "active"]


def test_new_server_of_which_there_is_no_guest_vanishes(fleet: SmallFleet) -> None:
    fleet.do("create-backup", fleet.add_server(), name="b", backup_type="daily", rotation=1)
    image = Image.objects.get()
    fleet.simulation.set_fault("restore", mode="hang")
    record = restore(image, {"name": "new", "host": None, "start": False}, fleet.context()).record
    fleet.work()
    fleet.simulation.clear_faults()
    assert fresh(record).stalled_at is not None
    close(record.pk, fleet.context(), WHY, Outcome.FAILED)
    state = fleet.state(server_of(record))
    assert (state["vm_state"], state["server_charged_on"]) == ("deleted", [])
    assert Image.objects.get().status == "active"


def test_request_to_a_running_action_is_closed_without_a_word_on_the_server(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    record = stall(fleet, "inject-network-info", server, ("inject_network_info", "node1"))
    before = fleet.state(server)
    fleet.simulation.lose_host("node1")
    close(record.pk, fleet.context(), WHY, Outcome.SUCCEEDED)
    after = fleet.state(server)
    assert fresh(record).status == ActionStatus.SUCCEEDED
    assert {k: v for k, v in after.items() if k not in {"actions", "open_events"}} == {
        k: v for k, v in before.items() if k not in {"actions", "open_events"}
    }


def test_late_worker_is_fenced_by_whoever_closes(fleet: SmallFleet) -> None:
    record = stalled_move(fleet)
    late = Lease(record.pk, record.attempt, "late")
    close(record.pk, fleet.context(), WHY, Outcome.FAILED)
    with pytest.raises(LeaseLost), fenced(late):
        pass


def test_judge_who_is_killed_while_he_closes_leaves_it_waiting(fleet: SmallFleet, settings: Any) -> None:
    record = stalled_move(fleet)
    killed = judge.held(record.pk, fleet.context())
    killed.__enter__()
    assert fresh(record).status == ActionStatus.RUNNING
    clock.sleep(settings.LEASE_TTL_S + 1)
    fleet.work()
    assert fresh(record).status == ActionStatus.UNKNOWN and fresh(record).stalled_at is not None
    close(record.pk, fleet.context(), WHY, Outcome.FAILED)
    assert fresh(record).status == ActionStatus.FAILED


def test_another_one_can_begin_once_it_is_closed(fleet: SmallFleet) -> None:
    record = stalled_move(fleet)
    close(record.pk, fleet.context(), WHY, Outcome.FAILED)
    fleet.heartbeat()
    assert fleet.do("live-migration", server_of(record), **LIVE).status == ActionStatus.SUCCEEDED


def test_ways_out_say_what_refuses_them(fleet: SmallFleet) -> None:
    ways = ways_out(evidence_of(stalled_move(fleet)))
    assert ways.pop("succeeded") == (
        "The action cannot be closed as succeeded: the guest is seen on node1, and not on node2"
    )
    assert ways == {"look_again": "", "failed": "", "undo": ""}


@pytest.mark.parametrize("end", ["completed", "finished"])
def test_every_migration_under_way_has_a_way_to_its_end(end: str) -> None:
    live = {"accepted", "queued", "preparing", "running"}
    cold = {"pre-migrating", "migrating", "post-migrating"}
    for status in live if end == "completed" else cold:
        assert shortest(MigrationStatus(status), MigrationStatus(end))
    assert all(shortest(MigrationStatus(over), MigrationStatus(end)) == () for over in MIGRATION_OVER)


# ------------------------------------------------------------------------------------ os-resetState


def test_reset_and_as_many_futile_attempts_lead_to_a_judgement_again(
    fleet: SmallFleet, settings: Any
) -> None:
    record = arrived_move(fleet)
    fleet.simulation.set_fault("find_guest", "node2", mode="hang")
    fleet.simulation.set_fault("live_migration_abort", "node1", mode="hang")
    fleet.submit("reset-state", server_of(record), state="active")
    assert fresh(record).stalled_at is None
    fleet.work()
    again = fresh(record)
    fleet.simulation.clear_faults()
    assert again.stalled_at is not None and again.futile >= settings.MAX_FUTILE_ATTEMPTS
    close(record.pk, fleet.context(), WHY, Outcome.SUCCEEDED)
    state = fleet.state(server_of(record))
    assert (fresh(record).status, state["host"], state["server_charged_on"]) == (
        "succeeded",
        "node2",
        ["node2"],
    )
    assert (state["vm_state"], state["task_state"], state["migration_charged_on"]) == ("active", "", [])


def test_move_that_was_reset_does_not_wait_to_be_confirmed(fleet: SmallFleet) -> None:
    server = fleet.add_server(storage="local")
    fleet.simulation.set_fault("finish_migration", "node2", mode="hang_after")
    record = fleet.do("migrate", server)
    fleet.submit("reset-state", server, state="active")
    fleet.work()
    fleet.simulation.clear_faults()
    assert fresh(record).stalled_at is not None
    close(record.pk, fleet.context(), WHY, Outcome.SUCCEEDED)
    state = fleet.state(server)
    assert (state["vm_state"], state["migrations"][0][0]) == ("active", "error")
    assert (state["server_charged_on"], state["migration_charged_on"]) == (["node2"], [])


# ----------------------------------------------------------------------------- when a host returns


def silence(name: str) -> None:
    Host.objects.filter(name=name).update(heartbeat_at=None)


def test_return_of_a_host_gives_one_look_by_itself(fleet: SmallFleet) -> None:
    fleet.heartbeat()
    record = stalled_move(fleet)
    fleet.heartbeat()
    assert look_again_when_hosts_return() == 0
    silence("node1")
    assert look_again_when_hosts_return() == 0
    fleet.heartbeat()
    fleet.simulation.set_fault("live_migration", "node1", mode="hang")
    assert look_again_when_hosts_return() == 1
    fleet.work()
    fleet.heartbeat()
    assert fresh(record).stalled_at is not None
    assert [look_again_when_hosts_return() for _ in range(3)] == [0, 0, 0]
    (said,) = fresh(record).judgements
    assert (said["by"]["name"], said["door"], said["reason"]) == (
        "gantry",
        "periodic",
        "node1 answers again.",
    )


def test_return_of_a_host_that_has_nothing_to_do_with_it_gives_none(fleet: SmallFleet) -> None:
    record = stalled_move(fleet)
    fleet.heartbeat()
    silence("node3")
    look_again_when_hosts_return()
    fleet.heartbeat()
    assert look_again_when_hosts_return() == 0
    assert fresh(record).judgements == [] and Migration.objects.count() == 1


# ------------------------------------------------------------------------- work of another version


def of_another_version(fleet: SmallFleet) -> ActionRecord:
    """Return an action that no worker here knows, and that waits for an operator therefore."""
    record = fleet.submit("live-migration", fleet.add_server(), **LIVE).record
    ActionRecord.objects.filter(pk=record.pk).update(slug="of-tomorrow")
    clock.sleep(601)
    assert stall_foreign(600) == 1
    return fresh(record)


def test_action_of_another_version_can_only_be_closed(fleet: SmallFleet) -> None:
    record = of_another_version(fleet)
    with pytest.raises(NotKnown):
        judge.judge(record.pk, LOOK_AGAIN, fleet.context(), WHY)
    fleet.heartbeat()
    assert close(record.pk, fleet.context(), WHY, Outcome.FAILED).status == ActionStatus.FAILED
    server = server_of(record)
    assert (server.task_state, server.host and server.host.name) == ("", "node1")
    fleet.heartbeat()
    assert fleet.do("live-migration", server, **LIVE).status == ActionStatus.SUCCEEDED


def test_reset_gives_the_server_free_of_an_action_of_another_version(fleet: SmallFleet) -> None:
    record = of_another_version(fleet)
    fleet.heartbeat()
    assert fleet.do("reset-state", server_of(record), state="active").status == ActionStatus.SUCCEEDED
    assert fresh(record).overtaken_by is not None
    assert server_of(record).task_state == ""
    clock.sleep(602)
    assert stall_foreign(600) == 1
    fleet.heartbeat()
    assert close(record.pk, fleet.context(), WHY, Outcome.FAILED).status == ActionStatus.FAILED
