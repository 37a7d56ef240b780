"""The files of every format, judged by the format's own tools."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers.drivers.base import Nic
from servers.drivers.guest_network import Format, GuestFile
from servers.drivers.guest_network.ifupdown import Ifupdown
from servers.drivers.guest_network.netplan import Netplan
from servers.drivers.guest_network.network_manager import NetworkManager
from servers.drivers.guest_network.networkd import Networkd
from servers.drivers.guest_network.script import inject
from tests.drivers.guest_network.namespace import Namespace, missing, namespace
from tests.drivers.guest_network.samples import FAR, FULL, SIX, interfaces

NETWORKD = Path("/lib/systemd/systemd-networkd")
SAMPLES = pytest.mark.parametrize("nic", [FULL, SIX, FAR], ids=lambda nic: nic.network)
INSTALLER = GuestFile(
    "/etc/netplan/50-cloud-init.yaml",
    "network: {version: 2, ethernets: {eth0: {match: {macaddress: '52:54:00:00:00:01'}, dhcp4: true}}}\n",
    0o600,
)


def needs(tool: str | Path) -> pytest.MarkDecorator:
    found = shutil.which(tool)
    return pytest.mark.skipif(found is None, reason=f"{tool} is not installed")


IN_NAMESPACE = pytest.mark.skipif(missing() is not None, reason=missing() or "")


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[Namespace]:
    with namespace(tmp_path) as guest:
        yield guest


def files(style: type[Format], nic: Nic) -> tuple[GuestFile, ...]:
    return style.render(interfaces(nic), {})


def put(root: Path, *written: GuestFile) -> None:
    for file in written:
        path = root / file.path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.text)
        path.chmod(file.mode)


@needs("netplan")
@SAMPLES
def test_netplan_accepts_its_file(nic: Nic, tmp_path: Path) -> None:
    put(tmp_path, INSTALLER, *files(Netplan, nic))
    done = subprocess.run(
        ["netplan", "generate", "--root-dir", str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


@needs("netplan")
def test_netplan_lets_networkd_take_ours_first(tmp_path: Path) -> None:
    put(tmp_path, INSTALLER, *files(Netplan, FULL))
    subprocess.run(["netplan", "generate", "--root-dir", str(tmp_path)], check=True, timeout=60)
    first, *_ = sorted((tmp_path / "run/systemd/network").glob("*.network"))
    assert "Address=192.0.2.10/24" in first.read_text()


@needs("netplan")
def test_netplan_refuses_what_is_wrong(tmp_path: Path) -> None:
    """The checker is worth something: it does not accept all."""
    (good,) = files(Netplan, FULL)
    put(tmp_path, GuestFile(good.path, good.text.replace("192.0.2.10/24", "192.0.2.300/24"), 0o600))
    done = subprocess.run(
        ["netplan", "generate", "--root-dir", str(tmp_path)], capture_output=True, timeout=60
    )
    assert done.returncode != 0


@needs("nmcli")
@SAMPLES
def test_network_manager_reads_its_file_whole(nic: Nic) -> None:
    """What nmcli does not understand it leaves out when it writes a connection again."""
    (file,) = files(NetworkManager, nic)
    done = subprocess.run(
        ["nmcli", "--offline", "connection", "modify"],
        input=file.text,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    mine, theirs = settings(file.text), settings(done.stdout)
    assert {key: theirs.get(key) for key in mine} == mine


def settings(keyfile: str) -> dict[tuple[str, str], str]:
    """Return a keyfile as settings, each as nmcli writes it."""
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",))
    parser.read_string(keyfile)
    return {(section, key): value for section in parser.sections() for key, value in parser[section].items()}


@needs("ifup")
@SAMPLES
def test_ifupdown_accepts_its_file(nic: Nic, tmp_path: Path) -> None:
    text = "".join(file.text for file in files(Ifupdown, nic) if file.path.endswith("/gantry"))
    path = tmp_path / "interfaces"
    path.write_text(text)
    done = subprocess.run(
        ["ifup", "--no-act", "--interfaces", str(path), "--state-dir", str(tmp_path), "--all", "--verbose"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "ip addr add" in done.stderr or "ip -6 addr add" in done.stderr


class TestRunning:
    """systemd has no checker for .network files: networkd itself takes them, in a namespace."""

    pytestmark = [IN_NAMESPACE, needs(NETWORKD)]
    START = f"""
        kill $(cat /run/networkd.pid) 2>/dev/null
        SYSTEMD_LOG_LEVEL=info {NETWORKD} >/run/networkd.log 2>&1 &
        echo $! > /run/networkd.pid"""
    GENERATE = """
        netplan generate || return 1
        sed -i s/^PermanentMACAddress=/MACAddress=/ /run/systemd/network/*gantry*"""

    @pytest.mark.parametrize(
        ("nic", "name", "addresses", "routes"),
        [
            (
                FULL,
                "lan0",
                {"192.0.2.10/24", "192.0.2.11/24", "2001:db8::10/64"},
                {
                    "default via 192.0.2.1",
                    "198.51.100.0/24 via 192.0.2.2",
                    "2001:db8:1::/48 via 2001:db8::2",
                },
            ),
            (FAR, "lan1", {"203.0.113.7/32"}, {"default via 198.51.100.1"}),
            (SIX, "lan1", {"2001:db8:2::10/64"}, {"default via fe80::1"}),
        ],
        ids=["full", "far", "six"],
    )
    @pytest.mark.parametrize("style", [Networkd, pytest.param(Netplan, marks=needs("netplan"))])
    def test_networkd_sets_what_was_injected(
        self,
        guest: Namespace,
        style: type[Format],
        nic: Nic,
        name: str,
        addresses: set[str],
        routes: set[str],
    ) -> None:
        guest.write(
            GuestFile("/etc/systemd/network/10-other.network", "[Match]\nName=lan*\n[Network]\nDHCP=yes\n")
        )
        guest.sh(self.START)

        class Restarted(style):  # type: ignore[valid-type, misc]
            """networkctl needs a D-Bus, which a namespace has not; and a veth has no permanent address."""

            apply = self.GENERATE * (style is Netplan) + self.START

        ours = interfaces(nic)
        done = guest.do(inject(Restarted, ours, style.render(ours, {})))
        assert done.returncode == 0, done.stderr + guest.sh("cat /run/networkd.log")
        assert guest.addresses(name) == addresses
        assert guest.routes(name) == routes
        assert "ignoring" not in [
            line for line in guest.sh("cat /run/networkd.log").splitlines() if "gantry" in line
        ]
