"""The operators of flavor extra specs, as Nova's extra_specs_ops has them."""

from __future__ import annotations

import pytest

from servers.scheduler.operators import matches


@pytest.mark.parametrize(
    ("value", "wanted", "expected"),
    [
        ("1", "1", True),
        ("1", "2", False),
        ("", "", True),
        (6, "= 5", True),
        (4, "= 5", False),
        (5, "== 5.0", True),
        (5, "!= 5", False),
        (5, ">= 5", True),
        (5, "<= 4", False),
        (10, ">= 9", True),
        ("kvm", "s== kvm", True),
        ("kvm", "s!= kvm", False),
        ("10", "s< 9", True),
        ("b", "s<= b", True),
        ("b", "s> a", True),
        ("a", "s>= b", False),
        ("aes avx2", "<in> avx2", True),
        (["aes", "avx2"], "<in> sse", False),
        (["aes", "avx2"], "<all-in> aes avx2", True),
        (["aes"], "<all-in> aes avx2", False),
        ("qemu", "<or> kvm <or> qemu", True),
        ("<or>", "<or> kvm <or> qemu", False),
        ("xen", "<or> kvm <or> qemu", False),
    ],
)
def test_an_operator_compares_as_novas_does(value: object, wanted: str, expected: bool) -> None:
    assert matches(value, wanted) is expected


@pytest.mark.parametrize("wanted", [">=", "s==", "<in>", "<all-in>", "<or>"])
def test_an_operator_without_a_value_matches_nothing(wanted: str) -> None:
    assert not matches("5", wanted)


def test_an_unknown_operator_is_part_of_the_text() -> None:
    assert matches("in kvm", "in kvm")
    assert not matches("kvm", "in kvm")


def test_a_number_that_is_none_refuses_instead_of_ending_the_request() -> None:
    assert not matches("many", ">= 5")
