"""What every driver has to keep of the promises in `servers/drivers/base.py`, whatever hypervisor is behind it.

A test module makes a fixture `lab` and a subclass of DriverContract.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Protocol
from uuid import UUID

import pytest

from servers.drivers.base import (
    ABILITIES,
    Backup,
    ColdMigration,
    Driver,
    Fence,
    FoundGuest,
    Guest,
    GuestAgent,
    HostRef,
    JobKind,
    LiveMigration,
    Moved,
    MoveOptions,
    OnProgress,
    Power,
    Progress,
    Restore,
    Saved,
)
from servers.errors import (
    BackupFailed,
    BelongsToAnother,
    DriverFault,
    GuestNotFound,
    GuestOnTwoHosts,
    MigrationAborted,
    RestoreFailed,
    UnableToMigrateToSelf,
)
from servers.states import PowerState
from tests.drivers.fences import ANOTHER, Trusting
from tests.drivers.storable import storable


class Lab(Protocol):
    """Two hosts with local disks, and a guest with an agent that runs on `source`."""

    source: HostRef
    destination: HostRef
    guest: Guest
    slow: MoveOptions
    """Options with which a move takes some seconds."""

    def driver(self, host: HostRef, fence: Fence | None = None) -> Driver:
        """Return a new driver, as another process would have it, opened in the name of `fences.OWNER` if none is given."""
        ...

    def heartbeat(self) -> int:
        """Return a counter that goes on in the guest's memory while it runs."""
        ...

    def is_beating(self) -> bool:
        """Return whether the counter goes on while it is looked at for some seconds."""
        ...

    def disk_md5(self, host: HostRef, guest: UUID | None = None) -> str | None:
        """Return the md5 sum of a guest's root disk on a host: of the lab's guest, or of one that was restored."""
        ...

    def make_busy(self) -> None:
        """Let the guest write to its memory faster than a slow move can send it."""
        ...

    def wait(self, seconds: float) -> None: ...


class Interrupted(Exception):
    """What a worker's on_progress raises when it has to let go."""


def ignore(progress: Progress) -> None:
    """Take no notice."""


def let_go(progress: Progress) -> None:
    """Stop watching at the first news."""
    raise Interrupted


def once(do: Callable[[], object]) -> OnProgress:
    """Return an on_progress that does something at the first news."""
    done: list[object] = []

    def on_progress(progress: Progress) -> None:
        if not done:
            done.append(do())

    return on_progress


def until_taken(ask: Callable[[], bool]) -> OnProgress:
    """Return an on_progress that asks for something with all news until it is taken."""
    taken: list[bool] = []

    def on_progress(progress: Progress) -> None:
        if not any(taken):
            taken.append(ask())

    return on_progress


def live(lab: Lab, host: HostRef, fence: Fence | None = None) -> LiveMigration:
    ability = lab.driver(host, fence).live_migration
    assert ability is not None
    return ability


def cold(lab: Lab, host: HostRef, fence: Fence | None = None) -> ColdMigration:
    ability = lab.driver(host, fence).cold_migration
    assert ability is not None
    return ability


def verbs_of_a_guest() -> list[tuple[str, str]]:
    """Return ability and name of each verb that needs nothing but the guest: how it is called needs no table."""
    return [
        (name, verb)
        for name, ability in ABILITIES.items()
        for verb in sorted(ability.__abstractmethods__)
        if list(signature(getattr(ability, verb)).parameters) == ["self", "guest"]
    ]


def call(driver: Driver, ability: str, verb: str, guest: Guest) -> object:
    """Call a verb that needs nothing but the guest."""
    return getattr(getattr(driver, ability), verb)(guest)


def power_of(lab: Lab, host: HostRef, fence: Fence | None = None) -> Power:
    ability = lab.driver(host, fence).power
    assert ability is not None
    return ability


def backup(lab: Lab, fence: Fence | None = None) -> Backup:
    ability = lab.driver(lab.source, fence).backup
    assert ability is not None
    return ability


def restore(lab: Lab, fence: Fence | None = None) -> Restore:
    ability = lab.driver(lab.destination, fence).restore
    assert ability is not None
    return ability


RESTORED = UUID("99999999-2222-4333-8444-555555555555")


