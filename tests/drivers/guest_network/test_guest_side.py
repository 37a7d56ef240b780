"""What runs inside a guest, run for real: a namespace with interfaces, a shell, ifupdown."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from servers.drivers.base import Nic
from servers.drivers.guest_network import GuestFile, Interface, match
from servers.drivers.guest_network.ifupdown import Ifupdown
from servers.drivers.guest_network.script import Run, inject, reset
from tests.drivers.guest_network.namespace import Namespace, missing, namespace
from tests.drivers.guest_network.samples import FULL, MAC

pytestmark = [
    pytest.mark.skipif(missing() is not None, reason=missing() or ""),
    pytest.mark.skipif(shutil.which("ifup") is None, reason="ifupdown is not installed"),
]

MAIN = "/etc/network/interfaces"
OURS = "/etc/network/interfaces.d/gantry"
BEFORE = "auto lan0\niface lan0 inet static\n    address 198.51.100.5\n    netmask 255.255.255.0\n    gateway 198.51.100.1\n"
WANTED = {"192.0.2.10/24", "192.0.2.11/24", "2001:db8::10/64"}


APPLETS = ("ip", "ifup", "ifdown", "run-parts")
"""Of busybox, also where Debian's ifup would be found; its shell takes all others by itself."""


@contextmanager
def guest_of(shell: str, folder: Path) -> Iterator[Namespace]:
    """Make a guest whose network is kept by ifupdown, and set."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    with namespace(folder) as guest:
        if shell == "busybox":
            guest.busybox = True
            for applet in APPLETS:
                guest.tool(applet, f'exec busybox {applet} "$@"')
        guest.write(GuestFile(MAIN, BEFORE))
        guest.sh("mkdir -p /run/network; cd /etc/network; mkdir if-up.d if-pre-up.d if-down.d if-post-down.d")
        guest.sh("ifup lan0")
        yield guest


@pytest.fixture(params=["dash", "busybox"])
def guest(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Namespace]:
    with guest_of(request.param, tmp_path) as guest:
        yield guest


@pytest.fixture
def debian(tmp_path: Path) -> Iterator[Namespace]:
    """Return a guest in which a test can replace programs; busybox' shell prefers its own."""
    with guest_of("dash", tmp_path) as guest:
        yield guest


def order(guest: Namespace, *nics: Nic) -> tuple[tuple[Interface, ...], Run]:
    survey = guest.survey()
    interfaces = match(nics, survey)
    return interfaces, inject(Ifupdown, interfaces, Ifupdown.render(interfaces, survey.files))


def test_a_guest_says_which_format_it_has_and_which_links(guest: Namespace) -> None:
    survey = guest.survey()
    assert survey.formats == ("ifupdown",)
    assert survey.files[MAIN] == BEFORE
    assert survey.link(MAC).name == "lan0"


def test_what_is_injected_is_in_effect_at_once(guest: Namespace) -> None:
    _, run = order(guest, FULL)
    done = guest.do(run)
    assert done.returncode == 0, done.stderr
    assert guest.addresses() == WANTED
    assert guest.routes() == {
        "default via 192.0.2.1",
        "198.51.100.0/24 via 192.0.2.2",
        "2001:db8:1::/48 via 2001:db8::2",
    }
    assert guest.sh("cat /etc/resolv.conf") == "nameserver 192.0.2.53\nnameserver 2001:db8::53\n"


def test_what_is_injected_is_there_after_a_reboot(guest: Namespace) -> None:
    _, run = order(guest, FULL)
    guest.do(run)
    guest.sh("ifdown lan0; ip addr flush dev lan0; rm -f /run/network/ifstate /var/run/ifstate; ifup -a")
    assert guest.addresses() == WANTED
    assert "default via 192.0.2.1" in guest.routes()


def test_injecting_twice_is_injecting_once(guest: Namespace) -> None:
    for _ in range(2):
        _, run = order(guest, FULL)
        assert guest.do(run).returncode == 0
    assert guest.addresses() == WANTED


