"""A live migration meets every failure: afterwards the guest runs on exactly one host, and the fault says so."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from servers.drivers.base import HostRef, MoveOptions, Progress
from servers.drivers.libvirt import guest_presence
from servers.drivers.libvirt.connections import CONNECTIONS
from servers.drivers.libvirt.guest_presence import Presence
from servers.errors import (
    DiskMoveRolledBack,
    DriverFault,
    GuestOnTwoHosts,
    HypervisorTimeout,
    HypervisorUnavailable,
    MigrationAborted,
    MigrationFailed,
)
from servers.states import PowerState
from tests.drivers.contract import cold, ignore, live, move, move_cold, once, power, prepare
from tests.lab.hosts import wait_for
from tests.lab.stage import LibvirtLab


def in_memory(do: Callable[[], object]) -> Callable[[Progress], None]:
    """Return an on_progress that does something once, as soon as memory is being copied."""
    act = once(do)
    return lambda progress: act(progress) if progress.memory_processed_bytes else None


def assert_runs_on(lab: LibvirtLab, *names: str) -> None:
    """Assert that the guest is heard from just these hosts."""
    assert lab.beating() == list(names)


def test_destination_libvirtd_dies(lab: LibvirtLab) -> None:
    with pytest.raises(MigrationFailed):
        move(lab, in_memory(lab.host(lab.destination).stop_libvirtd))
    assert_runs_on(lab, "node1")
    assert power(lab, lab.source) is PowerState.RUNNING


def test_destination_qemu_dies(lab: LibvirtLab) -> None:
    with pytest.raises(MigrationFailed):
        move(lab, in_memory(lambda: lab.host(lab.destination).kill_guest("web")))
    assert_runs_on(lab, "node1")
    assert power(lab, lab.destination) is None


def test_destination_host_dies(lab: LibvirtLab) -> None:
    with pytest.raises(MigrationFailed):
        move(lab, in_memory(lab.host(lab.destination).crash))
    assert_runs_on(lab, "node1")
    assert power(lab, lab.source) is PowerState.RUNNING


def test_source_libvirtd_dies_and_the_outcome_is_unknown_until_it_is_back(lab: LibvirtLab) -> None:
    host = lab.host(lab.source)
    with pytest.raises(HypervisorTimeout):
        move(lab, in_memory(host.stop_libvirtd))
    with pytest.raises(HypervisorUnavailable):
        lab.driver(lab.source).find_guest(lab.guest.uuid)
    assert_runs_on(lab, "node1")
    host.start_libvirtd()
    assert power(lab, lab.source) is PowerState.RUNNING
    live(lab, lab.destination).discard(lab.guest)
    move(lab)
    assert_runs_on(lab, "node2")


def test_the_network_is_cut(lab: LibvirtLab) -> None:
    """QEMU lets a guest stand still while it waits for a disk's copy: nobody can know more before the cable is back."""
    with pytest.raises((MigrationFailed, HypervisorTimeout)):
        move(lab, in_memory(lab.host(lab.destination).cut))
    assert "node2" not in lab.beating()
    lab.host(lab.destination).heal()
    wait_for("node2 is empty", lambda: settled(lab, lab.destination) is Presence.ABSENT, 90, 1)
    wait_for("the guest is at home", lambda: settled(lab, lab.source) is Presence.ALIVE, 90, 1)
    assert lab.heartbeat() > 0
    assert_runs_on(lab, "node1")


def settled(lab: LibvirtLab, host: HostRef) -> Presence | None:
    """Return how the guest is on a host, None while that cannot be told."""
    try:
        return guest_presence.ask(lab.driver(host).session, lab.guest)
    except DriverFault:
        return None


def test_source_qemu_dies(lab: LibvirtLab) -> None:
    with pytest.raises(DriverFault):
        move(lab, in_memory(lambda: lab.host(lab.source).kill_guest("web")))
    assert_runs_on(lab)
    assert power(lab, lab.destination) is None
    assert lab.disk_md5(lab.source) is not None


def test_a_guest_that_never_converges_is_aborted_in_time(lab: LibvirtLab) -> None:
    lab.make_busy()
    with pytest.raises(MigrationAborted):
        move(lab, options=replace(lab.slow, completion_timeout_s=4))
    assert_runs_on(lab, "node1")


def test_auto_converge_slows_a_busy_guest_down_until_it_moves(lab: LibvirtLab) -> None:
    lab.make_busy()
    move(lab, options=MoveOptions(bandwidth_mib_s=20, auto_converge=True))
    assert_runs_on(lab, "node2")


def test_a_full_destination_keeps_the_guest_where_it_is(lab: LibvirtLab) -> None:
    images = lab.host(lab.destination).images
    prepare(lab)
    lab.host(lab.destination).inside(
        "mount", "-t", "tmpfs", "-o", "size=2M", "none", "/var/lib/libvirt/images"
    )
    try:
        with lab.connected(lab.host(lab.destination)) as connection:
            connection.storagePoolLookupByName("default").refresh()
        with pytest.raises(MigrationFailed):
            move(lab)
    finally:
        lab.host(lab.destination).inside("umount", "/var/lib/libvirt/images")
    assert_runs_on(lab, "node1")
    assert images.exists()


