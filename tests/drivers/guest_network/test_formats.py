"""The files of every format, read back with parsers of their syntax."""

from __future__ import annotations

from configparser import ConfigParser

import pytest
import yaml

from servers.drivers.base import Nic
from servers.drivers.guest_network import FORMATS, Format, GuestFile
from servers.drivers.guest_network.ifupdown import Ifupdown, without
from servers.drivers.guest_network.netplan import Netplan
from servers.drivers.guest_network.network_manager import NetworkManager
from servers.drivers.guest_network.networkd import Networkd
from tests.drivers.guest_network.samples import FAR, FULL, MAC, SIX, interfaces

MAIN = "/etc/network/interfaces"


def rendered(style: type[Format], *nics: Nic, **present: str) -> dict[str, GuestFile]:
    return {file.path: file for file in style.render(interfaces(*nics), present)}


def keyfile(text: str) -> ConfigParser:
    parser = ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment]
    parser.read_string(text)
    return parser


def sections(text: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return a networkd file as sections, in which keys may stand several times."""
    found: list[tuple[str, list[tuple[str, str]]]] = []
    for line in text.splitlines():
        if line.startswith("["):
            found.append((line[1:-1], []))
        elif line:
            key, _, value = line.partition("=")
            found[-1][1].append((key, value))
    return found


@pytest.mark.parametrize("style", FORMATS, ids=lambda style: style.name)
def test_the_same_information_gives_the_same_files(style: type[Format]) -> None:
    assert rendered(style, FULL, SIX) == rendered(style, FULL, SIX)


@pytest.mark.parametrize("style", FORMATS, ids=lambda style: style.name)
def test_every_address_gateway_and_route_is_written(style: type[Format]) -> None:
    text = "".join(file.text for file in rendered(style, FULL).values())
    for word in ("192.0.2.10", "192.0.2.11/24", "2001:db8::10", "192.0.2.1", "198.51.100.0/24", "192.0.2.2"):
        assert word in text
    for word in ("2001:db8:1::/48", "2001:db8::2", "192.0.2.53", "2001:db8::53"):
        assert word in text


class TestNetplan:
    def test_one_file_holds_all_interfaces_by_hardware_address(self) -> None:
        (file,) = rendered(Netplan, FULL, SIX).values()
        document = yaml.safe_load(file.text)
        assert document["network"]["version"] == 2
        first, second = document["network"]["ethernets"].values()
        assert first == {
            "match": {"macaddress": MAC},
            "dhcp4": False,
            "dhcp6": False,
            "addresses": ["192.0.2.10/24", "192.0.2.11/24", "2001:db8::10/64"],
            "routes": [
                {"to": "0.0.0.0/0", "via": "192.0.2.1", "metric": 100},
                {"to": "198.51.100.0/24", "via": "192.0.2.2"},
                {"to": "2001:db8:1::/48", "via": "2001:db8::2"},
            ],
            "nameservers": {"addresses": ["192.0.2.53", "2001:db8::53"]},
        }
        assert second["routes"] == [{"to": "::/0", "via": "fe80::1", "metric": 100}]

    def test_a_far_gateway_is_on_the_link(self) -> None:
        (file,) = rendered(Netplan, FAR).values()
        (ethernet,) = yaml.safe_load(file.text)["network"]["ethernets"].values()
        assert ethernet["routes"][0]["on-link"] is True

    def test_the_file_is_readable_by_root_alone(self) -> None:
        (file,) = rendered(Netplan, FULL).values()
        assert file.mode == 0o600

    def test_ours_comes_before_what_an_installer_calls_its_interfaces(self) -> None:
        (file,) = rendered(Netplan, FULL).values()
        (name,) = yaml.safe_load(file.text)["network"]["ethernets"]
        assert sorted([name, "all-en", "ens3", "eth0", "nic0"])[0] == name


class TestNetworkd:
    def test_the_file_matches_by_hardware_address(self) -> None:
        (file,) = rendered(Networkd, FULL).values()
        assert sections(file.text) == [
            ("Match", [("MACAddress", MAC), ("Type", "ether")]),
            (
                "Network",
                [
                    ("Address", "192.0.2.10/24"),
                    ("Address", "192.0.2.11/24"),
                    ("Address", "2001:db8::10/64"),
                    ("DNS", "192.0.2.53"),
                    ("DNS", "2001:db8::53"),
                ],
            ),
            ("Route", [("Destination", "0.0.0.0/0"), ("Gateway", "192.0.2.1"), ("Metric", "100")]),
            ("Route", [("Destination", "198.51.100.0/24"), ("Gateway", "192.0.2.2")]),
            ("Route", [("Destination", "2001:db8:1::/48"), ("Gateway", "2001:db8::2")]),
        ]

    def test_a_far_gateway_is_on_the_link(self) -> None:
        (file,) = rendered(Networkd, FAR).values()
        assert ("GatewayOnLink", "yes") in sections(file.text)[-1][1]

    def test_ours_comes_before_other_files(self) -> None:
        (path,) = rendered(Networkd, FULL)
        assert (
            sorted([path, "/etc/systemd/network/05-a.network", "/etc/systemd/network/10-netplan-a.network"])[
                0
            ]
            == path
        )

    def test_name_servers_go_to_a_resolv_conf_that_nobody_writes(self) -> None:
        files = rendered(
            Networkd, FULL, **{"/etc/resolv.conf": "search example\nnameserver 192.0.2.99\noptions edns0\n"}
        )
        assert files["/etc/resolv.conf"].text == (
            "search example\noptions edns0\nnameserver 192.0.2.53\nnameserver 2001:db8::53\n"
        )


class TestNetworkManager:
    def test_a_connection_is_bound_to_a_hardware_address(self) -> None:
        (file,) = rendered(NetworkManager, FULL).values()
        connection = keyfile(file.text)
        assert connection["ethernet"]["mac-address"] == MAC.upper()
        assert connection["connection"]["id"] == f"gantry-{MAC}"
        assert connection["connection"]["autoconnect-priority"] == "999"
        assert dict(connection["ipv4"]) == {
            "method": "manual",
            "address1": "192.0.2.10/24",
            "address2": "192.0.2.11/24",
            "route1": "0.0.0.0/0,192.0.2.1,100",
            "route2": "198.51.100.0/24,192.0.2.2",
            "dns": "192.0.2.53;",
        }
        assert dict(connection["ipv6"]) == {
            "method": "manual",
            "address1": "2001:db8::10/64",
            "route1": "2001:db8:1::/48,2001:db8::2",
            "dns": "2001:db8::53;",
        }

    def test_a_family_without_addresses_is_not_manual(self) -> None:
        (file,) = rendered(NetworkManager, FAR).values()
        assert keyfile(file.text)["ipv6"]["method"] == "auto"
        assert keyfile(file.text)["ipv4"]["route1_options"] == "onlink=true"

    def test_the_file_is_readable_by_root_alone(self) -> None:
        """NetworkManager ignores a keyfile that others may read."""
        (file,) = rendered(NetworkManager, FULL).values()
        assert file.mode == 0o600


class TestIfupdown:
    def test_ours_is_a_file_of_its_own_and_is_read_by_the_main_file(self) -> None:
        files = rendered(Ifupdown, FULL, **{MAIN: "auto lo\niface lo inet loopback\n"})
        assert files[MAIN].text == (
            "auto lo\niface lo inet loopback\nsource /etc/network/interfaces.d/gantry\n"
        )
        assert files["/etc/network/interfaces.d/gantry"].text.startswith("auto lan0\n")

    @pytest.mark.parametrize(
        "line", ["source /etc/network/interfaces.d/*", "source-directory /etc/network/interfaces.d"]
    )
    def test_a_main_file_that_reads_the_folder_stays_as_it_is(self, line: str) -> None:
        assert MAIN not in rendered(Ifupdown, FULL, **{MAIN: f"{line}\nauto lo\n"})

    def test_a_second_injection_writes_the_same_main_file(self) -> None:
        once = rendered(Ifupdown, FULL, **{MAIN: "auto lan0\niface lan0 inet dhcp\n"})[MAIN].text
        assert MAIN not in rendered(Ifupdown, FULL, **{MAIN: once})

    def test_what_others_wrote_for_the_interface_is_kept_as_a_comment(self) -> None:
        text = (
            "auto lo lan0\niface lan0 inet dhcp\n    up echo hello\n\niface lan1 inet dhcp\n    up echo bye\n"
        )
        assert without({"lan0"}, text) == (
            "auto lo\n# replaced by gantry: iface lan0 inet dhcp\n# replaced by gantry:     up echo hello\n\n"
            "iface lan1 inet dhcp\n    up echo bye\n"
        )

    def test_allowing_hotplug_of_the_interface_is_taken_back(self) -> None:
        assert without({"lan0"}, "allow-hotplug lan0\n") == "# replaced by gantry: allow-hotplug lan0\n"

    def test_files_that_others_wrote_are_freed_of_the_interface_as_well(self) -> None:
        cloud = "/etc/network/interfaces.d/50-cloud-init"
        files = rendered(
            Ifupdown, FULL, **{MAIN: "source /etc/network/interfaces.d/*\n", cloud: "iface lan0 inet dhcp\n"}
        )
        assert files[cloud].text == "# replaced by gantry: iface lan0 inet dhcp\n"

    def test_commands_name_no_interface(self) -> None:
        """The name comes from the guest; in a command ifupdown puts it in."""
        files = rendered(Ifupdown, FULL, **{MAIN: ""})
        commands = [
            line for line in files["/etc/network/interfaces.d/gantry"].text.splitlines() if " up " in line
        ]
        assert commands == [
            "    up ip addr add 192.0.2.11/24 dev $IFACE",
            "    up ip -4 route replace 0.0.0.0/0 via 192.0.2.1 dev $IFACE metric 100",
            "    up ip -4 route replace 198.51.100.0/24 via 192.0.2.2 dev $IFACE",
            "    up ip -6 route replace 2001:db8:1::/48 via 2001:db8::2 dev $IFACE",
        ]
