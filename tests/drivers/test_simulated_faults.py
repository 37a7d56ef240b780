"""What can be made to go wrong in the simulated fleet, and what is left of the guest then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from servers import clock
from servers.drivers.base import ABILITIES, HostRef, MoveOptions, Saved
from servers.drivers.simulated import VERBS
from servers.drivers.simulated.faults import NOVA_VERBS, make_error
from servers.errors import (
    DiskMoveRolledBack,
    DriverFault,
    HypervisorTimeout,
    HypervisorUnavailable,
    MigrationFailed,
    MigrationPreCheckError,
    ResizeError,
    Unforeseen,
)
from servers.states import PowerState
from tests.drivers.contract import (
    RESTORED,
    Interrupted,
    agent,
    backup,
    call,
    cold,
    ignore,
    let_go,
    live,
    move,
    move_cold,
    once,
    power,
    prepare,
    verbs_of_a_guest,
)
from tests.drivers.fleet import GUEST, SimulatedLab

NOTHING_SAVED = Saved(
    lambda: iter(()), 0, "raw", sha256(b"").hexdigest(), '{"content": "", "agent": "none"}', GUEST.disks[0]
)
Ask = Callable[[SimulatedLab, HostRef, Path], object]

ASK: dict[str, Ask] = {
    "describe": lambda lab, host, _: lab.driver(host).describe(),
    "find_guest": lambda lab, host, _: lab.driver(host).find_guest(GUEST.uuid),
    "list_guests": lambda lab, host, _: lab.driver(host).list_guests(),
    "check_can_live_migrate_destination": lambda lab, host, _: live(lab, host).check_destination(
        GUEST, lab.source, lab.slow
    ),
    "check_can_live_migrate_source": lambda lab, host, _: live(lab, host).check_source(
        GUEST, live(lab, lab.destination).check_destination(GUEST, lab.source, lab.slow), lab.slow
    ),
    "pre_live_migration": lambda lab, host, _: live(lab, host).prepare(
        GUEST, lab.source, block_migration=True
    ),
    "live_migration": lambda lab, host, _: live(lab, host).move(
        GUEST, lab.destination, lab.slow, ignore, block_migration=True
    ),
    "post_live_migration": lambda lab, host, _: live(lab, host).clean_source(GUEST),
    "rollback_live_migration": lambda lab, host, _: live(lab, host).discard(GUEST),
    "live_migration_abort": lambda lab, host, _: live(lab, host).abort(GUEST),
    "live_migration_force_complete": lambda lab, host, _: live(lab, host).force_complete(GUEST),
    "migrate_disk_and_power_off": lambda lab, host, _: cold(lab, host).move_disk_and_power_off(
        GUEST, lab.destination, ignore
    ),
    "finish_migration": lambda lab, host, _: cold(lab, host).finish(GUEST, lab.source, power_on=True),
    "confirm_migration": lambda lab, host, _: cold(lab, host).confirm(GUEST),
    "revert": lambda lab, host, _: cold(lab, host).discard(GUEST),
    "finish_revert_migration": lambda lab, host, _: cold(lab, host).finish_revert(GUEST, power_on=True),
    "snapshot": lambda lab, _host, folder: backup(lab).snapshot(GUEST, str(folder / "backup"), ignore),
    "discard_backup": lambda lab, _host, _: backup(lab).discard(GUEST),
    "restore": lambda lab, host, _: lab.driver(host).restore.make(
        replace(GUEST, uuid=RESTORED), NOTHING_SAVED, ignore, power_on=False
    ),
    "discard_restore": lambda lab, host, _: lab.driver(host).restore.discard(GUEST),
    "inject_network_info": lambda lab, _host, _: agent(lab).inject_network_info(GUEST),
    "reset_network": lambda lab, _host, _: agent(lab).reset_network(GUEST),
    "disown": lambda lab, host, _: lab.driver(host).disown(GUEST),
    "set_admin_password": lambda lab, _host, _: agent(lab).set_admin_password(GUEST, "secret"),
}


def plainly(ability: str, verb: str) -> Ask:
    return lambda lab, host, _: call(lab.driver(host), ability, verb, GUEST)


ASK |= {
    name: plainly(ability, verb)
    for ability, verb in verbs_of_a_guest()
    if (name := NOVA_VERBS.get(f"{ABILITIES[ability].__name__}.{verb}", verb)) not in ASK
}


def test_every_verb_is_asked_here() -> None:
    assert set(ASK) == VERBS


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_a_verb_that_refuses_has_no_effect(lab: SimulatedLab, tmp_path: Path, verb: str) -> None:
    lab.fleet.set_fault(verb, "node1", error="MigrationPreCheckError", args={"reason": "cpu mismatch"})
    before = lab.fleet.disk_md5("node1", GUEST.uuid)
    with pytest.raises(MigrationPreCheckError, match="Migration pre-check error: cpu mismatch"):
        ASK[verb](lab, lab.source, tmp_path)
    assert lab.fleet.running_on(GUEST.uuid) == "node1"
    assert lab.fleet.disk_md5("node1", GUEST.uuid) == before
    assert lab.fleet.agent_state("node1", GUEST.uuid).password_sets == 0


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_a_verb_that_hangs_is_not_waited_for_beyond_its_limit(
    lab: SimulatedLab, tmp_path: Path, verb: str
) -> None:
    lab.fleet.set_fault(verb, "node1", mode="hang", hang_limit_s=90)
    before = clock.now()
    with pytest.raises(HypervisorTimeout, match=f"'{verb}' in 90 s"):
        ASK[verb](lab, lab.source, tmp_path)
    assert (clock.now() - before).total_seconds() == pytest.approx(90, abs=1)


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_no_verb_reaches_a_lost_host(lab: SimulatedLab, tmp_path: Path, verb: str) -> None:
    lab.fleet.lose_host("node1")
    with pytest.raises(HypervisorUnavailable):
        ASK[verb](lab, lab.source, tmp_path)


def test_a_verb_that_fails_afterwards_has_had_its_effect(lab: SimulatedLab) -> None:
    lab.fleet.set_fault("live_migration", "node1", mode="fail_after")
    with pytest.raises(DriverFault, match="live_migration was told to fail"):
        move(lab)
    assert lab.fleet.running_on(GUEST.uuid) == "node2"


def test_a_verb_may_have_its_effect_and_never_answer(lab: SimulatedLab) -> None:
    move_disks = cold(lab, lab.source).move_disk_and_power_off
    move_disks(GUEST, lab.destination, ignore)
    lab.fleet.set_fault("finish_migration", "node2", mode="hang_after")
    with pytest.raises(HypervisorTimeout):
        cold(lab, lab.destination).finish(GUEST, lab.source, power_on=True)
    assert lab.fleet.running_on(GUEST.uuid) == "node2"


def test_a_verb_may_lose_its_host(lab: SimulatedLab) -> None:
    lab.fleet.set_fault("pre_live_migration", "node2", mode="lose")
    with pytest.raises(HypervisorUnavailable):
        prepare(lab)
    assert lab.fleet.is_lost("node2")
    assert not lab.fleet.is_lost("node1")


def test_a_fault_strikes_on_its_own_host_alone(lab: SimulatedLab) -> None:
    lab.fleet.set_fault("describe", "node2")
    assert lab.driver(lab.source).describe().hostname == "node1"
    with pytest.raises(DriverFault):
        lab.driver(lab.destination).describe()


def test_a_fault_without_a_host_strikes_everywhere(lab: SimulatedLab) -> None:
    lab.fleet.set_fault("describe")
    for host in (lab.source, lab.destination):
        with pytest.raises(DriverFault):
            lab.driver(host).describe()


def test_a_fault_strikes_as_often_as_it_was_told(lab: SimulatedLab) -> None:
    lab.fleet.set_fault("describe", "node1", times=2)
    for _ in range(2):
        with pytest.raises(DriverFault):
            lab.driver(lab.source).describe()
    assert lab.driver(lab.source).describe().hostname == "node1"


def test_a_fault_strikes_always_unless_it_was_told_how_often(lab: SimulatedLab) -> None:
    lab.fleet.set_fault("describe", "node1", times="always")
    for _ in range(5):
        with pytest.raises(DriverFault):
            lab.driver(lab.source).describe()
    lab.fleet.clear_faults()
    assert lab.driver(lab.source).describe().hostname == "node1"


@pytest.mark.parametrize(
    ("name", "args", "kind", "text"),
    [
        ("ResizeError", {"reason": "no boot"}, ResizeError, "Resize error: no boot"),
        ("NovaException", {"message": "qemu died"}, Unforeseen, "qemu died"),
        ("ValueError", {"message": "boom"}, ValueError, "boom"),
        ("HypervisorUnavailable", {}, HypervisorUnavailable, HypervisorUnavailable.template()),
        (
            "InstanceFaultRollback",
            {"inner": {"error": "ResizeError", "args": {"reason": "disk copy failed"}}},
            DiskMoveRolledBack,
            "Resize error: disk copy failed",
        ),
    ],
)
def test_an_error_goes_by_novas_name_ours_or_pythons(
    name: str, args: dict[str, object], kind: type[Exception], text: str
) -> None:
    error = make_error(name, args)
    assert type(error) is kind
    assert str(error) == text


@pytest.mark.parametrize("name", ["NoSuchError", "BaseException", "print", "re", "NOVA_NAMES"])
def test_what_is_no_error_cannot_be_set(lab: SimulatedLab, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        lab.fleet.set_fault("describe", "node1", error=name)


def test_an_error_whose_message_lacks_a_fact_cannot_be_set(lab: SimulatedLab) -> None:
    with pytest.raises(KeyError):
        lab.fleet.set_fault("describe", "node1", error="ResizeError")


def test_a_verb_that_there_is_not_cannot_fail(lab: SimulatedLab) -> None:
    with pytest.raises(ValueError, match="claim"):
        lab.fleet.set_fault("claim", "node1")


# a host that is lost


def test_the_guests_of_a_lost_host_freeze_and_come_back(lab: SimulatedLab) -> None:
    lab.wait(5)
    lab.fleet.lose_host("node1")
    lab.wait(3600)
    frozen = lab.heartbeat()
    assert frozen == 50
    lab.fleet.restore_host("node1")
    lab.wait(1)
    assert lab.heartbeat() == 60
    assert power(lab, lab.source) is PowerState.RUNNING


def test_a_guest_of_a_lost_host_is_not_started_elsewhere(lab: SimulatedLab) -> None:
    move_cold(lab)
    lab.fleet.lose_host("node2")
    with pytest.raises(DriverFault, match="seen on node1 and node2"):
        cold(lab, lab.source).finish_revert(GUEST, power_on=True)


def test_losing_the_destination_fails_the_move_to_it(lab: SimulatedLab) -> None:
    with pytest.raises(MigrationFailed, match="node2 was lost"):
        move(lab, once(lambda: lab.fleet.lose_host("node2")))
    assert lab.fleet.running_on(GUEST.uuid) == "node1"


def test_losing_the_source_ends_the_move_with_the_guest_on_it(lab: SimulatedLab) -> None:
    with pytest.raises(HypervisorUnavailable):
        move(lab, once(lambda: lab.fleet.lose_host("node1")))
    lab.wait(60)
    lab.fleet.restore_host("node1")
    assert power(lab, lab.source) is PowerState.RUNNING
    assert lab.fleet.job_of(GUEST) is None


def test_a_move_that_was_over_before_its_host_was_lost_is_over(lab: SimulatedLab) -> None:
    with pytest.raises(Interrupted):
        move(lab, let_go)
    lab.wait(60)
    lab.fleet.lose_host("node1")
    assert power(lab, lab.destination) is PowerState.RUNNING


def test_a_guest_whose_source_is_lost_in_post_copy_crashes(lab: SimulatedLab) -> None:
    begin_post_copy(lab)
    lab.fleet.lose_host("node1")
    assert lab.fleet.power_state("node2", GUEST.uuid) is PowerState.CRASHED


def test_a_guest_whose_destination_is_lost_in_post_copy_is_not_taken_for_one_at_the_source(
    lab: SimulatedLab,
) -> None:
    begin_post_copy(lab)
    watching = once(lambda: lab.fleet.lose_host("node2"))
    with pytest.raises(HypervisorUnavailable):
        live(lab, lab.source).move(GUEST, lab.destination, lab.slow, watching, block_migration=True)
    assert lab.driver(lab.source).find_guest(GUEST.uuid) is None
    lab.fleet.restore_host("node2")
    live(lab, lab.source).move(GUEST, lab.destination, lab.slow, ignore, block_migration=True)
    assert power(lab, lab.destination) is PowerState.RUNNING


def begin_post_copy(lab: SimulatedLab) -> None:
    """Let a busy guest run at its destination while its memory follows."""
    lab.make_busy()
    lab.fleet.set_hold("live_migration", "node1")
    options = MoveOptions(bandwidth_mib_s=50, post_copy=True)
    with pytest.raises(Interrupted):
        move(lab, let_go, options)
    live(lab, lab.source).force_complete(GUEST)
    lab.wait(0.1)
    assert lab.fleet.running_on(GUEST.uuid) == "node2"


def test_a_guest_that_is_started_on_its_lost_host_counts_from_its_return(lab: SimulatedLab) -> None:
    with pytest.raises(HypervisorUnavailable):
        cold(lab, lab.source).move_disk_and_power_off(
            GUEST, lab.destination, once(lambda: lab.fleet.lose_host("node1"))
        )
    lab.wait(100)
    assert lab.heartbeat() == 0
    lab.fleet.restore_host("node1")
    lab.wait(1)
    assert lab.heartbeat() == 10
