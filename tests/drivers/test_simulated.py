"""The simulated driver keeps the promises, and its truth has the rules of a real one."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from servers.drivers.base import HostRef, JobKind, MoveOptions, Nic, Progress
from servers.drivers.simulated import POLL_S, Fleet
from servers.drivers.simulated.store import SCHEMA
from servers.errors import (
    AgentNotReady,
    AgentUnavailable,
    BackupFailed,
    DiskMoveRolledBack,
    DriverFault,
    GuestNotFound,
    GuestOnTwoHosts,
    HypervisorUnavailable,
    MigrationFailed,
)
from servers.states import PowerState
from tests.drivers.contract import (
    DriverContract,
    Interrupted,
    agent,
    backup,
    cold,
    ignore,
    let_go,
    live,
    move,
    move_cold,
    once,
    power,
    power_of,
    prepare,
)
from tests.drivers.fence_contract import FenceContract
from tests.drivers.fences import ANOTHER, Trusting
from tests.drivers.fleet import DISKLESS, GUEST, MIB, SimulatedLab


class TestSimulatedDriver(DriverContract, FenceContract):
    """The reference."""


# where the truth is


def test_a_host_is_known_by_the_path_of_its_uri(lab: SimulatedLab) -> None:
    renamed = HostRef("rack 7", "simulated", "simulated:///node1")
    assert lab.driver(renamed).describe().hostname == "node1"


def test_a_host_without_uri_is_known_by_its_name(lab: SimulatedLab) -> None:
    assert lab.driver(HostRef("node2", "simulated", "")).describe().hostname == "node2"


def test_a_host_that_nobody_added_does_not_answer(lab: SimulatedLab) -> None:
    with pytest.raises(HypervisorUnavailable):
        lab.driver(HostRef("node9", "simulated", "simulated:///node9")).describe()


def test_a_store_that_cannot_be_read_is_a_host_that_does_not_answer(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "store")
    host = fleet.add_host("node1")
    driver = fleet.driver(host, Trusting())
    fleet.path.unlink()
    fleet.path.mkdir()
    with pytest.raises(HypervisorUnavailable, match="store"):
        driver.describe()


def test_adding_a_host_again_keeps_its_guests(lab: SimulatedLab) -> None:
    lab.fleet.add_host("node1", memory_mb=1024)
    assert lab.driver(lab.source).describe().memory_mb == 1024
    assert power(lab, lab.source) is PowerState.RUNNING


def test_a_guest_needs_a_pool_for_its_disk(lab: SimulatedLab) -> None:
    elsewhere = replace(GUEST, uuid=uuid4(), disks=(replace(GUEST.disks[0], pool="fast"),))
    with pytest.raises(ValueError, match="fast"):
        lab.fleet.add_guest("node1", elsewhere)


def test_a_guest_is_not_added_twice(lab: SimulatedLab) -> None:
    with pytest.raises(ValueError, match="already"):
        lab.fleet.add_guest("node1", GUEST)


def test_a_guest_cannot_be_made_to_run_twice(lab: SimulatedLab) -> None:
    with pytest.raises(GuestOnTwoHosts, match="node1"):
        lab.fleet.add_guest("node2", GUEST, PowerState.PAUSED)


def test_a_shut_down_copy_may_lie_on_another_host(lab: SimulatedLab) -> None:
    lab.fleet.add_guest("node2", GUEST, PowerState.SHUTDOWN)
    assert lab.fleet.defined_on(GUEST.uuid) == ["node1", "node2"]
    with pytest.raises(GuestOnTwoHosts, match="node1 and node2"):
        lab.fleet.start_guest("node2", GUEST)


def test_what_the_disks_use_is_not_available(lab: SimulatedLab) -> None:
    (pool,) = lab.driver(lab.source).describe().pools
    assert pool.capacity_bytes - pool.available_bytes == 64 * MIB


# live migration


def test_a_paused_guest_is_moved_paused(lab: SimulatedLab) -> None:
    lab.wait(3)
    lab.fleet.stop_guest("node1", GUEST.uuid, PowerState.PAUSED)
    before = lab.heartbeat()
    move(lab)
    lab.wait(5)
    assert power(lab, lab.destination) is PowerState.PAUSED
    assert lab.heartbeat() == before > 0


def test_a_guest_that_is_off_is_not_moved_live(lab: SimulatedLab) -> None:
    lab.fleet.stop_guest("node1", GUEST.uuid)
    with pytest.raises(MigrationFailed, match="does not run"):
        move(lab)


def test_a_guest_that_crashes_on_its_way_ends_the_move(lab: SimulatedLab) -> None:
    crash = once(lambda: lab.fleet.stop_guest("node1", GUEST.uuid, PowerState.CRASHED))
    with pytest.raises(MigrationFailed, match="stopped"):
        move(lab, crash)
    assert lab.fleet.power_state("node1", GUEST.uuid) is PowerState.CRASHED


def test_a_guest_that_nobody_knows_cannot_be_moved(lab: SimulatedLab) -> None:
    stranger = replace(GUEST, uuid=uuid4())
    with pytest.raises(GuestNotFound):
        live(lab, lab.source).move(stranger, lab.destination, lab.slow, ignore, block_migration=True)


def test_a_guest_does_not_move_to_a_host_that_was_not_prepared(lab: SimulatedLab) -> None:
    with pytest.raises(MigrationFailed, match="not prepared"):
        live(lab, lab.source).move(GUEST, lab.destination, lab.slow, ignore, block_migration=True)


def test_local_disks_do_not_follow_by_themselves(lab: SimulatedLab) -> None:
    prepare(lab)
    with pytest.raises(MigrationFailed, match="disks"):
        live(lab, lab.source).move(GUEST, lab.destination, lab.slow, ignore, block_migration=False)


def test_shared_disks_are_not_copied(lab: SimulatedLab) -> None:
    lab.share_disks()
    before = lab.fleet.disk_md5("node1", GUEST.uuid)
    live(lab, lab.destination).prepare(GUEST, lab.source, block_migration=False)
    moved = live(lab, lab.source).move(GUEST, lab.destination, lab.slow, ignore, block_migration=False)
    live(lab, lab.source).clean_source(GUEST)
    assert moved.disk_bytes == 0
    assert lab.fleet.disk_md5("node2", GUEST.uuid) == before


def test_discarding_leaves_a_shared_disk_to_its_guest(lab: SimulatedLab) -> None:
    lab.share_disks()
    live(lab, lab.destination).prepare(GUEST, lab.source, block_migration=False)
    live(lab, lab.destination).discard(GUEST)
    assert lab.fleet.disk_md5("node1", GUEST.uuid) is not None


def test_a_guest_goes_to_one_destination_at_a_time(lab: SimulatedLab) -> None:
    third = lab.fleet.add_host("node3")
    with pytest.raises(Interrupted):
        move(lab, let_go)
    live(lab, third).prepare(GUEST, lab.source, block_migration=True)
    with pytest.raises(MigrationFailed, match="another job"):
        live(lab, lab.source).move(GUEST, third, lab.slow, ignore, block_migration=True)


def test_a_move_ends_without_anybody_watching(lab: SimulatedLab) -> None:
    with pytest.raises(Interrupted):
        move(lab, let_go)
    lab.wait(60)
    found = lab.driver(lab.destination).find_guest(GUEST.uuid)
    assert found is not None
    assert found.power_state is PowerState.RUNNING
    assert lab.fleet.defined_on(GUEST.uuid) == ["node2"]


def test_who_asks_for_a_move_that_ended_unseen_is_told_its_measures(lab: SimulatedLab) -> None:
    with pytest.raises(Interrupted):
        move(lab, let_go)
    lab.wait(60)
    moved = live(lab, lab.source).move(GUEST, lab.destination, lab.slow, ignore, block_migration=True)
    assert moved.memory_bytes >= 512 * MIB
    assert moved.downtime_ms > 0


def test_the_memory_stands_still_for_the_pause_alone(lab: SimulatedLab) -> None:
    lab.make_busy()
    start = lab.heartbeat()
    beats: list[int] = []

    def watch(progress: Progress) -> None:
        beats.append(lab.heartbeat())
        if len(beats) == 3:
            live(lab, lab.source).force_complete(GUEST)

    moved = move(lab, watch)
    assert beats == sorted(beats)
    elapsed_beats = (len(beats) - 1) * POLL_S * 10
    assert lab.heartbeat() - start == pytest.approx(elapsed_beats - moved.downtime_ms / 100, abs=2)


def test_a_guest_whose_forced_pause_is_aborted_goes_on(lab: SimulatedLab) -> None:
    lab.make_busy()
    with pytest.raises(Interrupted):
        move(lab, let_go)
    live(lab, lab.source).force_complete(GUEST)
    still = lab.heartbeat()
    lab.wait(2)
    assert lab.heartbeat() == still
    assert live(lab, lab.source).abort(GUEST)
    lab.wait(2)
    assert lab.heartbeat() == still + 20


def test_a_move_that_has_ended_is_not_aborted(lab: SimulatedLab) -> None:
    with pytest.raises(Interrupted):
        move(lab, let_go)
    lab.wait(60)
    assert live(lab, lab.source).abort(GUEST) is False
    assert lab.fleet.running_on(GUEST.uuid) == "node2"


def test_after_post_copy_has_begun_there_is_no_way_back(lab: SimulatedLab) -> None:
    lab.make_busy()
    with pytest.raises(Interrupted):
        move(lab, let_go, replace(lab.slow, post_copy=True))
    live(lab, lab.source).force_complete(GUEST)
    lab.wait(0.1)
    assert lab.fleet.running_on(GUEST.uuid) == "node2"
    assert lab.fleet.job_of(GUEST) is not None
    assert live(lab, lab.source).abort(GUEST) is False
    with pytest.raises(GuestOnTwoHosts):
        live(lab, lab.destination).discard(GUEST)


def test_discarding_the_destination_ends_the_move_to_it(lab: SimulatedLab) -> None:
    with pytest.raises(Interrupted):
        move(lab, let_go)
    live(lab, lab.destination).discard(GUEST)
    lab.wait(60)
    assert lab.fleet.job_of(GUEST) is None
    assert lab.fleet.running_on(GUEST.uuid) == "node1"


def test_cleaning_a_source_spares_a_guest_that_is_on_its_way_back(lab: SimulatedLab) -> None:
    move(lab)
    live(lab, lab.source).prepare(GUEST, lab.destination, block_migration=True)
    live(lab, lab.source).clean_source(GUEST)
    live(lab, lab.destination).move(GUEST, lab.source, lab.slow, ignore, block_migration=True)
    assert lab.fleet.running_on(GUEST.uuid) == "node1"


def test_cleaning_a_source_spares_the_only_copy_of_a_guest(lab: SimulatedLab) -> None:
    lab.fleet.stop_guest("node1", GUEST.uuid)
    live(lab, lab.source).clean_source(GUEST)
    assert lab.fleet.defined_on(GUEST.uuid) == ["node1"]


def test_an_old_copy_at_the_destination_is_for_a_person_to_decide(lab: SimulatedLab) -> None:
    lab.fleet.add_guest("node2", GUEST, PowerState.SHUTDOWN)
    with pytest.raises(GuestOnTwoHosts):
        prepare(lab)


def test_the_job_names_the_destination_as_the_caller_does(lab: SimulatedLab) -> None:
    renamed = HostRef("rack 8", "simulated", "simulated:///node2")
    prepare(lab)
    with pytest.raises(Interrupted):
        live(lab, lab.source).move(GUEST, renamed, lab.slow, let_go, block_migration=True)
    found = lab.driver(lab.source).find_guest(GUEST.uuid)
    assert found is not None
    assert (found.job, found.job_destination) == (JobKind.LIVE_MIGRATION, "rack 8")


def test_a_held_move_does_not_end_by_itself(lab: SimulatedLab) -> None:
    lab.fleet.set_hold("live_migration", "node1")
    with pytest.raises(Interrupted):
        move(lab, let_go, replace(lab.slow, completion_timeout_s=10, auto_converge=True))
    lab.wait(86_400)
    assert lab.fleet.running_on(GUEST.uuid) == "node1"
    assert lab.fleet.job_of(GUEST) is not None
    assert live(lab, lab.source).force_complete(GUEST)
    lab.wait(60)
    assert lab.fleet.running_on(GUEST.uuid) == "node2"


def test_a_held_move_ends_by_an_abort(lab: SimulatedLab) -> None:
    lab.fleet.set_hold("live_migration", "node1", until=["abort"])
    with pytest.raises(Interrupted):
        move(lab, let_go)
    assert live(lab, lab.source).force_complete(GUEST) is False
    assert live(lab, lab.source).abort(GUEST)
    assert lab.fleet.job_of(GUEST) is None


def test_only_a_move_can_be_held(lab: SimulatedLab) -> None:
    with pytest.raises(ValueError, match="snapshot"):
        lab.fleet.set_hold("snapshot", "node1")


# cold migration


def test_a_stopped_guest_is_moved_cold(lab: SimulatedLab) -> None:
    lab.fleet.stop_guest("node1", GUEST.uuid)
    assert move_cold(lab, power_on=False) is PowerState.SHUTDOWN


def test_a_cold_move_takes_as_long_as_its_disks_are_large(lab: SimulatedLab) -> None:
    lab.fleet.add_host("node1", bandwidth_bytes_s=8 * MIB)
    seen: list[Progress] = []
    cold(lab, lab.source).move_disk_and_power_off(GUEST, lab.destination, seen.append)
    assert len(seen) - 1 == pytest.approx(64 / 8 / POLL_S, abs=1)
    assert seen[-1].disk_remaining_bytes == 0


def test_a_guest_whose_disks_cannot_be_moved_is_as_it_was(lab: SimulatedLab) -> None:
    lab.fleet.lose_host("node2")
    with pytest.raises(DiskMoveRolledBack, match="does not answer"):
        cold(lab, lab.source).move_disk_and_power_off(GUEST, lab.destination, ignore)
    assert power(lab, lab.source) is PowerState.RUNNING


def test_a_guest_whose_copy_broke_off_is_started_again(lab: SimulatedLab) -> None:
    with pytest.raises(DiskMoveRolledBack, match="node2 was lost"):
        cold(lab, lab.source).move_disk_and_power_off(
            GUEST, lab.destination, once(lambda: lab.fleet.lose_host("node2"))
        )
    assert power(lab, lab.source) is PowerState.RUNNING
    assert lab.fleet.disk_md5("node2", GUEST.uuid) is None


def test_what_the_guest_wrote_since_an_old_copy_is_copied_anew(lab: SimulatedLab) -> None:
    cold(lab, lab.source).move_disk_and_power_off(GUEST, lab.destination, ignore)
    cold(lab, lab.source).finish_revert(GUEST, power_on=True)
    lab.fleet.write_disk("node1", GUEST.uuid, "newer")
    power_of(lab, lab.source).power_off(GUEST)
    lab.driver(lab.destination).disown(GUEST)
    cold(lab, lab.source, Trusting(ANOTHER)).move_disk_and_power_off(GUEST, lab.destination, ignore)
    assert lab.disk_md5(lab.destination) == lab.disk_md5(lab.source)


def test_a_guest_is_not_finished_without_its_disks(lab: SimulatedLab) -> None:
    with pytest.raises(DriverFault, match="disks"):
        cold(lab, lab.destination).finish(GUEST, lab.source, power_on=True)
    assert lab.fleet.defined_on(GUEST.uuid) == ["node1"]


def test_a_guest_is_not_finished_over_empty_disks(lab: SimulatedLab) -> None:
    lab.fleet.stop_guest("node1", GUEST.uuid)
    prepare(lab)
    with pytest.raises(DriverFault, match="disks"):
        cold(lab, lab.destination).finish(GUEST, lab.source, power_on=True)


def test_a_guest_is_not_finished_while_it_is_on_its_way(lab: SimulatedLab) -> None:
    lab.share_disks()
    with pytest.raises(Interrupted):
        move(lab, let_go)
    with pytest.raises(DriverFault, match="disks"):
        cold(lab, lab.destination).finish(GUEST, lab.source, power_on=False)


def test_disks_are_not_copied_over_those_of_another_copy(lab: SimulatedLab) -> None:
    lab.fleet.add_guest("node2", GUEST, PowerState.SHUTDOWN)
    with pytest.raises(DiskMoveRolledBack, match="has a copy"):
        cold(lab, lab.source).move_disk_and_power_off(GUEST, lab.destination, ignore)
    assert power(lab, lab.source) is PowerState.RUNNING


def test_a_revert_takes_back_what_was_written_at_the_destination(lab: SimulatedLab) -> None:
    before = lab.disk_md5(lab.source)
    move_cold(lab)
    lab.fleet.write_disk("node2", GUEST.uuid, "newer")
    cold(lab, lab.destination).discard(GUEST)
    cold(lab, lab.source).finish_revert(GUEST, power_on=True)
    assert lab.disk_md5(lab.source) == before


def test_a_copy_under_way_ends_when_the_guest_is_brought_back(lab: SimulatedLab) -> None:
    with pytest.raises(Interrupted):
        cold(lab, lab.source).move_disk_and_power_off(GUEST, lab.destination, let_go)
    cold(lab, lab.destination).discard(GUEST)
    assert cold(lab, lab.source).finish_revert(GUEST, power_on=True) is PowerState.RUNNING
    assert lab.fleet.job_of(GUEST) is None


def test_a_guest_loses_its_memory_in_a_cold_move(lab: SimulatedLab) -> None:
    lab.wait(100)
    before = lab.heartbeat()
    move_cold(lab)
    assert lab.heartbeat() < before
    assert lab.fleet.boots("node2", GUEST.uuid) == 1


# backups


def test_backups_of_an_unchanged_disk_are_equal(lab: SimulatedLab, tmp_path: Path) -> None:
    first = backup(lab).snapshot(GUEST, str(tmp_path / "one"), ignore)
    second = backup(lab).snapshot(GUEST, str(tmp_path / "two"), ignore)
    assert first.sha256 == second.sha256


def test_backups_of_a_changed_disk_differ(lab: SimulatedLab, tmp_path: Path) -> None:
    first = backup(lab).snapshot(GUEST, str(tmp_path / "one"), ignore)
    lab.fleet.write_disk("node1", GUEST.uuid, "newer")
    second = backup(lab).snapshot(GUEST, str(tmp_path / "one"), ignore)
    assert first.sha256 != second.sha256


def test_a_backup_holds_the_disk_as_it_was_when_it_began(lab: SimulatedLab, tmp_path: Path) -> None:
    first = backup(lab).snapshot(GUEST, str(tmp_path / "one"), ignore)
    change = once(lambda: lab.fleet.write_disk("node1", GUEST.uuid, "newer"))
    assert backup(lab).snapshot(GUEST, str(tmp_path / "two"), change).sha256 == first.sha256


def test_a_backup_reports_the_bytes_of_the_disk_but_writes_few(lab: SimulatedLab, tmp_path: Path) -> None:
    lab.fleet.add_host("node1", disk_bytes_s=16 * MIB)
    seen: list[Progress] = []
    snapshot = backup(lab).snapshot(GUEST, str(tmp_path / "one"), seen.append)
    assert seen[-1].disk_processed_bytes == seen[-1].disk_total_bytes == 64 * MIB
    assert len(seen) - 1 == pytest.approx(4 / POLL_S, abs=1)
    assert snapshot.size_bytes == MIB


def test_a_backup_that_ended_unseen_is_handed_over(lab: SimulatedLab, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        backup(lab).snapshot(GUEST, str(tmp_path / "one"), let_go)
    lab.fleet.write_disk("node1", GUEST.uuid, "newer")
    lab.wait(60)
    unseen = backup(lab).snapshot(GUEST, str(tmp_path / "one"), ignore)
    assert unseen.sha256 != backup(lab).snapshot(GUEST, str(tmp_path / "one"), ignore).sha256


def test_a_backup_to_another_file_takes_the_place_of_a_left_one(lab: SimulatedLab, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        backup(lab).snapshot(GUEST, str(tmp_path / "one"), let_go)
    lab.fleet.write_disk("node1", GUEST.uuid, "newer")
    second = backup(lab).snapshot(GUEST, str(tmp_path / "two"), ignore)
    assert lab.fleet.job_of(GUEST) is None
    assert second.sha256 == backup(lab).snapshot(GUEST, str(tmp_path / "three"), ignore).sha256


def test_without_an_agent_a_backup_of_a_running_guest_is_not_consistent(
    lab: SimulatedLab, tmp_path: Path
) -> None:
    lab.fleet.set_agent(GUEST.uuid, "none")
    assert not backup(lab).snapshot(GUEST, str(tmp_path / "one"), ignore).consistent


def test_a_guest_without_disks_has_no_backup(lab: SimulatedLab, tmp_path: Path) -> None:
    lab.fleet.add_guest("node1", DISKLESS)
    with pytest.raises(BackupFailed, match="no disk"):
        backup(lab).snapshot(DISKLESS, str(tmp_path / "one"), ignore)


# the agent


def test_a_guest_is_told_all_of_its_network(lab: SimulatedLab) -> None:
    answer = agent(lab).inject_network_info(GUEST)
    (nic,) = lab.fleet.agent_state("node1", GUEST.uuid).nics
    assert nic["addresses"] == ["192.0.2.10/24"]
    assert nic["routes"] == [{"destination": "198.51.100.0/24", "gateway": "192.0.2.2"}]
    assert answer["format"] == "simulated"
    assert answer["interfaces"][0]["dns"] == ("192.0.2.53",)


def test_a_network_reset_is_counted(lab: SimulatedLab) -> None:
    agent(lab).reset_network(GUEST)
    assert lab.fleet.agent_state("node1", GUEST.uuid).network_resets == 1


def test_a_password_is_not_kept(lab: SimulatedLab) -> None:
    agent(lab).set_admin_password(GUEST, "correct horse")
    state = lab.fleet.agent_state("node1", GUEST.uuid)
    assert state.password_sets == 1
    assert state.password_sha256 == hashlib.sha256(b"correct horse").hexdigest()
    assert b"correct horse" not in b"".join(
        f.read_bytes() for f in lab.fleet.path.parent.iterdir() if f.is_file()
    )


def test_what_the_agent_was_told_moves_with_the_guest(lab: SimulatedLab) -> None:
    agent(lab).inject_network_info(GUEST)
    move(lab)
    assert lab.fleet.agent_state("node2", GUEST.uuid).nics


def test_what_the_agent_was_told_outlasts_a_cold_move(lab: SimulatedLab) -> None:
    agent(lab).inject_network_info(GUEST)
    move_cold(lab)
    assert lab.fleet.agent_state("node2", GUEST.uuid).nics


def test_a_guest_without_an_agent_cannot_be_told_anything(lab: SimulatedLab) -> None:
    lab.fleet.set_agent(GUEST.uuid, "none")
    with pytest.raises(AgentUnavailable, match="Install"):
        agent(lab).inject_network_info(GUEST)


def test_a_booting_guest_is_asked_again_later(lab: SimulatedLab) -> None:
    lab.fleet.set_agent(GUEST.uuid, "booting")
    with pytest.raises(AgentNotReady):
        agent(lab).reset_network(GUEST)


def test_an_agent_needs_its_time_after_a_start(lab: SimulatedLab) -> None:
    slow = replace(DISKLESS, name="slow")
    lab.fleet.add_guest("node1", slow, PowerState.SHUTDOWN, agent=True, agent_boot_s=30)
    lab.fleet.start_guest("node1", slow)
    with pytest.raises(AgentNotReady):
        agent(lab).reset_network(slow)
    lab.wait(30)
    assert agent(lab).reset_network(slow)


def test_a_guest_that_is_off_cannot_be_told_anything(lab: SimulatedLab) -> None:
    lab.fleet.stop_guest("node1", GUEST.uuid)
    with pytest.raises(AgentUnavailable, match="does not run"):
        agent(lab).set_admin_password(GUEST, "secret")


def test_the_fleet_makes_a_move_without_options(lab: SimulatedLab) -> None:
    assert move(lab, options=MoveOptions()).disk_bytes == 64 * MIB


def test_found_guest_says_which_interfaces_its_definition_has_wherever_it_goes(lab: SimulatedLab) -> None:
    defined = (Nic("52:54:00:00:00:01", "blue"),)
    found = lab.driver(lab.source).find_guest(GUEST.uuid)
    assert found is not None and found.nics == defined
    live(lab, lab.destination).prepare(GUEST, lab.source, block_migration=True)
    live(lab, lab.source).move(GUEST, lab.destination, MoveOptions(), ignore, block_migration=True)
    moved = lab.driver(lab.destination).find_guest(GUEST.uuid)
    assert moved is not None and moved.nics == defined


def test_store_of_an_earlier_version_is_completed_when_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(SCHEMA)
    lab = SimulatedLab(path)
    found = lab.driver(lab.source).find_guest(GUEST.uuid)
    assert found is not None and len(found.nics) == 1