def new_guest(lab: Lab) -> Guest:
    """Return the guest that is to be made: another one, with a hardware address of its own."""
    nics = tuple(replace(nic, mac="52:54:00:00:00:99") for nic in lab.guest.nics)
    return replace(lab.guest, uuid=RESTORED, name="restored", disks=(), nics=nics)


def saved(lab: Lab, folder: Path) -> Saved:
    """Back the lab's guest up while it is off, so that its disk does not change any more; return the backup."""
    power_of(lab, lab.source).power_off(lab.guest)
    target = folder / "backup"
    made = backup(lab).snapshot(lab.guest, str(target), ignore)
    disk = lab.guest.disks[0]
    return Saved(
        lambda: iter([target.read_bytes()]),
        made.size_bytes,
        made.disk_format,
        made.sha256,
        made.definition,
        disk,
    )


def found_restored(lab: Lab) -> FoundGuest | None:
    return lab.driver(lab.destination).find_guest(RESTORED)


def agent(lab: Lab) -> GuestAgent:
    ability = lab.driver(lab.source).agent
    assert ability is not None
    return ability


def power(lab: Lab, host: HostRef) -> PowerState | None:
    """Return the guest's power state on a host, None where it is not defined."""
    found = lab.driver(host).find_guest(lab.guest.uuid)
    return None if found is None or found.prepared_only else found.power_state


def prepare(lab: Lab) -> None:
    live(lab, lab.destination).prepare(lab.guest, lab.source, block_migration=True)


def move(lab: Lab, on_progress: OnProgress = ignore, options: MoveOptions | None = None) -> Moved:
    """Move the guest with its disks, as an engine would."""
    prepare(lab)
    return live(lab, lab.source).move(
        lab.guest, lab.destination, options or lab.slow, on_progress, block_migration=True
    )


def move_cold(lab: Lab, fence: Fence | None = None, *, power_on: bool = True) -> PowerState:
    """Move the guest while it is off."""
    cold(lab, lab.source, fence).move_disk_and_power_off(lab.guest, lab.destination, ignore)
    return cold(lab, lab.destination, fence).finish(lab.guest, lab.source, power_on=power_on)


class HostContract:
    def test_a_host_says_what_it_is(self, lab: Lab) -> None:
        info = lab.driver(lab.source).describe()
        assert info.hypervisor_type
        assert info.hypervisor_version > 1_000_000
        assert info.vcpus > 0
        assert info.memory_mb > 0

    def test_a_guest_is_found_where_it_is_alone(self, lab: Lab) -> None:
        found = lab.driver(lab.source).find_guest(lab.guest.uuid)
        assert found is not None
        assert found.power_state is PowerState.RUNNING
        assert found.job is None
        assert found.agent
        assert lab.driver(lab.destination).find_guest(lab.guest.uuid) is None

    def test_a_host_lists_its_guests(self, lab: Lab) -> None:
        assert lab.guest.uuid in [g.uuid for g in lab.driver(lab.source).list_guests()]
        assert lab.guest.uuid not in [g.uuid for g in lab.driver(lab.destination).list_guests()]


class CheckContract:
    def test_checks_change_nothing(self, lab: Lab) -> None:
        offer = live(lab, lab.destination).check_destination(lab.guest, lab.source, lab.slow)
        assert live(lab, lab.source).check_source(lab.guest, offer, lab.slow)
        assert lab.driver(lab.destination).find_guest(lab.guest.uuid) is None
        assert power(lab, lab.source) is PowerState.RUNNING

    def test_a_host_is_no_destination_for_its_own_guest(self, lab: Lab) -> None:
        with pytest.raises(UnableToMigrateToSelf):
            live(lab, lab.source).check_destination(lab.guest, lab.source, lab.slow)


