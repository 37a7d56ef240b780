"""Workers that wake too late, and work of others: a guest that runs is never stopped, doubled or lost by them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import libvirt
import pytest

from servers.drivers.base import Fence, OnProgress, Progress
from servers.drivers.libvirt.cold.disk_copy import DiskCopy
from servers.errors import (
    BelongsToAnother,
    DiskMoveRolledBack,
    DriverFault,
    GuestNotFound,
    GuestOnTwoHosts,
    LeaseLost,
    MigrationFailed,
)
from servers.states import PowerState
from tests.drivers.contract import (
    Interrupted,
    backup,
    cold,
    found_restored,
    ignore,
    let_go,
    live,
    move,
    move_cold,
    new_guest,
    once,
    power,
    power_of,
    prepare,
    restore,
    saved,
)
from tests.drivers.fences import ANOTHER, OWNER, Lost, Trusting
from tests.lab.hosts import wait_for
from tests.lab.stage import LibvirtLab


@dataclass
class LostAfter(Trusting):
    """The fence of a worker that loses its lease after so many effects."""

    effects: int = 0

    def prove(self) -> None:
        if len(self.proven) >= self.effects:
            raise LeaseLost
        super().prove()


def assert_runs_on(lab: LibvirtLab, name: str) -> None:
    """Assert that the guest is heard from this host alone."""
    assert lab.heartbeat() > 0
    assert lab.beating() == [name]


def pool_of(lab: LibvirtLab, name: str) -> set[str]:
    return {file.name for host in lab.hosts if host.name == name for file in host.images.iterdir()}


# ---------------------------------------------------------- stopped before each effect in its turn


@pytest.mark.parametrize("effects", range(7))
def test_a_worker_that_is_stopped_before_any_effect_of_a_cold_move_is_followed_by_another(
    lab: LibvirtLab, effects: int
) -> None:
    before = lab.disk_md5(lab.source)
    try:
        move_cold(lab, LostAfter(OWNER, effects=effects), power_on=False)
    except LeaseLost:
        assert power(lab, lab.destination) is None
    assert move_cold(lab) is PowerState.RUNNING
    assert_runs_on(lab, "node2")
    cold(lab, lab.source).confirm(lab.guest)
    assert (lab.disk_md5(lab.source), pool_of(lab, "node1")) == (None, set())
    assert before is not None


@pytest.mark.parametrize("effects", range(3))
def test_a_worker_that_is_stopped_before_any_effect_of_a_confirmation_is_followed_by_another(
    lab: LibvirtLab, effects: int
) -> None:
    move_cold(lab)
    with pytest.raises(LeaseLost):
        cold(lab, lab.source, LostAfter(OWNER, effects=effects)).confirm(lab.guest)
    cold(lab, lab.source).confirm(lab.guest)
    assert power(lab, lab.source) is None
    assert pool_of(lab, "node1") == set()
    assert pool_of(lab, "node2") == {"web.qcow2"}
    assert_runs_on(lab, "node2")


@pytest.mark.parametrize("effects", range(5))
def test_a_worker_that_is_stopped_before_any_effect_of_a_revert_is_followed_by_another(
    lab: LibvirtLab, effects: int
) -> None:
    move_cold(lab)
    fence = LostAfter(OWNER, effects=effects)
    with pytest.raises(LeaseLost):
        cold(lab, lab.destination, fence).discard(lab.guest)
        cold(lab, lab.source, fence).finish_revert(lab.guest, power_on=True)
    cold(lab, lab.destination).discard(lab.guest)
    cold(lab, lab.source).finish_revert(lab.guest, power_on=True)
    assert pool_of(lab, "node2") == set()
    assert_runs_on(lab, "node1")


@pytest.mark.parametrize("effects", range(6))
def test_a_worker_that_is_stopped_before_any_effect_of_a_backup_is_followed_by_another(
    lab: LibvirtLab, effects: int, tmp_path: Path
) -> None:
    target = str(tmp_path / "backup")
    with suppress(LeaseLost):
        backup(lab, LostAfter(OWNER, effects=effects)).snapshot(lab.guest, target, ignore)
    assert backup(lab).snapshot(lab.guest, target, ignore).size_bytes > 0
    assert pool_of(lab, "node1") == {"web.qcow2"}
    assert_runs_on(lab, "node1")


@pytest.mark.parametrize("effects", range(7))
def test_a_worker_that_is_stopped_before_any_effect_of_a_restore_leaves_what_is_discarded(
    lab: LibvirtLab, effects: int, tmp_path: Path
) -> None:
    content = saved(lab, tmp_path)
    maker = restore(lab, LostAfter(OWNER, effects=effects))
    with suppress(LeaseLost):
        maker.make(new_guest(lab), content, ignore, power_on=True)
    for _ in range(2):
        restore(lab).discard(new_guest(lab))
    assert found_restored(lab) is None
    assert pool_of(lab, "node2") == set()


@pytest.mark.parametrize("effects", range(4))
def test_a_worker_that_is_stopped_before_any_effect_of_a_live_move_is_followed_by_another(
    lab: LibvirtLab, effects: int
) -> None:
    fence = LostAfter(OWNER, effects=effects)
    mover = live(lab, lab.source, fence)
    with suppress(LeaseLost):
        live(lab, lab.destination, fence).prepare(lab.guest, lab.source, block_migration=True)
        mover.move(lab.guest, lab.destination, lab.slow, ignore, block_migration=True)
    if power(lab, lab.destination) is None:
        prepare(lab)
    live(lab, lab.source).move(lab.guest, lab.destination, lab.slow, ignore, block_migration=True)
    live(lab, lab.source).clean_source(lab.guest)
    assert (pool_of(lab, "node1"), pool_of(lab, "node2")) == (set(), {"web.qcow2"})
    assert_runs_on(lab, "node2")


# ----------------------------------------------------------------------------------- too late


def test_who_is_late_with_a_move_that_waits_for_its_confirmation_finds_it_done(lab: LibvirtLab) -> None:
    move_cold(lab)
    late = Trusting()
    cold(lab, lab.source, late).move_disk_and_power_off(lab.guest, lab.destination, ignore)
    assert cold(lab, lab.destination, late).finish(lab.guest, lab.source, power_on=True) is PowerState.RUNNING
    assert late.proven == []
    assert_runs_on(lab, "node2")


def test_who_is_late_with_a_move_that_was_confirmed_touches_nothing(lab: LibvirtLab) -> None:
    move_cold(lab)
    cold(lab, lab.source).confirm(lab.guest)
    late = Trusting()
    with pytest.raises(GuestNotFound):
        cold(lab, lab.source, late).move_disk_and_power_off(lab.guest, lab.destination, ignore)
    with pytest.raises(GuestOnTwoHosts):
        cold(lab, lab.destination, late).discard(lab.guest)
    with pytest.raises(GuestNotFound):
        cold(lab, lab.source, late).finish_revert(lab.guest, power_on=True)
    cold(lab, lab.destination, late).finish(lab.guest, lab.source, power_on=True)
    assert late.proven == []
    assert_runs_on(lab, "node2")


def test_who_is_late_with_a_move_that_was_reverted_touches_nothing(lab: LibvirtLab) -> None:
    move_cold(lab)
    cold(lab, lab.destination).discard(lab.guest)
    cold(lab, lab.source).finish_revert(lab.guest, power_on=True)
    late = Trusting()
    with pytest.raises(DiskMoveRolledBack):
        cold(lab, lab.source, late).move_disk_and_power_off(lab.guest, lab.destination, ignore)
    with pytest.raises(DriverFault):
        cold(lab, lab.destination, late).finish(lab.guest, lab.source, power_on=True)
    with pytest.raises(DriverFault):
        cold(lab, lab.source, late).confirm(lab.guest)
    cold(lab, lab.destination, late).discard(lab.guest)
    assert late.proven == []
    assert_runs_on(lab, "node1")


def test_a_copy_that_fails_too_late_does_not_start_the_old_guest(
    lab: LibvirtLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = DiskCopy.run

    def is_overtaken(copy: DiskCopy, on_progress: OnProgress) -> None:
        monkeypatch.setattr(DiskCopy, "run", run)
        move_cold(lab)
        raise DriverFault(message="the copy broke off")

    monkeypatch.setattr(DiskCopy, "run", is_overtaken)
    with pytest.raises(GuestOnTwoHosts):
        cold(lab, lab.source).move_disk_and_power_off(lab.guest, lab.destination, ignore)
    assert power(lab, lab.source) is PowerState.SHUTDOWN
    assert_runs_on(lab, "node2")


def test_nothing_is_started_by_who_has_lost_the_lease(lab: LibvirtLab) -> None:
    cold(lab, lab.source).move_disk_and_power_off(lab.guest, lab.destination, ignore)
    with pytest.raises(LeaseLost):
        cold(lab, lab.source, Lost()).finish_revert(lab.guest, power_on=True)
    assert power(lab, lab.source) is PowerState.SHUTDOWN


# ---------------------------------------------------------------------------- what is another's


def cold_verbs(lab: LibvirtLab, fence: Fence) -> dict[str, Callable[[], object]]:
    here, there = cold(lab, lab.source, fence), cold(lab, lab.destination, fence)
    guest, source, destination = lab.guest, lab.source, lab.destination
    return {
        "move it on": lambda: here.move_disk_and_power_off(guest, destination, ignore),
        "move it back": lambda: there.move_disk_and_power_off(guest, source, ignore),
        "finish": lambda: there.finish(guest, source, power_on=True),
        "confirm": lambda: here.confirm(guest),
        "discard": lambda: there.discard(guest),
        "finish the revert": lambda: here.finish_revert(guest, power_on=True),
        "power off": lambda: power_of(lab, lab.destination, fence).power_off(guest),
        "move it back live": lambda: live(lab, lab.source, fence).prepare(
            guest, destination, block_migration=True
        ),
    }


def test_another_move_leaves_one_that_waits_for_its_confirmation_alone(lab: LibvirtLab) -> None:
    move_cold(lab)
    another = Trusting(ANOTHER)
    for name, verb in cold_verbs(lab, another).items():
        with pytest.raises(DriverFault) as refused:
            verb()
        assert isinstance(refused.value, BelongsToAnother) or name == "move it back live", name
    assert another.proven == []
    assert_runs_on(lab, "node2")


def test_another_move_leaves_copied_and_prepared_disks_alone(lab: LibvirtLab) -> None:
    another = Trusting(ANOTHER)
    prepare(lab)
    for verb in (
        lambda: live(lab, lab.destination, another).prepare(lab.guest, lab.source, block_migration=True),
        lambda: live(lab, lab.destination, another).discard(lab.guest),
        lambda: cold(lab, lab.destination, another).discard(lab.guest),
        lambda: cold(lab, lab.source, another).move_disk_and_power_off(lab.guest, lab.destination, ignore),
    ):
        with pytest.raises(BelongsToAnother):
            verb()
    assert another.proven == []
    assert len(pool_of(lab, "node2")) == 2
    lab.driver(lab.destination).disown(lab.guest)
    assert pool_of(lab, "node2") == set()
    assert_runs_on(lab, "node1")


def test_another_move_neither_joins_nor_ends_one_that_runs(lab: LibvirtLab) -> None:
    another = Trusting(ANOTHER)
    refused: list[Exception] = []

    def try_all() -> None:
        mover = live(lab, lab.source, another)
        for verb in (
            lambda: mover.abort(lab.guest),
            lambda: mover.force_complete(lab.guest),
            lambda: mover.move(lab.guest, lab.destination, lab.slow, ignore, block_migration=True),
            lambda: live(lab, lab.destination, another).discard(lab.guest),
        ):
            try:
                verb()
            except BelongsToAnother as fault:
                refused.append(fault)

    move(lab, once(try_all))
    assert len(refused) == 4
    assert another.proven == []
    with pytest.raises(BelongsToAnother):
        live(lab, lab.source, another).clean_source(lab.guest)
    assert lab.disk_md5(lab.source) is not None
    assert_runs_on(lab, "node2")


def test_a_move_that_somebody_has_begun_by_hand_is_not_ours(lab: LibvirtLab) -> None:
    prepare(lab)
    flags = libvirt.VIR_MIGRATE_PEER2PEER | libvirt.VIR_MIGRATE_LIVE | libvirt.VIR_MIGRATE_NON_SHARED_DISK
    parameters: dict[str, Any] = {libvirt.VIR_MIGRATE_PARAM_BANDWIDTH: lab.slow.bandwidth_mib_s}

    def by_hand() -> None:
        with lab.connected(lab.host(lab.source)) as connection:
            domain = connection.lookupByUUIDString(str(lab.guest.uuid))
            domain.migrateToURI3(lab.destination.uri, parameters, flags)

    hand = Thread(target=by_hand)
    hand.start()
    mover = live(lab, lab.source)
    try:
        wait_for("the move", lambda: lab.driver(lab.source).find_guest(lab.guest.uuid).job)
        assert mover.abort(lab.guest) is False
        assert mover.force_complete(lab.guest) is False
        with pytest.raises(MigrationFailed, match="somebody else"):
            mover.move(lab.guest, lab.destination, lab.slow, ignore, block_migration=True)
    finally:
        hand.join()
    assert_runs_on(lab, "node2")


def test_another_backup_leaves_the_copy_of_the_first_alone(lab: LibvirtLab, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        backup(lab).snapshot(lab.guest, str(tmp_path / "first"), let_go)
    another = Trusting(ANOTHER)
    with pytest.raises(BelongsToAnother):
        backup(lab, another).snapshot(lab.guest, str(tmp_path / "second"), ignore)
    with pytest.raises(BelongsToAnother):
        backup(lab, another).discard(lab.guest)
    lab.driver(lab.source, another).disown(lab.guest)
    assert another.proven == []
    assert backup(lab).snapshot(lab.guest, str(tmp_path / "first"), ignore).size_bytes > 0
    with pytest.raises(Interrupted):
        backup(lab).snapshot(lab.guest, str(tmp_path / "first"), let_go)
    lab.driver(lab.source).disown(lab.guest)
    assert pool_of(lab, "node1") == {"web.qcow2"}
    assert_runs_on(lab, "node1")


def test_a_move_that_is_over_is_disowned_and_the_guest_stays_as_it_is(lab: LibvirtLab) -> None:
    move_cold(lab)
    for _ in range(2):
        for ref in (lab.source, lab.destination):
            lab.driver(ref).disown(lab.guest)
    assert (power(lab, lab.source), power(lab, lab.destination)) == (
        PowerState.SHUTDOWN,
        PowerState.RUNNING,
    )
    for ref in (lab.source, lab.destination):
        found = lab.driver(ref).find_guest(lab.guest.uuid)
        assert found is not None
        assert found.owner == ""
    assert pool_of(lab, "node2") == {"web.qcow2"}
    assert_runs_on(lab, "node2")


# ------------------------------------------------------------------------- refused before any effect


def no_room(lab: LibvirtLab, fence: Fence) -> object:
    (lab.host(lab.destination).images / "web.qcow2").write_bytes(b"precious")
    with lab.connected(lab.host(lab.destination)) as connection:
        connection.storagePoolLookupByName("default").refresh()
    return live(lab, lab.destination, fence).prepare(lab.guest, lab.source, block_migration=True)


def no_way(lab: LibvirtLab, fence: Fence) -> object:
    lab.host(lab.destination).stop_libvirtd()
    return cold(lab, lab.source, fence).move_disk_and_power_off(lab.guest, lab.destination, ignore)


def not_prepared(lab: LibvirtLab, fence: Fence) -> object:
    mover = live(lab, lab.source, fence)
    return mover.move(lab.guest, lab.destination, lab.slow, ignore, block_migration=False)


REFUSED: dict[str, Callable[[LibvirtLab, Fence], object]] = {
    "a file is in the way": no_room,
    "the destination is away": no_way,
    "disks are not to be copied": not_prepared,
    "nothing to confirm": lambda lab, fence: cold(lab, lab.source, fence).confirm(lab.guest),
    "nothing to discard": lambda lab, fence: cold(lab, lab.source, fence).discard(lab.guest),
    "no guest to power off": lambda lab, fence: power_of(lab, lab.destination, fence).power_off(lab.guest),
    "a guest that runs": lambda lab, fence: live(lab, lab.source, fence).discard(lab.guest),
    "it runs here": lambda lab, fence: live(lab, lab.source, fence).clean_source(lab.guest),
    "nothing came": lambda lab, fence: cold(lab, lab.destination, fence).finish(
        lab.guest, lab.source, power_on=True
    ),
    "no folder": lambda lab, fence: backup(lab, fence).snapshot(lab.guest, "/no/folder/backup", ignore),
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_call_that_is_refused_has_proven_nothing(lab: LibvirtLab, why: str) -> None:
    fence = Trusting()
    with pytest.raises(DriverFault):
        REFUSED[why](lab, fence)
    assert fence.proven == []
    assert lab.beating() == ["node1"]


def test_a_call_with_nothing_left_to_do_proves_nothing(lab: LibvirtLab) -> None:
    fence = Trusting()
    live(lab, lab.destination, fence).discard(lab.guest)
    live(lab, lab.source, fence).abort(lab.guest)
    live(lab, lab.source, fence).force_complete(lab.guest)
    cold(lab, lab.destination, fence).discard(lab.guest)
    cold(lab, lab.destination, fence).confirm(lab.guest)
    backup(lab, fence).discard(lab.guest)
    restore(lab, fence).discard(new_guest(lab))
    lab.driver(lab.source, fence).disown(lab.guest)
    assert fence.proven == []


def test_progress_is_heard_while_a_copy_is_made(lab: LibvirtLab) -> None:
    seen: list[Progress] = []
    cold(lab, lab.source).move_disk_and_power_off(lab.guest, lab.destination, seen.append)
    assert seen[-1].disk_processed_bytes == seen[-1].disk_total_bytes > 0
