"""A driver says for each ability by which class it has it: one that does not is refused when it is imported."""

from __future__ import annotations

from typing import Any

import pytest

from servers.drivers.base import ABILITIES, Driver, Guest, Power
from servers.drivers.simulated.driver import SimulatedDriver
from servers.states import PowerState


class PartialPower(Power):
    """It keeps none of its promises."""


class PowerThatIsKept(Power):
    def power_off(self, guest: Guest) -> PowerState:
        return PowerState.SHUTDOWN


def declare(**said: Any) -> type[Driver]:
    return type(
        "ToyDriver",
        (Driver,),
        {"__annotations__": dict.fromkeys(ABILITIES, None) | said, "__module__": __name__},
    )


def test_driver_that_does_not_mention_an_ability_is_refused_by_name() -> None:
    said: dict[str, Any] = dict.fromkeys(ABILITIES)
    del said["backup"]
    with pytest.raises(TypeError, match="ToyDriver does not say by what it has backup, or None"):
        type("ToyDriver", (Driver,), {"__annotations__": said, "__module__": __name__})


def test_driver_whose_ability_lacks_a_verb_is_refused_with_the_verb() -> None:
    with pytest.raises(TypeError, match=r"ToyDriver has no .*power_off.*, which Power promises"):
        declare(power=PartialPower)


def test_driver_may_say_that_it_has_none() -> None:
    assert issubclass(declare(), Driver)


@pytest.mark.parametrize("name", list(ABILITIES))
def test_simulated_driver_has_every_ability(name: str) -> None:
    assert name in SimulatedDriver.__annotations__