class LiveMigrationContract:
    def test_a_prepared_host_does_not_run_the_guest(self, lab: Lab) -> None:
        prepare(lab)
        assert power(lab, lab.destination) is None
        assert power(lab, lab.source) is PowerState.RUNNING

    def test_preparing_twice_is_preparing_once(self, lab: Lab) -> None:
        prepare(lab)
        prepare(lab)
        assert power(lab, lab.destination) is None

    def test_a_moved_guest_runs_at_its_destination_alone(self, lab: Lab) -> None:
        move(lab)
        assert power(lab, lab.destination) is PowerState.RUNNING
        assert power(lab, lab.source) is None

    def test_a_moved_guest_belongs_to_no_move_any_more(self, lab: Lab) -> None:
        move(lab)
        found = lab.driver(lab.destination).find_guest(lab.guest.uuid)
        assert found is not None
        assert found.owner == ""

    def test_a_moved_guest_keeps_its_memory(self, lab: Lab) -> None:
        lab.wait(2)
        before = lab.heartbeat()
        move(lab)
        assert lab.heartbeat() >= before > 0

    def test_a_moved_guest_keeps_its_disks(self, lab: Lab) -> None:
        before = lab.disk_md5(lab.source)
        move(lab)
        assert lab.disk_md5(lab.destination) == before

    def test_a_moved_guest_is_in_the_power_state_in_which_it_was(self, lab: Lab) -> None:
        before = power(lab, lab.source)
        move(lab)
        assert power(lab, lab.destination) is before

    def test_a_move_says_how_long_the_guest_stood_still_and_what_was_copied(self, lab: Lab) -> None:
        moved = move(lab)
        assert moved.downtime_ms > 0
        assert moved.memory_bytes > 0
        assert moved.disk_bytes > 0

    def test_progress_never_goes_backwards(self, lab: Lab) -> None:
        seen: list[Progress] = []
        move(lab, seen.append)
        memory = [p.memory_processed_bytes for p in seen]
        disks = [p.disk_processed_bytes for p in seen]
        rounds = [p.iteration for p in seen]
        assert len(seen) > 2
        assert memory == sorted(memory)
        assert disks == sorted(disks)
        assert rounds == sorted(rounds)

    def test_a_move_that_is_over_is_found_so(self, lab: Lab) -> None:
        first = move(lab)
        again = live(lab, lab.source).move(lab.guest, lab.destination, lab.slow, ignore, block_migration=True)
        assert again.memory_bytes in {first.memory_bytes, 0}
        assert power(lab, lab.destination) is PowerState.RUNNING

    def test_a_running_move_is_seen_on_the_guest(self, lab: Lab) -> None:
        with pytest.raises(Interrupted):
            move(lab, let_go)
        found = lab.driver(lab.source).find_guest(lab.guest.uuid)
        assert found is not None
        assert found.job is JobKind.LIVE_MIGRATION
        live(lab, lab.source).abort(lab.guest)

    def test_who_comes_after_a_dead_worker_attaches_to_its_move(self, lab: Lab) -> None:
        with pytest.raises(Interrupted):
            move(lab, let_go)
        lab.wait(1)
        seen: list[Progress] = []
        live(lab, lab.source).move(lab.guest, lab.destination, lab.slow, seen.append, block_migration=True)
        assert seen[0].memory_processed_bytes + seen[0].disk_processed_bytes > 0
        assert power(lab, lab.destination) is PowerState.RUNNING

    def test_an_aborted_move_leaves_the_guest_running_at_its_source(self, lab: Lab) -> None:
        lab.make_busy()
        with pytest.raises(MigrationAborted):
            move(lab, once(lambda: live(lab, lab.source).abort(lab.guest)))
        assert power(lab, lab.source) is PowerState.RUNNING
        assert power(lab, lab.destination) is None

    def test_after_an_aborted_move_the_guest_can_be_moved(self, lab: Lab) -> None:
        with pytest.raises(MigrationAborted):
            move(lab, once(lambda: live(lab, lab.source).abort(lab.guest)))
        live(lab, lab.destination).discard(lab.guest)
        move(lab)
        assert power(lab, lab.destination) is PowerState.RUNNING

    def test_nothing_is_aborted_where_nothing_runs(self, lab: Lab) -> None:
        assert live(lab, lab.source).abort(lab.guest) is False

    def test_nothing_is_forced_where_nothing_runs(self, lab: Lab) -> None:
        assert live(lab, lab.source).force_complete(lab.guest) is False

    def test_a_busy_guest_is_moved_when_it_is_forced(self, lab: Lab) -> None:
        lab.make_busy()
        move(lab, until_taken(lambda: live(lab, lab.source).force_complete(lab.guest)))
        assert power(lab, lab.destination) is PowerState.RUNNING
        assert power(lab, lab.source) is None

    def test_post_copy_moves_a_busy_guest_when_it_is_forced(self, lab: Lab) -> None:
        lab.make_busy()
        options = replace(lab.slow, post_copy=True)
        move(lab, until_taken(lambda: live(lab, lab.source).force_complete(lab.guest)), options)
        assert power(lab, lab.destination) is PowerState.RUNNING
        assert power(lab, lab.source) is None

    def test_an_overdue_move_is_aborted_when_that_is_wanted(self, lab: Lab) -> None:
        lab.make_busy()
        with pytest.raises(MigrationAborted):
            move(lab, options=replace(lab.slow, completion_timeout_s=2, timeout_action="abort"))
        assert power(lab, lab.source) is PowerState.RUNNING

    def test_an_overdue_move_is_forced_when_that_is_wanted(self, lab: Lab) -> None:
        lab.make_busy()
        move(lab, options=replace(lab.slow, completion_timeout_s=2, timeout_action="force_complete"))
        assert power(lab, lab.destination) is PowerState.RUNNING

    def test_discarding_removes_what_was_prepared(self, lab: Lab) -> None:
        prepare(lab)
        live(lab, lab.destination).discard(lab.guest)
        live(lab, lab.destination).discard(lab.guest)
        assert lab.driver(lab.destination).find_guest(lab.guest.uuid) is None
        assert lab.disk_md5(lab.destination) is None
        assert lab.disk_md5(lab.source) is not None

    def test_a_running_guest_is_not_discarded(self, lab: Lab) -> None:
        with pytest.raises(GuestOnTwoHosts):
            live(lab, lab.source).discard(lab.guest)
        assert power(lab, lab.source) is PowerState.RUNNING

    def test_the_source_is_cleaned_after_a_move(self, lab: Lab) -> None:
        move(lab)
        live(lab, lab.source).clean_source(lab.guest)
        live(lab, lab.source).clean_source(lab.guest)
        assert lab.disk_md5(lab.source) is None
        assert power(lab, lab.destination) is PowerState.RUNNING

    def test_a_running_guest_is_not_cleaned_away(self, lab: Lab) -> None:
        with suppress(DriverFault):
            live(lab, lab.source).clean_source(lab.guest)
        assert power(lab, lab.source) is PowerState.RUNNING
        assert lab.disk_md5(lab.source) is not None

    def test_a_guest_moves_there_and_back(self, lab: Lab) -> None:
        move(lab)
        live(lab, lab.source).clean_source(lab.guest)
        live(lab, lab.source).prepare(lab.guest, lab.destination, block_migration=True)
        live(lab, lab.destination).move(lab.guest, lab.source, lab.slow, ignore, block_migration=True)
        assert power(lab, lab.source) is PowerState.RUNNING
        assert power(lab, lab.destination) is None


