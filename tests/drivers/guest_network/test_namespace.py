"""Tests run as root must not change the machine on which they run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers.drivers.guest_network import GuestFile
from servers.drivers.guest_network.script import Run
from tests.drivers.guest_network.namespace import Namespace, missing, namespace

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[Namespace]:
    with namespace(tmp_path) as guest:
        yield guest


def test_what_a_guest_writes_to_etc_does_not_reach_the_machine(guest: Namespace) -> None:
    before = Path("/etc/hosts").read_bytes()
    guest.write(GuestFile("/etc/hosts", "192.0.2.1 elsewhere\n"))
    assert guest.sh("cat /etc/hosts") == "192.0.2.1 elsewhere\n"
    assert Path("/etc/hosts").read_bytes() == before


@pytest.mark.parametrize("folder", ["/usr", "/var", "/tmp", "/root"])
def test_a_guest_cannot_write_elsewhere(guest: Namespace, folder: str) -> None:
    done = guest.do(Run(("-c", 'echo x > "$1/gantry-test"', "write", folder)))
    assert done.returncode != 0
    assert "Read-only file system" in done.stderr


def test_a_guest_does_not_see_how_the_machine_finds_names(guest: Namespace) -> None:
    assert guest.sh("cat /etc/resolv.conf") == "nameserver 203.0.113.99\n"


def test_a_command_that_would_run_on_the_machine_itself_is_not_run(tmp_path: Path) -> None:
    machine = Namespace(os.getpid(), tmp_path)
    done = machine.do(Run(("-c", 'touch "$1"', "write", str(tmp_path / "written"))))
    assert done.returncode == 99
    assert not (tmp_path / "written").exists()