def test_a_full_destination_rolls_a_cold_migration_back(lab: LibvirtLab) -> None:
    host = lab.host(lab.destination)
    host.inside("mount", "-t", "tmpfs", "-o", "size=2M", "none", "/var/lib/libvirt/images")
    try:
        with lab.connected(host) as connection:
            connection.storagePoolLookupByName("default").refresh()
        with pytest.raises(DiskMoveRolledBack):
            cold(lab, lab.source).move_disk_and_power_off(lab.guest, lab.destination, ignore)
    finally:
        host.inside("umount", "/var/lib/libvirt/images")
    assert power(lab, lab.source) is PowerState.RUNNING
    wait_for("the guest counts again", lambda: lab.heartbeat() > 0, 60)


def test_a_guest_is_not_finished_while_its_source_cannot_be_asked(lab: LibvirtLab) -> None:
    cold(lab, lab.source).move_disk_and_power_off(lab.guest, lab.destination, ignore)
    lab.host(lab.source).stop_libvirtd()
    with pytest.raises(HypervisorUnavailable):
        cold(lab, lab.destination).finish(lab.guest, lab.source, power_on=True)
    assert power(lab, lab.destination) is None


def test_a_copy_is_not_discarded_when_the_source_has_no_guest_any_more(lab: LibvirtLab) -> None:
    move_cold(lab)
    with lab.connected(lab.host(lab.source)) as connection:
        connection.lookupByUUIDString(str(lab.guest.uuid)).undefine()
    with pytest.raises(DriverFault):
        cold(lab, lab.destination).discard(lab.guest)
    assert power(lab, lab.destination) is PowerState.RUNNING
    assert lab.disk_md5(lab.destination) is not None


def test_a_guest_that_was_never_copied_is_not_discarded(lab: LibvirtLab) -> None:
    with pytest.raises(GuestOnTwoHosts):
        cold(lab, lab.source).discard(lab.guest)
    assert power(lab, lab.source) is PowerState.RUNNING


def test_a_file_of_somebody_else_is_not_overwritten(lab: LibvirtLab) -> None:
    file = lab.host(lab.destination).images / "web.qcow2"
    file.write_bytes(b"precious")
    with lab.connected(lab.host(lab.destination)) as connection:
        connection.storagePoolLookupByName("default").refresh()
    with pytest.raises(DriverFault, match="already"):
        prepare(lab)
    with pytest.raises(DiskMoveRolledBack, match="already"):
        cold(lab, lab.source).move_disk_and_power_off(lab.guest, lab.destination, ignore)
    assert file.read_bytes() == b"precious"


def test_a_guest_that_starts_with_its_host_does_not_while_it_waits_to_be_confirmed(lab: LibvirtLab) -> None:
    with lab.connected(lab.host(lab.source)) as connection:
        connection.lookupByUUIDString(str(lab.guest.uuid)).setAutostart(1)
    move_cold(lab)
    lab.host(lab.source).crash()
    lab.host(lab.source).start()
    assert power(lab, lab.source) is PowerState.SHUTDOWN
    wait_for("the guest counts", lambda: lab.heartbeat() > 0, 60)
    assert_runs_on(lab, "node2")
    with lab.connected(lab.host(lab.destination)) as connection:
        assert connection.lookupByUUIDString(str(lab.guest.uuid)).autostart()


MOVER = """
import os, sys
from tests.drivers.fences import Trusting
from tests.lab.stage import GUEST, SETTINGS
from servers.drivers.base import HostRef, MoveOptions
from servers.drivers.libvirt import LibvirtDriver
source, destination = (HostRef(name, "libvirt", uri, "qemu") for name, uri in (a.split("=") for a in sys.argv[1:]))
LibvirtDriver(source, Trusting(), SETTINGS).live_migration.move(
    GUEST, destination, MoveOptions(bandwidth_mib_s=15),
    lambda progress: print("moving", flush=True), block_migration=True)
"""


def test_a_killed_worker_leaves_its_move_running_and_the_next_one_attaches(lab: LibvirtLab) -> None:
    prepare(lab)
    refs = [f"{ref.name}={ref.uri}" for ref in (lab.source, lab.destination)]
    with subprocess.Popen(
        [sys.executable, "-c", MOVER, *refs], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "moving\n"
        worker.send_signal(signal.SIGKILL)
    found = lab.driver(lab.source).find_guest(lab.guest.uuid)
    assert found is not None
    assert found.job_destination == "node2"
    live(lab, lab.source).move(lab.guest, lab.destination, lab.slow, ignore, block_migration=True)
    assert_runs_on(lab, "node2")


def test_a_dead_host_does_not_hold_up_questions_to_another(lab: LibvirtLab) -> None:
    lab.host(lab.destination).cut()
    started = time.monotonic()
    assert power(lab, lab.source) is PowerState.RUNNING
    assert time.monotonic() - started < 5
    with pytest.raises(HypervisorUnavailable):
        lab.driver(lab.destination).describe()
    lab.host(lab.destination).heal()
    wait_for("node2 answers again", lambda: answers(lab), 60, 1)


def answers(lab: LibvirtLab) -> bool:
    try:
        return bool(lab.driver(lab.destination).describe())
    except HypervisorUnavailable:
        return False


def test_a_stopped_libvirtd_is_a_host_that_does_not_answer(lab: LibvirtLab) -> None:
    host = lab.host(lab.source)
    assert CONNECTIONS.get(lab.source.uri).isAlive()
    pid = (host.folder / "libvirtd.pid").read_text()
    host.inside("kill", "-STOP", pid)
    try:
        with pytest.raises(HypervisorUnavailable):
            lab.driver(lab.source).describe()
    finally:
        host.inside("kill", "-CONT", pid)