class ColdMigrationContract:
    def test_a_guest_is_off_with_its_disks_on_both_hosts_after_they_were_copied(self, lab: Lab) -> None:
        cold(lab, lab.source).move_disk_and_power_off(lab.guest, lab.destination, ignore)
        assert power(lab, lab.source) is PowerState.SHUTDOWN
        assert lab.disk_md5(lab.source) == lab.disk_md5(lab.destination) is not None

    def test_moving_the_disks_twice_is_moving_them_once(self, lab: Lab) -> None:
        for _ in range(2):
            cold(lab, lab.source).move_disk_and_power_off(lab.guest, lab.destination, ignore)
        assert lab.disk_md5(lab.source) == lab.disk_md5(lab.destination)

    def test_who_comes_after_a_dead_worker_attaches_to_its_copy(self, lab: Lab) -> None:
        with pytest.raises(Interrupted):
            cold(lab, lab.source).move_disk_and_power_off(lab.guest, lab.destination, let_go)
        cold(lab, lab.source).move_disk_and_power_off(lab.guest, lab.destination, ignore)
        assert lab.disk_md5(lab.source) == lab.disk_md5(lab.destination)

    def test_a_finished_guest_runs_at_its_destination_alone(self, lab: Lab) -> None:
        assert move_cold(lab) is PowerState.RUNNING
        assert power(lab, lab.destination) is PowerState.RUNNING
        assert power(lab, lab.source) is PowerState.SHUTDOWN

    def test_a_guest_that_is_not_to_be_started_stays_off(self, lab: Lab) -> None:
        assert move_cold(lab, power_on=False) is PowerState.SHUTDOWN
        assert power(lab, lab.destination) is PowerState.SHUTDOWN

    def test_finishing_twice_starts_the_guest_once(self, lab: Lab) -> None:
        move_cold(lab)
        lab.wait(2)
        before = lab.heartbeat()
        assert cold(lab, lab.destination).finish(lab.guest, lab.source, power_on=True) is PowerState.RUNNING
        assert lab.heartbeat() >= before > 0

    def test_a_guest_is_not_started_while_it_runs_elsewhere(self, lab: Lab) -> None:
        move_cold(lab)
        with pytest.raises(GuestOnTwoHosts):
            cold(lab, lab.source).finish_revert(lab.guest, power_on=True)
        assert power(lab, lab.source) is PowerState.SHUTDOWN

    def test_confirming_removes_the_old_copy(self, lab: Lab) -> None:
        move_cold(lab)
        cold(lab, lab.source).confirm(lab.guest)
        cold(lab, lab.source).confirm(lab.guest)
        assert power(lab, lab.source) is None
        assert lab.disk_md5(lab.source) is None
        assert power(lab, lab.destination) is PowerState.RUNNING

    def test_a_running_guest_is_not_confirmed_away(self, lab: Lab) -> None:
        with suppress(DriverFault):
            cold(lab, lab.source).confirm(lab.guest)
        assert power(lab, lab.source) is PowerState.RUNNING

    def test_a_reverted_guest_runs_at_its_source_as_before(self, lab: Lab) -> None:
        before = lab.disk_md5(lab.source)
        move_cold(lab)
        for _ in range(2):
            cold(lab, lab.destination).discard(lab.guest)
            assert cold(lab, lab.source).finish_revert(lab.guest, power_on=True) is PowerState.RUNNING
        assert power(lab, lab.destination) is None
        assert lab.disk_md5(lab.destination) is None
        assert lab.disk_md5(lab.source) == before

    def test_a_reverted_guest_that_was_off_stays_off(self, lab: Lab) -> None:
        move_cold(lab)
        cold(lab, lab.destination).discard(lab.guest)
        assert cold(lab, lab.source).finish_revert(lab.guest, power_on=False) is PowerState.SHUTDOWN

    def test_a_guest_moves_again_after_it_was_reverted(self, lab: Lab) -> None:
        move_cold(lab)
        cold(lab, lab.destination).discard(lab.guest)
        cold(lab, lab.source).finish_revert(lab.guest, power_on=True)
        assert move_cold(lab, Trusting(ANOTHER)) is PowerState.RUNNING
        assert power(lab, lab.source) is PowerState.SHUTDOWN

    def test_a_guest_that_is_off_already_is_powered_off(self, lab: Lab) -> None:
        for _ in range(2):
            assert power_of(lab, lab.source).power_off(lab.guest) is PowerState.SHUTDOWN


