"""Which microversion a request gets, and how the answer says so (Nova contract D.1)."""

from __future__ import annotations

from typing import Any

import pytest

from servers.api.compute.negotiation import negotiate
from servers.api.faults import VersionMalformed, VersionRefused
from tests.conftest import Caller

NEW, OLD = "OpenStack-API-Version", "X-OpenStack-Nova-API-Version"


@pytest.mark.parametrize(
    ("headers", "version"),
    [
        ({}, "2.1"),
        ({OLD: "2.34"}, "2.34"),
        ({NEW: "compute 2.34"}, "2.34"),
        ({NEW: "compute  2.34"}, "2.34"),
        ({NEW: "COMPUTE 2.34"}, "2.34"),
        ({NEW: "compute latest"}, "2.104"),
        ({OLD: "latest"}, "2.104"),
        ({NEW: "compute"}, "2.1"),
        ({NEW: "2.34"}, "2.1"),
        ({NEW: "nova 2.34"}, "2.1"),
        ({NEW: "volume 3.0", OLD: "2.34"}, "2.34"),
        ({NEW: "compute 2.30", OLD: "2.34"}, "2.30"),
        ({NEW: "volume 3.0, compute 2.53"}, "2.53"),
        ({NEW: "compute 2.53, compute 2.60, image 2.1"}, "2.60"),
    ],
)
def test_version_follows_from_both_headers(headers: dict[str, str], version: str) -> None:
    assert str(negotiate(headers)) == version


@pytest.mark.parametrize(
    "text", ["", "2", "2.", "2.01", "02.1", "-2.1", "2.x", "LATEST", "2.1\u0661", "2." + "9" * 5000]
)
def test_malformed_version_is_refused(text: str) -> None:
    with pytest.raises(VersionMalformed):
        negotiate({OLD: text})


@pytest.mark.parametrize("text", ["1.9", "2.0", "2.105", "2.999", "3.0"])
def test_version_outside_the_range_is_refused(text: str) -> None:
    with pytest.raises(VersionRefused):
        negotiate({NEW: f"compute {text}"})


def test_answer_names_its_version_in_both_headers(member: Caller) -> None:
    response = member.get("/v2.1/servers", "2.34")
    assert response[NEW] == "compute 2.34"
    assert response[OLD] == "2.34"
    assert response["Vary"] == f"{NEW}, {OLD}"


def test_refusal_of_a_version_echoes_it(member: Caller) -> None:
    response = member.get("/v2.1/servers", "2.999")
    assert response.status_code == 406
    assert response[NEW] == "compute 2.999"
    message = "Version 2.999 is not supported by the API. Minimum is 2.1 and maximum is 2.104."
    assert response.json() == {"computeFault": {"code": 406, "message": message}}


def test_refusal_of_a_malformed_version_names_none(member: Caller) -> None:
    response = member.get("/v2.1/servers", X_OpenStack_Nova_API_Version="2.x")
    assert response.status_code == 400
    assert NEW not in response
    assert OLD not in response


def test_lowered_maximum_is_what_latest_means(member: Caller, settings: Any) -> None:
    settings.MAX_MICROVERSION = "2.60"
    assert member.get("/v2.1/servers", "latest")[OLD] == "2.60"
    assert member.get("/v2.1/servers", "2.61").status_code == 406


def test_v2_ignores_versions_and_names_none(member: Caller) -> None:
    response = member.get("/v2/servers", "2.999")
    assert response.status_code == 200
    assert NEW not in response
    assert "Vary" not in response
