"""What the action addresses hand to the conductor, and what they answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings as deployment

from servers import errors
from servers.api.compute import actions
from servers.inventory.reconciliation.reconcile import reconcile
from servers.models import ActionRecord, Image, Project
from tests.conftest import Caller
from tests.factories import make_migration, make_server
from tests.small_fleet import SmallFleet
from tests.unknown_guests import run_twice

IMAGE = UUID("00000000-0000-4000-8000-000000000001")
BACKUP = {"name": "b", "backup_type": "daily", "rotation": 1}


class Conductor:
    """Takes the place of `submit`: keeps what it was asked, and answers or raises as told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, dict[str, Any], Any, str]] = []
        self.fault: Exception | None = None

    def __call__(
        self, action: Any, server_id: str, params: Any, context: Any, version: Any, keep: Any
    ) -> Any:
        self.calls.append((action.slug, server_id, dict(params), context, str(version)))
        if self.fault is not None:
            raise self.fault
        return SimpleNamespace(record=None, image_id=IMAGE)


@pytest.fixture
def conductor(monkeypatch: pytest.MonkeyPatch) -> Conductor:
    stand_in = Conductor()
    monkeypatch.setattr(actions, "submit", stand_in)
    return stand_in


ACTION = "/v2.1/servers/abc/action"


def test_conductor_is_told_who_asks_and_in_which_request(member: Caller, conductor: Conductor) -> None:
    response = member.post(ACTION, {"createBackup": BACKUP}, "2.45")
    ((slug, server_id, params, context, version),) = conductor.calls
    assert (slug, server_id, params, version) == ("create-backup", "abc", BACKUP, "2.45")
    assert context.request_id == response["x-compute-request-id"]
    assert context.user_id == member.user.pk
    assert context.project_id == member.project.pk
    assert context.roles == {"member", "reader"}
    assert context.door == "rest"


def test_request_id_of_the_client_is_not_ours(member: Caller, conductor: Conductor) -> None:
    response = member.post(ACTION, {"createBackup": BACKUP}, X_OpenStack_Request_ID=f"req-{uuid4()}")
    assert response["x-compute-request-id"] == conductor.calls[0][3].request_id


@pytest.mark.parametrize(("version", "folder"), [("2.1", "v2.1"), ("2.44", "v2.1")])
def test_location_names_the_image_until_2_44(
    member: Caller, conductor: Conductor, version: str, folder: str
) -> None:
    response = member.post(ACTION, {"createBackup": BACKUP}, version)
    assert response.status_code == 202
    assert response["Location"] == f"{deployment.PUBLIC_URL}/{folder}/images/{IMAGE}"
    assert response["Content-Type"] == "text/html; charset=UTF-8"
    assert response.content == b""


def test_location_never_has_the_project(member: Caller, conductor: Conductor) -> None:
    response = member.post(f"/v2.1/{member.project.pk}/servers/abc/action", {"createBackup": BACKUP})
    assert response["Location"] == f"{deployment.PUBLIC_URL}/v2.1/images/{IMAGE}"


@pytest.mark.parametrize("rotation", [0, "0", 0.0])
def test_rotation_0_has_no_location(member: Caller, conductor: Conductor, rotation: Any) -> None:
    response = member.post(ACTION, {"createBackup": {**BACKUP, "rotation": rotation}})
    assert response.status_code == 202
    assert "Location" not in response


@pytest.mark.parametrize("rotation", [0, 1])
def test_body_names_the_image_since_2_45(member: Caller, conductor: Conductor, rotation: int) -> None:
    response = member.post(ACTION, {"createBackup": {**BACKUP, "rotation": rotation}}, "2.45")
    assert response.json() == {"image_id": str(IMAGE)}
    assert "Location" not in response


@pytest.mark.parametrize(
    ("body", "status"), [({"migrate": None}, 202), ({"confirmResize": None}, 204), ({"lock": None}, 202)]
)
def test_other_answers_are_empty(admin: Caller, conductor: Conductor, body: Any, status: int) -> None:
    response = admin.post(ACTION, body)
    assert (response.status_code, response.content) == (status, b"")


@pytest.mark.parametrize(
    ("body", "version", "params"),
    [
        ({"migrate": {"host": "h"}}, "2.55", {}),
        ({"migrate": {"host": "h"}}, "2.56", {"host": "h"}),
        ({"migrate": None}, "2.56", {}),
        ({"lock": {"locked_reason": "x"}}, "2.72", {}),
        ({"lock": {"locked_reason": "x"}}, "2.73", {"locked_reason": "x"}),
        ({"confirmResize": {"x": 1}}, "2.1", {}),
    ],
)
def test_value_that_is_not_looked_at_has_no_parameters(
    admin: Caller, conductor: Conductor, body: Any, version: str, params: Any
) -> None:
    assert admin.post(ACTION, body, version).status_code == 202 or "confirmResize" in body
    assert conductor.calls[0][2] == params