class PowerContract:
    def test_a_paused_guest_stands_still_and_goes_on_where_it_was(self, lab: Lab) -> None:
        assert lab.is_beating()
        before = lab.heartbeat()
        for _ in range(2):
            assert power_of(lab, lab.source).pause(lab.guest) is PowerState.PAUSED
        assert power(lab, lab.source) is PowerState.PAUSED
        assert not lab.is_beating()
        for _ in range(2):
            assert power_of(lab, lab.source).unpause(lab.guest) is PowerState.RUNNING
        assert lab.is_beating()
        assert lab.heartbeat() > before > 0

    @pytest.mark.parametrize("verb", ["pause", "unpause"])
    def test_a_guest_that_is_off_is_neither_paused_nor_let_go_on(self, lab: Lab, verb: str) -> None:
        power_of(lab, lab.source).power_off(lab.guest)
        with pytest.raises(DriverFault, match="is off on host"):
            call(lab.driver(lab.source), "power", verb, lab.guest)
        assert power(lab, lab.source) is PowerState.SHUTDOWN

    @pytest.mark.parametrize("verb", sorted(Power.__abstractmethods__))
    def test_a_guest_that_is_not_there_is_missed(self, lab: Lab, verb: str) -> None:
        with pytest.raises(GuestNotFound):
            call(lab.driver(lab.destination), "power", verb, lab.guest)


