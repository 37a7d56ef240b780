"""Each action from its acceptance to its end, on the simulated fleet: what is left is right in both truths."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from servers.actions import registry
from servers.clock import VirtualClock
from servers.drivers.base import MoveOptions
from servers.drivers.simulated.live import SimulatedLiveMigration
from servers.engine.accepting import submit as accepting
from servers.engine.accepting.submit import submit
from servers.engine.execution.lease import Lease
from servers.engine.execution.queue import run_until_idle, sweep
from servers.engine.execution.task import WorkingTask
from servers.errors import Conflict, InstanceMissing, NotPermitted, NoValidHost
from servers.fleet.drivers import guest_of
from servers.models import ActionRecord, Image, Migration, Server
from servers.policy import Context
from servers.states import ActionStatus, PowerState, VmState
from tests.small_fleet import SmallFleet


@pytest.mark.parametrize("storage", ["shared", "local", "none"])
def test_live_migration_moves_the_running_guest(fleet: SmallFleet, storage: str) -> None:
    server = fleet.add_server(storage=storage)
    before = fleet.simulation.heartbeat(server.uuid)
    action = fleet.do("live-migration", server, host=None, block_migration="auto")
    assert action.status == ActionStatus.SUCCEEDED, action.error_text
    state = fleet.state(server)
    assert (state["host"], state["runs_on"], state["defined_on"]) == ("node2", "node2", ["node2"])
    assert (state["vm_state"], state["task_state"], state["power_state"]) == ("active", "", 1)
    assert state["server_charged_on"] == ["node2"] and state["migration_charged_on"] == []
    assert state["migrations"] == [("completed", "node1", "node2")]
    assert state["open_events"] == 0
    assert fleet.simulation.heartbeat(server.uuid) >= before
    assert Migration.objects.get().downtime_ms is not None


def test_settings_say_how_guests_move(
    fleet: SmallFleet, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.LIVE_MIGRATION_BANDWIDTH_MIB_S, settings.LIVE_MIGRATION_COMPLETION_TIMEOUT_S = 123, 456
    settings.LIVE_MIGRATION_AUTO_CONVERGE, settings.LIVE_MIGRATION_TIMEOUT_ACTION = False, "force_complete"
    settings.LIVE_MIGRATION_POST_COPY = settings.LIVE_MIGRATION_WITH_NATIVE_TLS = True
    seen: list[MoveOptions] = []
    move = SimulatedLiveMigration.move

    def spy(
        self: SimulatedLiveMigration, guest: Any, destination: Any, options: Any, *rest: Any, **named: Any
    ) -> Any:
        seen.append(options)
        return move(self, guest, destination, options, *rest, **named)

    monkeypatch.setattr(SimulatedLiveMigration, "move", spy)
    fleet.do("live-migration", fleet.add_server(), host=None, block_migration=False)
    assert seen == [
        MoveOptions(
            block_migration=False,
            bandwidth_mib_s=123,
            auto_converge=False,
            post_copy=True,
            native_tls=True,
            completion_timeout_s=456,
            timeout_action="force_complete",
        )
    ]


def test_paused_guest_stays_paused(fleet: SmallFleet) -> None:
    server = fleet.add_server(vm_state=VmState.PAUSED, power_state=PowerState.PAUSED)
    fleet.do("live-migration", server, host=None, block_migration="auto")
    state = fleet.state(server)
    assert (state["vm_state"], state["power_state"], state["host"]) == ("paused", 3, "node2")


def test_refused_destination_is_followed_by_the_next_one_and_its_reason_kept(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    fleet.simulation.set_fault(
        "check_can_live_migrate_destination",
        "node2",
        error="MigrationPreCheckError",
        args={"reason": "no bridge"},
    )
    action = fleet.do("live-migration", server, host=None, block_migration="auto")
    assert fleet.state(server)["host"] == "node3"
    refused = action.events.get(result="Error")
    assert (refused.host, refused.details) == ("node2", "Migration pre-check error: no bridge")
    assert action.message == ""


def test_every_hosts_verdict_is_kept_with_the_choice(fleet: SmallFleet) -> None:
    server = fleet.add_server(memory_mb=5000)
    for node in ("node2", "node3"):
        fleet.add_server(f"on {node}", node, memory_mb=5000)
    action = fleet.do("live-migration", server, host=None, block_migration="auto")
    assert action.error_text.startswith("No valid host was found.")
    verdicts = action.events.get(name="conductor_live_migrate_instance").facts["verdicts"]
    assert {v["host"] for v in verdicts} == {"node1", "node2", "node3"}
    assert all("MiB of memory" in v["reason"] for v in verdicts)


def test_checks_below_2_34_are_answered_in_the_request(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    for node in ("node2", "node3"):
        fleet.simulation.set_fault(
            "check_can_live_migrate_destination", node, error="MigrationPreCheckError", args={"reason": "x"}
        )
    with pytest.raises(NoValidHost):
        fleet.submit("live-migration", server, "2.33", host=None, block_migration="auto")
    state = fleet.state(server)
    assert (state["vm_state"], state["task_state"], state["server_charged_on"]) == ("active", "", ["node1"])


def test_cold_migration_waits_to_be_confirmed(fleet: SmallFleet) -> None:
    server = fleet.add_server(storage="local")
    content = fleet.simulation.disk_md5("node1", server.uuid)
    fleet.do("migrate", server)
    state = fleet.state(server)
    assert (state["vm_state"], state["host"], state["runs_on"]) == ("resized", "node2", "node2")
    assert (state["server_charged_on"], state["migration_charged_on"]) == (["node2"], ["node1"])
    assert fleet.simulation.disk_md5("node2", server.uuid) == content
    fleet.do("confirm-resize", server)
    state = fleet.state(server)
    assert (state["vm_state"], state["defined_on"], state["migration_charged_on"]) == (
        "active",
        ["node2"],
        [],
    )
    assert state["migrations"] == [("confirmed", "node1", "node2")]


@pytest.mark.parametrize(("vm_state", "power", "runs_on"), [("active", 1, "node1"), ("stopped", 4, None)])
def test_revert_brings_the_server_back_as_it_was(
    fleet: SmallFleet, vm_state: str, power: int, runs_on: str | None
) -> None:
    server = fleet.add_server(storage="local", vm_state=vm_state, power_state=power)
    fleet.do("migrate", server)
    fleet.do("revert-resize", server)
    state = fleet.state(server)
    assert (state["vm_state"], state["power_state"], state["host"]) == (vm_state, power, "node1")
    assert (state["runs_on"], state["defined_on"]) == (runs_on, ["node1"])
    assert (state["server_charged_on"], state["migration_charged_on"]) == (["node1"], [])


def test_failed_disk_move_leaves_the_guest_running_where_it_was(fleet: SmallFleet) -> None:
    server = fleet.add_server(storage="local")
    fleet.simulation.set_fault(
        "migrate_disk_and_power_off",
        "node1",
        mode="fail_after",
        error="ResizeError",
        args={"reason": "disk copy failed"},
    )
    action = fleet.do("migrate", server)
    state = fleet.state(server)
    assert action.status == ActionStatus.FAILED
    assert (state["runs_on"], state["host"], state["server_charged_on"]) == ("node1", "node1", ["node1"])
    assert state["defined_on"] == ["node1"]


def test_backup_is_complete_before_an_old_one_goes(fleet: SmallFleet, virtual_clock: VirtualClock) -> None:
    server = fleet.add_server()
    for number in range(4):
        virtual_clock.sleep(60)
        fleet.do("create-backup", server, name=f"b{number}", backup_type="daily", rotation=2)
    fleet.do("create-backup", server, name="w", backup_type="weekly", rotation=1)
    alive = Image.objects.filter(status="active").order_by("created_at")
    assert [i.name for i in alive] == ["b2", "b3", "w"]
    assert all(i.size_bytes and len(i.sha256) == 64 for i in alive)


def test_failed_backup_deletes_nothing_and_leaves_no_image(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    fleet.do("create-backup", server, name="good", backup_type="daily", rotation=1)
    fleet.simulation.set_fault("snapshot", "node1", error="NovaException", args={"message": "disk gone"})
    action = fleet.do("create-backup", server, name="bad", backup_type="daily", rotation=1)
    assert (action.status, action.message, action.error_text) == (ActionStatus.FAILED, "Error", "disk gone")
    assert [i.name for i in Image.objects.filter(status="active")] == ["good"]
    assert fleet.state(server)["task_state"] == ""


def test_rotation_zero_uploads_nothing_and_prunes(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    fleet.do("create-backup", server, name="old", backup_type="daily", rotation=3)
    fleet.do("create-backup", server, name="none", backup_type="daily", rotation=0)
    assert {(i.name, i.status) for i in Image.objects.all()} == {("old", "deleted"), ("none", "deleted")}


def test_reserved_properties_cannot_be_overridden(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    metadata = {"instance_uuid": "other", "image_type": "x", "mine": "yes"}
    fleet.do("create-backup", server, name="b", backup_type="daily", rotation=1, metadata=metadata)
    image = Image.objects.get()
    assert image.instance_uuid == server.uuid and image.image_type == "backup"
    assert image.properties["mine"] == "yes" and "instance_uuid" not in image.properties


def test_network_information_arrives_in_the_guest(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    action = fleet.do("inject-network-info", server)
    assert action.status == ActionStatus.SUCCEEDED
    nics = fleet.simulation.agent_state("node1", server.uuid).nics
    assert nics[0]["addresses"] == ["10.0.0.5/24"]
    assert action.result["interfaces"]


def test_guest_without_agent_says_how_to_get_one(fleet: SmallFleet) -> None:
    server = fleet.add_server(agent=False)
    action = fleet.do("reset-network", server)
    assert action.status == ActionStatus.FAILED
    assert "Install qemu-guest-agent" in action.error_text


def test_agent_that_is_booting_is_asked_again(fleet: SmallFleet, virtual_clock: VirtualClock) -> None:
    server = fleet.add_server()
    fleet.simulation.set_agent(server.uuid, "booting")
    virtual_clock.on_sleep = lambda: fleet.simulation.set_agent(server.uuid, "ready")
    action = fleet.do("reset-network", server)
    assert (action.status, action.tries) == (ActionStatus.SUCCEEDED, 1)


def test_agent_that_never_comes_up_is_asked_six_times_in_all(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    fleet.simulation.set_agent(server.uuid, "booting")
    action = fleet.do("reset-network", server)
    assert (action.status, action.error_code, action.tries) == (ActionStatus.FAILED, "agent_not_ready", 5)


def test_password_that_was_sealed_with_another_key_is_not_set_and_says_so(
    fleet: SmallFleet, settings: Any
) -> None:
    server = fleet.add_server()
    record = fleet.submit("change-password", server, adminPass="s3cret-word").record
    settings.SECRET_KEY = "another one"
    fleet.work()
    record.refresh_from_db()
    assert (record.status, record.error_code, record.sealed) == (
        ActionStatus.FAILED,
        "secrets_unreadable",
        "",
    )
    assert "SECRET_KEY" in record.error_text
    assert fleet.simulation.agent_state("node1", server.uuid).password_sets == 0


def test_password_is_set_and_kept_nowhere(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    record = fleet.submit("change-password", server, adminPass="s3cret-word").record
    assert "s3cret-word" not in str(ActionRecord.objects.values().get(pk=record.pk))
    fleet.work()
    record.refresh_from_db()
    assert (record.status, record.sealed) == (ActionStatus.SUCCEEDED, "")
    assert fleet.simulation.agent_state("node1", server.uuid).password_sets == 1


def test_lock_keeps_everybody_but_admins_out(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    fleet.do("lock", server, locked_reason="audit")
    server.refresh_from_db()
    assert server.locked_by == "owner"

    with pytest.raises(Conflict, match="is locked"):
        submit(registry["migrate"], str(server.uuid), {}, fleet.context("manager"))
    fleet.do("unlock", server)
    submit(registry["migrate"], str(server.uuid), {}, fleet.context("manager"))


def test_stranger_is_told_that_there_is_no_such_server(fleet: SmallFleet) -> None:

    server = fleet.add_server()
    stranger = Context("x", "elsewhere", frozenset({"manager", "member", "reader"}))
    with pytest.raises(InstanceMissing):
        submit(registry["migrate"], str(server.uuid), {}, stranger)
    with pytest.raises(NotPermitted, match="os-migrate-server:migrate"):
        submit(registry["migrate"], str(server.uuid), {}, fleet.context("member"))


def test_reset_takes_a_running_move_over(fleet: SmallFleet, virtual_clock: VirtualClock) -> None:
    server = fleet.add_server()
    fleet.simulation.set_hold("live_migration", "node1")
    done = []

    def reset_once() -> None:
        if not done and Migration.objects.filter(status="running").exists():
            done.append(fleet.submit("reset-state", server, state="error"))

    virtual_clock.on_sleep = reset_once
    action = fleet.do("live-migration", server, host=None, block_migration="auto")
    state = fleet.state(server)
    assert done and action.status == ActionStatus.CANCELLED
    assert (state["vm_state"], state["task_state"], state["host"]) == ("error", "", "node1")
    assert (state["runs_on"], state["server_charged_on"], state["migration_charged_on"]) == (
        "node1",
        ["node1"],
        [],
    )
    assert state["migrations"][0][0] == "cancelled"


@pytest.mark.parametrize(("slug", "host"), [("abort-migration", "node1"), ("force-complete", "node2")])
def test_running_move_is_aborted_or_forced(
    fleet: SmallFleet, virtual_clock: VirtualClock, slug: str, host: str
) -> None:

    server = fleet.add_server()
    fleet.simulation.set_hold("live_migration", "node1")
    asked = []

    def ask_once() -> None:
        running = Migration.objects.filter(status="running").first()
        if running and not asked:
            asked.append(fleet.submit(slug, server, migration=running.pk).record)
            run_until_idle(wait=False)

    virtual_clock.on_sleep = ask_once
    action = fleet.do("live-migration", server, host=None, block_migration="auto")
    state = fleet.state(server)
    assert (state["host"], state["runs_on"], state["task_state"]) == (host, host, "")
    assert action.status == (ActionStatus.CANCELLED if host == "node1" else ActionStatus.SUCCEEDED)
    asked[0].refresh_from_db()
    assert asked[0].status == ActionStatus.SUCCEEDED
    assert state["open_events"] == 0 and action.message == ""


@pytest.mark.parametrize(
    ("slug", "verb", "host"),
    [
        ("abort-migration", "live_migration_abort", "node1"),
        ("force-complete", "live_migration_force_complete", "node2"),
    ],
)
def test_hypervisor_that_refuses_what_was_asked_of_a_move_is_asked_again_and_the_move_goes_on(
    fleet: SmallFleet, virtual_clock: VirtualClock, slug: str, verb: str, host: str
) -> None:
    server = fleet.add_server()
    fleet.simulation.set_hold("live_migration", "node1")
    fleet.simulation.set_fault(verb, "node1", error="DriverFault", args={"message": "not now"}, times=2)
    asked = []

    def ask_once() -> None:
        running = Migration.objects.filter(status="running").first()
        if running and not asked:
            asked.append(fleet.submit(slug, server, migration=running.pk).record)
            run_until_idle(wait=False)

    virtual_clock.on_sleep = ask_once
    action = fleet.do("live-migration", server, host=None, block_migration="auto")
    state = fleet.state(server)
    assert (state["host"], state["runs_on"], state["task_state"]) == (host, host, "")
    assert action.status == (ActionStatus.CANCELLED if host == "node1" else ActionStatus.SUCCEEDED)
    asked[0].refresh_from_db()
    assert asked[0].status == ActionStatus.FAILED and "not now" in asked[0].error_text


def test_one_migration_at_a_time_leaves_a_host(fleet: SmallFleet) -> None:
    servers = [fleet.add_server(f"web{n}") for n in range(3)]
    for server in servers:
        fleet.submit("live-migration", server, host=None, block_migration="auto")
    fleet.work()
    assert all(fleet.state(server)["host"] != "node1" for server in servers)
    moves = list(Migration.objects.order_by("finished_at"))
    assert all(a.finished_at <= b.finished_at for a, b in pairwise(moves))


def test_host_that_does_not_answer_leaves_the_outcome_unknown_until_it_does(
    fleet: SmallFleet, virtual_clock: VirtualClock
) -> None:
    server = fleet.add_server()
    record = fleet.submit("live-migration", server, host=None, block_migration="auto").record
    fleet.simulation.set_fault("live_migration", "node1", mode="hang_after", hang_limit_s=1, times=1)

    run_until_idle(wait=False)
    record.refresh_from_db()
    assert record.status == ActionStatus.UNKNOWN
    Server.objects.filter(pk=server.pk).update(task_state="")
    with pytest.raises(Conflict, match="unresolved action"):
        fleet.submit("migrate", server)
    Server.objects.filter(pk=server.pk).update(task_state="migrating")
    fleet.work()
    record.refresh_from_db()
    assert record.status == ActionStatus.SUCCEEDED
    state = fleet.state(server)
    assert (state["host"], state["runs_on"]) == ("node2", "node2")


def test_a_live_move_of_a_guest_that_somebody_has_moved_already_removes_nothing(fleet: SmallFleet) -> None:
    server = fleet.add_server(storage="local")
    fleet.simulation.stop_guest("node1", server.pk, PowerState.SHUTDOWN)
    fleet.simulation.add_guest("node2", guest_of(server), PowerState.RUNNING)
    record = fleet.do("live-migration", server, host="node2", block_migration="auto")
    assert record.status == ActionStatus.SUCCEEDED
    assert fleet.simulation.defined_on(server.uuid) == ["node1", "node2"]
    assert "already" in record.result["left_behind"]


def test_request_that_is_overtaken_during_its_checks_is_accepted_and_its_end_is_the_workers(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fleet.add_server()
    checkpoint = WorkingTask.checkpoint
    reset: list[object] = []

    def somebody_resets(task: WorkingTask) -> None:
        if not reset:
            reset.append(fleet.submit("reset-state", server, state="active"))
        checkpoint(task)

    monkeypatch.setattr(WorkingTask, "checkpoint", somebody_resets)
    record = fleet.submit("live-migration", server, version="2.30", block_migration="auto", host=None).record
    assert record.status == ActionStatus.QUEUED
    fleet.work()
    record.refresh_from_db()
    assert record.status == ActionStatus.CANCELLED


def test_no_worker_takes_the_checks_for_which_a_caller_waits(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, swept = accepting.carry_out_in_request, []

    def sweep_first(lease: Lease) -> None:
        swept.append(sweep())
        begin(lease)

    monkeypatch.setattr(accepting, "carry_out_in_request", sweep_first)
    fleet.submit("live-migration", fleet.add_server(), version="2.30", block_migration="auto", host=None)
    assert swept == [0]
