"""What a move has left on a host is taken away, started or ended by that move alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from servers.errors import BelongsToAnother
from tests.drivers.contract import cold, ignore, live, move_cold, power_of, prepare
from tests.drivers.fences import ANOTHER, Trusting
from tests.drivers.fleet import GUEST, SimulatedLab

Verb = Callable[[SimulatedLab], object]


def somebody() -> Trusting:
    return Trusting(ANOTHER)


AFTER_A_COLD_MOVE: dict[str, Verb] = {
    "discard": lambda lab: cold(lab, lab.destination, somebody()).discard(GUEST),
    "confirm": lambda lab: cold(lab, lab.source, somebody()).confirm(GUEST),
    "finish": lambda lab: cold(lab, lab.destination, somebody()).finish(GUEST, lab.source, power_on=True),
    "finish_revert": lambda lab: cold(lab, lab.source, somebody()).finish_revert(GUEST, power_on=False),
    "power_off": lambda lab: power_of(lab, lab.destination, somebody()).power_off(GUEST),
    "move_disk_and_power_off": lambda lab: cold(lab, lab.destination, somebody()).move_disk_and_power_off(
        GUEST, lab.source, ignore
    ),
}


@pytest.mark.parametrize("verb", list(AFTER_A_COLD_MOVE))
def test_what_a_cold_move_has_made_is_left_alone_by_another_one(verb: str, lab: SimulatedLab) -> None:
    move_cold(lab)
    before = everything(lab)
    with pytest.raises(BelongsToAnother):
        AFTER_A_COLD_MOVE[verb](lab)
    assert everything(lab) == before


def test_destination_that_one_move_has_prepared_is_not_cleared_by_another_one(lab: SimulatedLab) -> None:
    prepare(lab)
    before = everything(lab)
    with pytest.raises(BelongsToAnother):
        live(lab, lab.destination, somebody()).discard(GUEST)
    assert everything(lab) == before


def everything(lab: SimulatedLab) -> object:
    """Return where the guest is, where it runs, and what is on its disks."""
    hosts = [host.name for host in (lab.source, lab.destination)]
    disks = [lab.fleet.disk_md5(host, GUEST.uuid) for host in hosts]
    return lab.fleet.defined_on(GUEST.uuid), lab.fleet.running_on(GUEST.uuid), disks
