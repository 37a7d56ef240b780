"""Connections to libvirt hosts: one for each that is asked, none for one that was removed."""

from __future__ import annotations

import gc
import time

import pytest

libvirt = pytest.importorskip("libvirt", reason="libvirt-python is not installed: make lab")

from servers.drivers.libvirt import connections  # noqa: E402
from servers.drivers.libvirt.connections import Connections  # noqa: E402

KEPT, REMOVED = "test:///default", "test:///default?removed"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "IDLE_S", 0.3)


def ask_the_kept_one(made: Connections) -> None:
    until = time.monotonic() + 1
    while time.monotonic() < until:
        made.get(KEPT)
        time.sleep(0.05)


def test_a_host_that_nobody_asks_any_more_is_forgotten_and_one_that_is_asked_is_not(impatient: None) -> None:
    made = Connections()
    kept = made.get(KEPT)
    made.get(REMOVED)
    ask_the_kept_one(made)
    assert made.get(KEPT) is kept
    assert list(made._open) == list(made._asked_at) == [KEPT]
    assert made._opening == {}


def test_whoever_still_works_with_a_forgotten_connection_can_end_its_work(impatient: None) -> None:
    made = Connections()
    domain = made.get(REMOVED).lookupByName("test")
    ask_the_kept_one(made)
    gc.collect()
    assert domain.isActive() in (0, 1)
    assert made.get(REMOVED).isAlive()
