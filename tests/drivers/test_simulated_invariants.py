"""Whatever is asked in whatever order: the guest never runs twice, and it is never lost."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from servers import clock
from servers.drivers.base import HostRef, MoveOptions, Progress
from servers.errors import DriverFault
from tests.drivers.contract import Interrupted, cold, ignore, let_go, live, power_of
from tests.drivers.fleet import GUEST, SimulatedLab

FAST = MoveOptions(bandwidth_mib_s=400, post_copy=True)
Deed = Callable[[SimulatedLab, HostRef, HostRef], object]


def _move(lab: SimulatedLab, here: HostRef, there: HostRef, on_progress: Callable[[Progress], None]) -> None:
    live(lab, there).prepare(GUEST, here, block_migration=True)
    live(lab, here).move(GUEST, there, FAST, on_progress, block_migration=True)


PAST_ACTIONS: dict[str, Deed] = {
    "move": lambda lab, here, there: _move(lab, here, there, ignore),
    "begin to move": lambda lab, here, there: _move(lab, here, there, let_go),
    "prepare": lambda lab, here, there: live(lab, there).prepare(GUEST, here, block_migration=True),
    "discard": lambda lab, here, _: live(lab, here).discard(GUEST),
    "clean source": lambda lab, here, _: live(lab, here).clean_source(GUEST),
    "abort": lambda lab, here, _: live(lab, here).abort(GUEST),
    "force complete": lambda lab, here, _: live(lab, here).force_complete(GUEST),
    "move disks": lambda lab, here, there: cold(lab, here).move_disk_and_power_off(GUEST, there, ignore),
    "begin to move disks": lambda lab, here, there: cold(lab, here).move_disk_and_power_off(
        GUEST, there, let_go
    ),
    "finish": lambda lab, here, there: cold(lab, here).finish(GUEST, there, power_on=True),
    "finish stopped": lambda lab, here, there: cold(lab, here).finish(GUEST, there, power_on=False),
    "finish revert": lambda lab, here, _: cold(lab, here).finish_revert(GUEST, power_on=True),
    "power off": lambda lab, here, _: power_of(lab, here).power_off(GUEST),
    "lose": lambda lab, here, _: lab.fleet.lose_host(here.name),
    "restore": lambda lab, here, _: lab.fleet.restore_host(here.name),
    "wait": lambda lab, *_: lab.wait(0.4),
    "wait long": lambda lab, *_: lab.wait(60),
}


@settings(max_examples=60, deadline=None)
@given(
    deeds=st.lists(st.tuples(st.sampled_from(sorted(PAST_ACTIONS)), st.booleans()), min_size=3, max_size=15)
)
def test_the_guest_is_always_somewhere_and_never_runs_twice(deeds: list[tuple[str, bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder, clock.use(clock.VirtualClock()):
        lab = SimulatedLab(Path(folder) / "store")
        content = lab.disk_md5(lab.source)
        for deed, turned in deeds:
            here, there = (lab.destination, lab.source) if turned else (lab.source, lab.destination)
            with suppress(DriverFault, Interrupted):
                PAST_ACTIONS[deed](lab, here, there)
            hosts = lab.fleet.defined_on(GUEST.uuid)
            assert hosts
            runs = lab.fleet.running_on(GUEST.uuid)
            assert all(lab.fleet.disk_md5(h, GUEST.uuid) == content for h in ([runs] if runs else hosts))