def test_v2_drops_keys_that_it_does_not_know(member: Caller, conductor: Conductor) -> None:
    body = {"createBackup": {**BACKUP, "name": " x ", "foo": 1}}
    response = member.post("/v2/servers/abc/action", body, "2.45")
    assert response["Location"] == f"{deployment.PUBLIC_URL}/v2/images/{IMAGE}"
    assert conductor.calls[0][2] == {**BACKUP, "name": " x "}
    assert conductor.calls[0][4] == "2.1"


def test_fault_in_the_request_is_the_answer(admin: Caller, conductor: Conductor) -> None:
    conductor.fault = errors.NoValidHost(reason="There are not enough hosts available.")
    body = {"os-migrateLive": {"host": None, "block_migration": "auto"}}
    response = admin.post(ACTION, body, "2.33")
    assert response.status_code == 400
    assert response["OpenStack-API-Version"] == "compute 2.33"


def test_unforeseen_error_is_500_and_names_its_class_alone(admin: Caller, conductor: Conductor) -> None:
    conductor.fault = ValueError("a secret")
    response = admin.post(ACTION, {"migrate": None})
    assert response.status_code == 500
    assert b"<class 'ValueError'>" in response.content
    assert b"secret" not in response.content


@pytest.mark.parametrize(("text", "number"), [("7", 7), ("abc", 0), ("-1", 0), ("9" * 30, 0), ("\u0663", 0)])
def test_migration_in_the_address_is_a_number(
    admin: Caller, conductor: Conductor, text: str, number: int
) -> None:
    assert admin.delete(f"/v2.1/servers/abc/migrations/{text}", "2.24").status_code == 202
    path = f"/v2.1/servers/abc/migrations/{text}/action"
    assert admin.post(path, {"force_complete": None}, "2.22").status_code == 202
    assert [call[0] for call in conductor.calls] == ["abort-migration", "force-complete"]
    assert all(call[2] == {"migration": number} for call in conductor.calls)


def test_migration_that_is_no_number_is_missing_under_its_own_name(admin: Caller, project: Project) -> None:
    server = make_server(project, task_state="migrating")
    gone = f"Migration abc not found for instance {server.uuid}"
    path = f"/v2.1/servers/{server.uuid}/migrations/abc"
    aborted, forced = (
        admin.delete(path, "2.24"),
        admin.post(f"{path}/action", {"force_complete": None}, "2.22"),
    )
    assert aborted.json() == {"itemNotFound": {"code": 404, "message": gone}}
    assert forced.json() == {"badRequest": {"code": 400, "message": gone}}


def test_abort_of_a_locked_servers_migration_does_not_tell_of_the_lock(
    manager: Caller, project: Project
) -> None:
    server = make_server(project, task_state="migrating", locked_by="admin")
    migration = make_migration(server)
    response = manager.delete(f"/v2.1/servers/{server.uuid}/migrations/{migration.pk}", "2.24")
    text = f"Instance {server.uuid} is in an invalid state for 'abort live migration'"
    assert response.json() == {"conflictingRequest": {"code": 409, "message": text}}


@pytest.mark.parametrize("name", ["migrate", "lock"])
def test_actions_of_servers_are_none_of_migrations(admin: Caller, name: str) -> None:
    response = admin.post("/v2.1/servers/abc/migrations/1/action", {name: None}, "2.22")
    assert response.json()["badRequest"]["message"] == f"There is no such action: {name}"


def test_request_id_of_the_answer_is_the_actions(member: Caller, project: Project) -> None:
    server = make_server(project)
    response = member.post(f"/v2.1/servers/{server.uuid}/action", {"createBackup": BACKUP}, "2.45")
    record = ActionRecord.objects.get()
    assert record.request_id == response["x-openstack-request-id"]
    assert str(Image.objects.get().pk) == response.json()["image_id"]


def test_reset_network_can_be_gone(admin: Caller, reader: Caller, settings: Any) -> None:
    settings.RESET_NETWORK_GONE = True
    text = "This resource is no longer available. No forwarding address is given."
    for caller in (admin, reader):
        response = caller.post(f"/v2.1/servers/{uuid4()}/action", {"resetNetwork": None})
        assert response.json() == {"computeFault": {"code": 410, "message": text}}


def test_reset_of_a_guest_that_runs_twice_is_a_conflict_with_both_names(admin: Caller) -> None:
    fleet = SmallFleet()
    server = fleet.add_server()
    run_twice(fleet, server, "node2")
    reconcile()
    response = admin.post(f"/v2.1/servers/{server.uuid}/action", {"os-resetState": {"state": "error"}})
    assert response.status_code == 409
    assert (
        f"Instance {server.uuid} is seen on node1 and node2"
        in response.json()["conflictingRequest"]["message"]
    )
    server.refresh_from_db()
    assert server.vm_state == "active" and not server.actions.exists()
