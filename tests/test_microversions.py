"""The list of microversions, and how a deployment shortens it."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from servers.microversions import HISTORY, MINIMUM, NEWEST, Microversion, maximum


def test_history_has_no_gap_and_no_repetition() -> None:
    assert [str(Microversion(2, minor)) for minor in range(1, 105)] == HISTORY


def test_newest_is_the_maximum_unless_a_setting_says_otherwise() -> None:
    assert maximum() == NEWEST == Microversion(2, 104)


def test_setting_lowers_the_maximum(settings: Any) -> None:
    settings.MAX_MICROVERSION = "2.34"
    assert maximum() == Microversion(2, 34)


@pytest.mark.parametrize("text", ["2.105", "2.0", "3.1", "latest", "2.034", " 2.34"])
def test_setting_outside_the_history_is_refused_loudly(settings: Any, text: str) -> None:
    settings.MAX_MICROVERSION = text
    with pytest.raises(ImproperlyConfigured, match="MAX_MICROVERSION"):
        maximum()


def test_versions_compare_as_numbers() -> None:
    assert Microversion.parse("2.9") < Microversion.parse("2.10") < Microversion.parse("2.100")
    assert Microversion(2, 1) == MINIMUM
