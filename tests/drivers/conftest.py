"""The lab in which the drivers are tested."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from servers import clock
from tests.drivers.fleet import SimulatedLab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[SimulatedLab]:
    """Return the simulated lab; a module of another driver has a fixture of the same name."""
    with clock.use(clock.VirtualClock()):
        yield SimulatedLab(tmp_path / "fleet" / "store.sqlite3")
