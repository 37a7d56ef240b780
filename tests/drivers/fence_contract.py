"""What every driver has to keep of the promise of a fence: nothing is changed but in somebody's name, and by right.

The table below has every verb with an effect; the test of the table says which one was forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from servers.drivers.base import (
    ABILITIES,
    ColdMigration,
    Driver,
    Fence,
    Guest,
    GuestAgent,
    HostRef,
    LiveMigration,
    Looking,
    Progress,
)
from servers.errors import BelongsToAnother, DriverFault, GuestOnTwoHosts, LeaseLost, NotSupported
from servers.states import PowerState
from tests.drivers.contract import (
    RESTORED,
    Interrupted,
    Lab,
    backup,
    call,
    cold,
    ignore,
    let_go,
    live,
    move,
    move_cold,
    new_guest,
    power_of,
    prepare,
    restore,
    saved,
    verbs_of_a_guest,
)
from tests.drivers.fences import ANOTHER, OWNER, Lost, Trusting

LOOKS = {
    "live_migration.check_destination",
    "live_migration.check_source",
    "describe",
    "find_guest",
    "list_guests",
}
"""Verbs that change nothing."""

ON_ITS_WAY_S = 4
"""In so long a move has copied its disks, and one that was aborted or forced is over."""


@dataclass
class Alone(Trusting):
    """The fence of somebody whose guest runs on another host as well."""

    asked: list[str] = field(default_factory=list)

    def prove_alone(self, guest: Guest, host: str) -> None:
        self.asked.append(host)
        raise GuestOnTwoHosts(guest=guest.name, hosts="this one and another")


class Onlooker(Looking):
    """The fence of a driver that was opened to look, where what is there belongs to the one who looks."""

    owner = OWNER


class Stage:
    """A lab with a folder for backups, and what a verb is called with."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab, self.folder, self.guest = lab, folder, lab.guest
        self.target = str(folder / "image")
        self.backup: Any = None

    def make_ready_to_move(self) -> None:
        """Let the destination be ready, and the guest such that a move of it does not end by itself."""
        prepare(self.lab)
        self.lab.make_busy()

    def begin_to_move(self) -> None:
        """Leave a live move running, of which nobody takes notice: its disks are copied, its memory never will be."""
        self.lab.make_busy()
        with suppress(Interrupted):
            move(self.lab, let_go_in_memory)

    def begin_to_copy(self) -> None:
        """Leave a backup running."""
        with suppress(Interrupted):
            backup(self.lab).snapshot(self.guest, self.target, let_go)

    def copy_disks(self) -> None:
        cold(self.lab, self.lab.source).move_disk_and_power_off(self.guest, self.lab.destination, ignore)

    def move_cold(self) -> None:
        move_cold(self.lab)

    def save(self) -> None:
        self.backup = saved(self.lab, self.folder)

    def restore(self) -> None:
        self.save()
        self.make(Trusting())

    def make(self, fence: Fence) -> object:
        guest = new_guest(self.lab)
        return restore(self.lab, fence).make(guest, self.backup, ignore, power_on=True)

    def seen(self) -> list[Any]:
        """Return what is of the guests on both hosts: as they are found, with what their disks hold.

        How much room a disk takes is left out: a guest that runs writes when it likes.
        """
        lab = self.lab
        found: list[Any] = []
        for host in (lab.source, lab.destination):
            for uuid in (self.guest.uuid, RESTORED):
                guest = lab.driver(host).find_guest(uuid)
                disks = () if guest is None else tuple(replace(disk, used_bytes=0) for disk in guest.disks)
                found.append(guest and replace(guest, disks=disks))
            found += [lab.disk_md5(host, uuid) for uuid in (self.guest.uuid, RESTORED)]
        return found


def let_go_in_memory(progress: Progress) -> None:
    """Stop watching a move when its disks are copied."""
    if progress.memory_processed_bytes:
        raise Interrupted


Call = Callable[[Stage, Fence], object]


@dataclass(frozen=True)
class Verb:
    """A verb with an effect: on what stage it has one, and what it does there."""

    name: str
    set_up: Callable[[Stage], object]
    call: Call
    has_owner: bool = False
    """Whether it acts on what somebody has made, which is refused to all others."""
    starts: UUID | bool = False
    """Whether it starts a guest, and which one, where it is not the lab's own."""

    def __str__(self) -> str:
        return self.name


def nothing(stage: Stage) -> None:
    """Leave the stage as it is: the guest runs at its source."""


def here(stage: Stage, fence: Fence) -> ColdMigration:
    return cold(stage.lab, stage.lab.source, fence)