class BackupContract:
    def test_a_backup_is_the_file_it_says_it_is(self, lab: Lab, tmp_path: Path) -> None:
        target = tmp_path / "backup"
        snapshot = backup(lab).snapshot(lab.guest, str(target), ignore)
        assert target.stat().st_size == snapshot.size_bytes
        assert hashlib.sha256(target.read_bytes()).hexdigest() == snapshot.sha256

    def test_the_guest_runs_on_during_a_backup(self, lab: Lab, tmp_path: Path) -> None:
        lab.wait(2)
        before = lab.heartbeat()
        backup(lab).snapshot(lab.guest, str(tmp_path / "backup"), ignore)
        assert lab.heartbeat() >= before > 0
        assert power(lab, lab.source) is PowerState.RUNNING

    def test_a_backup_of_a_guest_with_an_agent_is_consistent(self, lab: Lab, tmp_path: Path) -> None:
        assert backup(lab).snapshot(lab.guest, str(tmp_path / "backup"), ignore).consistent

    def test_who_comes_after_a_dead_worker_gets_the_backup(self, lab: Lab, tmp_path: Path) -> None:
        target = tmp_path / "backup"
        with pytest.raises(Interrupted):
            backup(lab).snapshot(lab.guest, str(target), let_go)
        snapshot = backup(lab).snapshot(lab.guest, str(target), ignore)
        assert hashlib.sha256(target.read_bytes()).hexdigest() == snapshot.sha256

    def test_a_backup_tells_how_far_it_is(self, lab: Lab, tmp_path: Path) -> None:
        seen: list[Progress] = []
        backup(lab).snapshot(lab.guest, str(tmp_path / "backup"), seen.append)
        assert seen[-1].disk_total_bytes == seen[-1].disk_processed_bytes > 0
        assert seen[-1].disk_remaining_bytes == 0

    def test_a_backup_that_is_given_up_leaves_nothing_that_runs(self, lab: Lab, tmp_path: Path) -> None:
        with pytest.raises(Interrupted):
            backup(lab).snapshot(lab.guest, str(tmp_path / "backup"), let_go)
        for _ in range(2):
            backup(lab).discard(lab.guest)
        found = lab.driver(lab.source).find_guest(lab.guest.uuid)
        assert found is not None
        assert found.job is None
        assert found.power_state is PowerState.RUNNING
        assert backup(lab).snapshot(lab.guest, str(tmp_path / "another"), ignore).size_bytes > 0

    def test_a_guest_that_is_off_is_backed_up_and_stays_off(self, lab: Lab, tmp_path: Path) -> None:
        power_of(lab, lab.source).power_off(lab.guest)
        target = tmp_path / "backup"
        snapshot = backup(lab).snapshot(lab.guest, str(target), ignore)
        assert hashlib.sha256(target.read_bytes()).hexdigest() == snapshot.sha256
        assert power(lab, lab.source) is PowerState.SHUTDOWN

    def test_a_file_that_cannot_be_written_fails_the_backup(self, lab: Lab, tmp_path: Path) -> None:
        with pytest.raises(BackupFailed):
            backup(lab).snapshot(lab.guest, str(tmp_path / "no" / "folder"), ignore)
        assert power(lab, lab.source) is PowerState.RUNNING


