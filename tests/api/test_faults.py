"""The tree of faults in HTTP (Nova contract E.1)."""

from __future__ import annotations

import json

import pytest
from django.db import DataError
from django.test import RequestFactory

from servers import errors
from servers.api import faults
from servers.api.outage import answer_to


def told(fault: Exception) -> tuple[int, str, str]:
    response = answer_to(fault, RequestFactory().get("/v2.1/servers"))
    ((name, body),) = json.loads(response.content).items()
    assert body["code"] == response.status_code
    assert response["Content-Type"] == "application/json; charset=UTF-8"
    return response.status_code, name, body["message"]


@pytest.mark.parametrize(
    ("fault", "code", "name"),
    [
        (errors.SameHost(), 400, "badRequest"),
        (errors.MigrationMissing(migration=1, server="s"), 400, "badRequest"),
        (errors.NotPermitted(rule="r"), 403, "forbidden"),
        (errors.ImageMetadataLimit(), 403, "forbidden"),
        (errors.InstanceMissing(server="s"), 404, "itemNotFound"),
        (errors.InstanceLocked(server="s"), 409, "conflictingRequest"),
        (errors.StaleRow(model="m", pk=1), 409, "conflictingRequest"),
        (errors.Gone(), 410, "computeFault"),
        (faults.MediaTypeUnknown(), 415, "badMediaType"),
        (faults.VersionRefused(version="9.9", minimum="2.1", maximum="2.2"), 406, "computeFault"),
    ],
)
def test_refusals_by_their_place_in_the_tree(fault: errors.Refusal, code: int, name: str) -> None:
    assert told(fault) == (code, name, str(fault))


@pytest.mark.parametrize(
    "fault",
    [
        errors.NoValidHost(reason=""),
        errors.MaxRetriesExceeded(reason="r"),
        errors.ComputeServiceUnavailable(host="h"),
        errors.ComputeHostNotFound(host="h"),
        errors.InvalidHypervisorType(),
        errors.InvalidCPUInfo(reason="r"),
        errors.UnableToMigrateToSelf(instance_id="i", host="h"),
        errors.DestinationHypervisorTooOld(),
        errors.InvalidLocalStorage(path="p", reason="r"),
        errors.InvalidSharedStorage(path="p", reason="r"),
        errors.HypervisorUnavailable(),
        errors.MigrationPreCheckError(reason="r"),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_known_outcome_of_a_check_in_the_request_is_the_callers(fault: errors.ActionFault) -> None:
    assert told(fault) == (400, "badRequest", str(fault))


def test_wrong_power_state_is_a_conflict() -> None:
    fault = errors.InvalidPowerState(server="s", state="shutdown")
    text = "Cannot 'os-migrateLive' instance s while it is in power_state shutdown"
    assert told(fault) == (409, "conflictingRequest", text)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (errors.AllocationUpdateFailed(consumer_uuid="c", error="e"), "nova.exception.MigrationError"),
        (errors.Unforeseen(message="boom"), "nova.exception.MigrationError"),
        (ValueError("secret"), "ValueError"),
        (KeyError("secret"), "KeyError"),
    ],
)
def test_everything_else_is_unexpected_and_says_no_more(fault: Exception, kind: str) -> None:
    text = f"Unexpected API Error. Please contact the administrator\n<class '{kind}'>"
    assert told(fault) == (500, "computeFault", text)


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        (errors.NoValidHost, 500),
        (errors.InvalidCPUInfo, 400),
        (errors.ComputeResourcesUnavailable, 400),
        (errors.GuestNotFound, 404),
        (errors.BackupFailed, 500),
    ],
)
def test_kept_fault_has_novas_number(kind: type[errors.Fault], number: int) -> None:
    assert faults.kept_code(kind.code) == number


def test_kept_fault_that_nobody_knows_is_ours() -> None:
    assert faults.kept_code("of_another_age") == 500


def test_a_value_that_a_database_does_not_keep_is_the_callers_fault() -> None:
    refusal = faults.refusal_of(DataError("value too long for type character varying(255): swordfish"))
    assert refusal is not None
    assert (faults.code_of(refusal), "swordfish" in str(refusal)) == (400, False)