def test_another_address_takes_the_place_of_the_first(guest: Namespace) -> None:
    guest.do(order(guest, FULL)[1])
    guest.do(order(guest, replace(FULL, addresses=("192.0.2.77/24",), routes=()))[1])
    assert guest.addresses() == {"192.0.2.77/24"}


def assert_as_before(guest: Namespace) -> None:
    assert guest.addresses() == {"198.51.100.5/24"}
    assert guest.routes() == {"default via 198.51.100.1"}
    assert guest.sh(f"cat {MAIN}") == BEFORE
    assert guest.sh(f"ls {OURS} 2>/dev/null || echo none") == "none\n"
    assert guest.sh("ls /run/gantry-network 2>/dev/null || echo none") == "none\n"


def refusing_ours(instead: str) -> str:
    """Return an ifup that does something else with what was injected."""
    return f'case $(cat {MAIN}) in *gantry*) {instead};; esac; exec /sbin/ifup "$@"'


def test_a_network_that_cannot_be_set_leaves_the_guest_as_it_was(debian: Namespace) -> None:
    debian.tool("ifup", refusing_ours('echo "no way" >&2; exit 1'))
    done = debian.do(order(debian, FULL)[1])
    assert done.returncode == 1
    assert "no way" in done.stderr
    assert_as_before(debian)


def test_addresses_that_do_not_appear_leave_the_guest_as_it_was(debian: Namespace) -> None:
    debian.tool("ifup", refusing_ours("exit 0"))
    debian.tool("sleep", "exit 0")
    done = debian.do(order(debian, FULL)[1])
    assert done.returncode == 1
    assert "not set after 20 s: lan0 192.0.2.10/24" in done.stderr
    assert_as_before(debian)


def test_a_file_that_cannot_be_written_leaves_the_guest_as_it_was(guest: Namespace) -> None:
    interfaces, _ = order(guest, FULL)
    files = (GuestFile(MAIN, "# gantry\n"), GuestFile("/proc/no/such/folder", ""))
    assert guest.do(inject(Ifupdown, interfaces, files)).returncode == 1
    assert_as_before(guest)


def test_an_order_that_arrives_in_part_changes_nothing(guest: Namespace) -> None:
    _, run = order(guest, FULL)
    done = guest.do(replace(run, stdin=run.stdin[: len(run.stdin) // 2]))
    assert done.returncode == 1
    assert "did not arrive whole" in done.stderr
    assert_as_before(guest)


def test_addresses_that_were_set_by_hand_come_back_as_well(debian: Namespace) -> None:
    debian.sh(
        "ifdown lan0; ip link set lan0 up; ip addr add 203.0.113.9/24 dev lan0; ip route add default via 203.0.113.1"
    )
    debian.write(GuestFile(MAIN, "auto lo\niface lo inet loopback\n"))
    debian.tool("ifup", "exit 1")
    assert debian.do(order(debian, FULL)[1]).returncode == 1
    assert debian.addresses() == {"203.0.113.9/24"}
    assert debian.routes() == {"default via 203.0.113.1"}


def test_a_change_whose_process_is_gone_holds_nobody_up(guest: Namespace) -> None:
    guest.sh("mkdir /run/gantry-network; echo 4194305 > /run/gantry-network/pid")
    assert guest.do(order(guest, FULL)[1]).returncode == 0


def test_interfaces_are_down_and_up_again_with_what_they_had(guest: Namespace) -> None:
    guest.sh("ip addr add 203.0.113.9/24 dev lan0")
    done = guest.do(reset(Ifupdown, ["lan0"]))
    assert done.returncode == 0, done.stderr
    assert guest.addresses() == {"198.51.100.5/24"}
    assert guest.routes() == {"default via 198.51.100.1"}


def test_what_no_program_keeps_is_put_back_after_a_reset(guest: Namespace) -> None:
    done = guest.do(reset(None, ["lan0"]))
    assert done.returncode == 0, done.stderr
    assert guest.addresses() == {"198.51.100.5/24"}
    assert guest.routes() == {"default via 198.51.100.1"}


def test_an_interface_that_does_not_come_up_is_a_failure(guest: Namespace) -> None:
    assert guest.do(reset(None, ["lan9"])).returncode == 1
