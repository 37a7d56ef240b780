"""From what is recorded to what the guest has: by hardware address, and nothing that cannot be meant."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from servers.drivers.base import Nic, Route
from servers.drivers.guest_network import Survey, Unrenderable, match
from servers.drivers.guest_network.interfaces import Link
from tests.drivers.guest_network.samples import FAR, FULL, LINKS, MAC, SECOND_MAC, SIX, interfaces


def test_an_interface_is_found_by_its_hardware_address() -> None:
    survey = Survey((Link("eth0", SECOND_MAC, hardware=True), Link("enp7s0", MAC, hardware=True)))
    assert match([FULL], survey)[0].name == "enp7s0"


def test_letters_of_a_hardware_address_may_be_large() -> None:
    nic = Nic("52:54:00:AB:CD:EF", "blue", ("192.0.2.10/24",))
    assert match([nic], Survey((Link("eth0", "52:54:00:ab:cd:ef", hardware=True),)))[0].name == "eth0"


def test_a_virtual_link_with_the_same_hardware_address_is_not_meant() -> None:
    survey = Survey((Link("macvlan0", MAC, hardware=False), *LINKS))
    assert match([FULL], survey)[0].name == "lan0"


def test_an_interface_without_recorded_addresses_is_left_as_it_is() -> None:
    assert [i.mac for i in interfaces(Nic(SECOND_MAC, "green"), FULL)] == [MAC]


def test_the_first_gateway_is_preferred_to_those_of_later_interfaces() -> None:
    first, second = interfaces(FULL, FAR)
    assert (first.hops[0].metric, second.hops[0].metric) == (100, 200)


def test_gateways_of_two_families_do_not_contend() -> None:
    first, second = interfaces(FULL, SIX)
    assert (first.hops[0].metric, second.hops[0].metric) == (100, 100)


def test_a_gateway_outside_of_every_subnet_is_on_the_link() -> None:
    assert interfaces(FAR)[0].hops[0].on_link
    assert not interfaces(FULL)[0].hops[0].on_link


def test_a_link_local_gateway_needs_no_subnet() -> None:
    assert not interfaces(SIX)[0].hops[0].on_link


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"addresses": ("192.0.2.300/24",)}, "no address in CIDR form"),
        ({"addresses": ("192.0.2.1/24; reboot",)}, "no address in CIDR form"),
        ({"addresses": ("fe80::1%$(reboot)/64",)}, "no address in CIDR form"),
        ({"addresses": ("224.0.0.5/24",)}, "cannot be the address"),
        ({"addresses": ("127.0.0.1/8",)}, "cannot be the address"),
        ({"gateway": "192.0.2.1\n    up reboot"}, "no address of a gateway"),
        ({"gateway": "fe80::1%lan0\nup reboot"}, "no address of a gateway"),
        ({"gateway": "192.0.2.10"}, "own address"),
        ({"addresses": ("2001:db8::10/64",)}, "needs an IPv4 address"),
        ({"routes": (Route("198.51.100.1/24", "192.0.2.2"),)}, "no destination in CIDR form"),
        ({"routes": (Route("198.51.100.0/24", "2001:db8::2"),)}, "different families"),
        ({"routes": (Route("198.51.100.0/24", "$(id)"),)}, "no address of a gateway"),
        ({"dns": ("name.example",)}, "no address of a name server"),
        ({"mac": "52:54:00:00:00:01\nDHCP=yes"}, "no hardware address"),
        ({"mac": "52:54:00:00:00:09"}, "no interface with the hardware address"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_reason(change: dict[str, object], said: str) -> None:
    with pytest.raises(Unrenderable, match=said):
        interfaces(replace(FULL, **change))  # type: ignore[arg-type]


def test_a_guest_for_which_no_addresses_are_recorded_is_not_touched() -> None:
    with pytest.raises(Unrenderable, match="no addresses are recorded"):
        interfaces(Nic(MAC, "blue"))


def test_an_interface_that_belongs_to_a_bridge_is_not_touched() -> None:
    survey = Survey((Link("eth0", MAC, hardware=True, master="br0"), Link("br0", MAC, hardware=False)))
    with pytest.raises(Unrenderable, match="eth0 belongs to br0"):
        match([FULL], survey)


def test_two_cards_with_one_hardware_address_cannot_be_told_apart() -> None:
    survey = Survey((Link("eth0", MAC, hardware=True), Link("eth1", MAC, hardware=True)))
    with pytest.raises(Unrenderable, match="several interfaces"):
        match([FULL], survey)


def test_a_name_that_is_shell_syntax_is_refused() -> None:
    with pytest.raises(Unrenderable, match="no configuration can hold"):
        match([FULL], Survey((Link("$(reboot)", MAC, hardware=True),)))


def test_a_survey_is_read() -> None:
    content = base64.b64encode(b"auto lo\n").decode()
    text = f"link hardware eth0 52:54:00:AB:CD:EF br0\nlink virtual lo 00:00:00:00:00:00 \nformat ifupdown\nfile /etc/network/interfaces {content}\n"
    assert Survey.parse(text) == Survey(
        (
            Link("eth0", "52:54:00:ab:cd:ef", hardware=True, master="br0"),
            Link("lo", "00:00:00:00:00:00", hardware=False),
        ),
        ("ifupdown",),
        {"/etc/network/interfaces": "auto lo\n"},
    )


def test_a_file_of_the_guest_that_is_no_text_is_not_rewritten() -> None:
    with pytest.raises(Unrenderable, match="cannot be read as text"):
        Survey.parse(f"file /etc/network/interfaces {base64.b64encode(bytes([255])).decode()}\n")