class RestoreContract:
    def test_a_restored_guest_is_another_one_with_the_same_on_its_disk(
        self, lab: Lab, tmp_path: Path
    ) -> None:
        made = restore(lab).make(new_guest(lab), saved(lab, tmp_path), ignore, power_on=False)
        found = found_restored(lab)
        assert found is not None
        assert (found.name, made.power_state) == ("restored", PowerState.SHUTDOWN)
        assert [nic.mac for nic in found.nics] == ["52:54:00:00:00:99"]
        assert [nic.network for nic in found.nics] == [nic.network for nic in lab.guest.nics]
        assert found.memory_mb == lab.guest.memory_mb
        assert [disk.path for disk in found.disks] == [made.disk.path] != [lab.guest.disks[0].path]
        assert lab.disk_md5(lab.destination, RESTORED) == lab.disk_md5(lab.source) is not None

    def test_the_saved_guest_stays_as_it_is(self, lab: Lab, tmp_path: Path) -> None:
        before = saved(lab, tmp_path)
        there = lab.driver(lab.source).find_guest(lab.guest.uuid)
        restore(lab).make(new_guest(lab), before, ignore, power_on=True)
        assert lab.driver(lab.source).find_guest(lab.guest.uuid) == there

    def test_a_restored_guest_is_started_when_that_is_wanted(self, lab: Lab, tmp_path: Path) -> None:
        made = restore(lab).make(new_guest(lab), saved(lab, tmp_path), ignore, power_on=True)
        found = found_restored(lab)
        assert found is not None
        assert found.power_state is made.power_state is PowerState.RUNNING

    def test_making_a_guest_twice_is_making_it_once(self, lab: Lab, tmp_path: Path) -> None:
        content = saved(lab, tmp_path)
        first = restore(lab).make(new_guest(lab), content, ignore, power_on=False)
        seen: list[Progress] = []
        assert restore(lab).make(new_guest(lab), content, seen.append, power_on=False) == first
        assert seen == []

    def test_who_comes_after_a_dead_worker_restores_once(self, lab: Lab, tmp_path: Path) -> None:
        content = saved(lab, tmp_path)
        with pytest.raises(Interrupted):
            restore(lab).make(new_guest(lab), content, let_go, power_on=False)
        assert found_restored(lab) is None
        restore(lab).make(new_guest(lab), content, ignore, power_on=False)
        assert lab.disk_md5(lab.destination, RESTORED) == lab.disk_md5(lab.source)

    def test_what_was_given_up_leaves_nothing(self, lab: Lab, tmp_path: Path) -> None:
        content = saved(lab, tmp_path)
        with pytest.raises(Interrupted):
            restore(lab).make(new_guest(lab), content, let_go, power_on=False)
        for _ in range(2):
            restore(lab).discard(new_guest(lab))
        assert found_restored(lab) is None
        assert lab.disk_md5(lab.destination, RESTORED) is None

    @pytest.mark.parametrize("power_on", [False, True])
    def test_a_guest_that_was_made_is_discarded_with_its_disk(
        self, lab: Lab, tmp_path: Path, power_on: bool
    ) -> None:
        restore(lab).make(new_guest(lab), saved(lab, tmp_path), ignore, power_on=power_on)
        for _ in range(2):
            restore(lab).discard(new_guest(lab))
            assert found_restored(lab) is None
            assert lab.disk_md5(lab.destination, RESTORED) is None

    def test_a_guest_that_another_one_has_made_is_not_discarded(self, lab: Lab, tmp_path: Path) -> None:
        restore(lab).make(new_guest(lab), saved(lab, tmp_path), ignore, power_on=False)
        with pytest.raises(BelongsToAnother):
            restore(lab, Trusting(ANOTHER)).discard(new_guest(lab))
        assert found_restored(lab) is not None
        assert lab.disk_md5(lab.destination, RESTORED) is not None

    def test_a_backup_that_was_changed_is_not_restored(self, lab: Lab, tmp_path: Path) -> None:
        content = saved(lab, tmp_path)
        with pytest.raises(RestoreFailed):
            restore(lab).make(new_guest(lab), replace(content, sha256="0" * 64), ignore, power_on=False)
        assert found_restored(lab) is None

    def test_a_guest_that_is_there_already_is_not_replaced(self, lab: Lab, tmp_path: Path) -> None:
        content = saved(lab, tmp_path)
        ability = lab.driver(lab.source).restore
        assert ability is not None
        before = lab.disk_md5(lab.source)
        with pytest.raises(RestoreFailed):
            ability.make(lab.guest, content, ignore, power_on=False)
        ability.discard(lab.guest)
        assert lab.disk_md5(lab.source) == before


class GuestAgentContract:
    def test_a_guest_takes_its_network_and_its_answer_can_be_kept(self, lab: Lab) -> None:
        for _ in range(2):
            answer = agent(lab).inject_network_info(lab.guest)
            assert answer and storable(answer)

    def test_a_guest_resets_its_network_and_its_answer_can_be_kept(self, lab: Lab) -> None:
        answer = agent(lab).reset_network(lab.guest)
        assert answer and storable(answer)

    def test_a_guest_takes_a_password(self, lab: Lab) -> None:
        for _ in range(2):
            agent(lab).set_admin_password(lab.guest, "correct horse")


class DriverContract(
    HostContract,
    CheckContract,
    LiveMigrationContract,
    ColdMigrationContract,
    PowerContract,
    BackupContract,
    RestoreContract,
    GuestAgentContract,
):
    """All of it."""