def there(stage: Stage, fence: Fence) -> ColdMigration:
    return cold(stage.lab, stage.lab.destination, fence)


def moving(stage: Stage, fence: Fence, host: HostRef | None = None) -> LiveMigration:
    return live(stage.lab, host or stage.lab.source, fence)


def leave_reverted(stage: Stage) -> None:
    """Leave the guest shut down at its source, from which it was moved; what was at the destination is discarded."""
    stage.move_cold()
    cold(stage.lab, stage.lab.destination).discard(stage.guest)


def start_move(stage: Stage, fence: Fence) -> None:
    with suppress(Interrupted):
        moving(stage, fence).move(
            stage.guest, stage.lab.destination, stage.lab.slow, let_go, block_migration=True
        )


def start_disk_move(stage: Stage, fence: Fence) -> None:
    here(stage, fence).move_disk_and_power_off(stage.guest, stage.lab.destination, ignore)


VERBS = [
    Verb(
        "live_migration.prepare",
        nothing,
        lambda s, f: moving(s, f, s.lab.destination).prepare(s.guest, s.lab.source, block_migration=True),
    ),
    Verb("live_migration.move", Stage.make_ready_to_move, start_move),
    Verb(
        "live_migration.discard",
        lambda s: prepare(s.lab),
        lambda s, f: moving(s, f, s.lab.destination).discard(s.guest),
        has_owner=True,
    ),
    Verb(
        "live_migration.clean_source", lambda s: move(s.lab), lambda s, f: moving(s, f).clean_source(s.guest)
    ),
    Verb(
        "live_migration.abort", Stage.begin_to_move, lambda s, f: moving(s, f).abort(s.guest), has_owner=True
    ),
    Verb(
        "live_migration.force_complete",
        Stage.begin_to_move,
        lambda s, f: moving(s, f).force_complete(s.guest),
        has_owner=True,
    ),
    Verb("cold_migration.move_disk_and_power_off", nothing, start_disk_move),
    Verb(
        "cold_migration.finish",
        Stage.copy_disks,
        lambda s, f: there(s, f).finish(s.guest, s.lab.source, power_on=True),
        has_owner=True,
        starts=True,
    ),
    Verb("cold_migration.confirm", Stage.move_cold, lambda s, f: here(s, f).confirm(s.guest), has_owner=True),
    Verb(
        "cold_migration.discard", Stage.move_cold, lambda s, f: there(s, f).discard(s.guest), has_owner=True
    ),
    Verb(
        "cold_migration.finish_revert",
        leave_reverted,
        lambda s, f: here(s, f).finish_revert(s.guest, power_on=True),
        has_owner=True,
        starts=True,
    ),
    Verb(
        "power.unpause",
        lambda s: power_of(s.lab, s.lab.source).pause(s.guest),
        lambda s, f: power_of(s.lab, s.lab.source, f).unpause(s.guest),
        starts=True,
    ),
    Verb("backup.snapshot", nothing, lambda s, f: backup(s.lab, f).snapshot(s.guest, s.target, ignore)),
    Verb(
        "backup.discard", Stage.begin_to_copy, lambda s, f: backup(s.lab, f).discard(s.guest), has_owner=True
    ),
    Verb("restore.make", Stage.save, Stage.make, starts=RESTORED),
    Verb(
        "restore.discard",
        Stage.restore,
        lambda s, f: restore(s.lab, f).discard(new_guest(s.lab)),
        has_owner=True,
    ),
    Verb("agent.inject_network_info", nothing, lambda s, f: agent_of(s, f).inject_network_info(s.guest)),
    Verb("agent.reset_network", nothing, lambda s, f: agent_of(s, f).reset_network(s.guest)),
    Verb(
        "agent.set_admin_password", nothing, lambda s, f: agent_of(s, f).set_admin_password(s.guest, "secret")
    ),
    Verb(
        "disown",
        lambda s: prepare(s.lab),
        lambda s, f: s.lab.driver(s.lab.destination, f).disown(s.guest),
    ),
]


def agent_of(stage: Stage, fence: Fence) -> GuestAgent:
    ability = stage.lab.driver(stage.lab.source, fence).agent
    assert ability is not None
    return ability


def promised() -> Iterator[str]:
    """Yield every verb of the interface, with its ability."""
    yield from Driver.__abstractmethods__
    for name, ability in ABILITIES.items():
        yield from (f"{name}.{verb}" for verb in ability.__abstractmethods__)


def every(*, owned: bool = False, starting: bool = False) -> Any:
    """Return the mark that lets a test walk the table."""
    verbs = [v for v in VERBS if (v.has_owner or not owned) and (v.starts or not starting)]
    return pytest.mark.parametrize("verb", verbs, ids=str)


VERBS += [
    Verb(
        f"{ability}.{verb}",
        nothing,
        lambda s, f, a=ability, v=verb: call(s.lab.driver(s.lab.source, f), a, v, s.guest),
    )
    for ability, verb in verbs_of_a_guest()
    if f"{ability}.{verb}" not in {known.name for known in VERBS}
]


class FenceContract:
    def test_the_table_has_every_verb_of_the_interface(self) -> None:
        assert {verb.name for verb in VERBS} | LOOKS == set(promised())

    @every()
    def test_nothing_is_changed_by_a_worker_that_has_lost_its_lease(
        self, verb: Verb, lab: Lab, tmp_path: Path
    ) -> None:
        stage = Stage(lab, tmp_path)
        verb.set_up(stage)
        before = stage.seen()
        fence = Lost()
        with pytest.raises(LeaseLost):
            verb.call(stage, fence)
        assert stage.seen() == before
        assert len(fence.proven) == 1

    @every()
    def test_nothing_is_changed_by_a_driver_that_was_opened_to_look(
        self, verb: Verb, lab: Lab, tmp_path: Path
    ) -> None:
        stage = Stage(lab, tmp_path)
        verb.set_up(stage)
        before = stage.seen()
        with pytest.raises(NotSupported):
            verb.call(stage, Onlooker())
        assert stage.seen() == before

    @every(owned=True)
    def test_what_somebody_else_has_made_is_left_alone_and_nothing_is_proven_for_it(
        self, verb: Verb, lab: Lab, tmp_path: Path
    ) -> None:
        stage = Stage(lab, tmp_path)
        verb.set_up(stage)
        before, fence = stage.seen(), Trusting(ANOTHER)
        with pytest.raises(BelongsToAnother):
            verb.call(stage, fence)
        assert stage.seen() == before
        assert fence.proven == []

    @every()
    def test_a_call_for_a_guest_that_nobody_has_proves_nothing(
        self, verb: Verb, lab: Lab, tmp_path: Path
    ) -> None:
        stage, fence = Stage(lab, tmp_path), Trusting()
        if verb.name == "restore.make":
            pytest.skip("it makes the guest that nobody has")
        stage.guest = replace(lab.guest, uuid=UUID(int=7), name="nobody")
        with suppress(DriverFault):
            verb.call(stage, fence)
        assert fence.proven == []

    @every()
    def test_the_same_call_again_by_the_same_owner_is_harmless(
        self, verb: Verb, lab: Lab, tmp_path: Path
    ) -> None:
        stage = Stage(lab, tmp_path)
        verb.set_up(stage)
        verb.call(stage, Trusting())
        lab.wait(ON_ITS_WAY_S)
        before = stage.seen()
        verb.call(stage, Trusting())
        assert stage.seen() == before

    @every(starting=True)
    def test_no_guest_is_started_before_it_is_known_to_run_nowhere_else(
        self, verb: Verb, lab: Lab, tmp_path: Path
    ) -> None:
        stage = Stage(lab, tmp_path)
        verb.set_up(stage)
        fence = Alone()
        with pytest.raises(GuestOnTwoHosts):
            verb.call(stage, fence)
        uuid = verb.starts if isinstance(verb.starts, UUID) else lab.guest.uuid
        hosts = [lab.source, lab.destination]
        found = [guest for host in hosts if (guest := lab.driver(host).find_guest(uuid)) is not None]
        assert not any(guest.power_state is PowerState.RUNNING for guest in found)
        assert len(fence.asked) == 1

    @every(starting=True)
    def test_a_guest_is_started_when_it_is_known_to_run_nowhere_else(
        self, verb: Verb, lab: Lab, tmp_path: Path
    ) -> None:
        stage = Stage(lab, tmp_path)
        verb.set_up(stage)
        fence = Trusting()
        verb.call(stage, fence)
        uuid = verb.starts if isinstance(verb.starts, UUID) else lab.guest.uuid
        runs = [h for h in (lab.source, lab.destination) if is_running(lab, h, uuid)]
        assert [f"start on {host.name}" for host in runs] == [p for p in fence.proven if p != "effect"]


def is_running(lab: Lab, host: HostRef, uuid: UUID) -> bool:
    found = lab.driver(host).find_guest(uuid)
    return found is not None and found.power_state is PowerState.RUNNING
