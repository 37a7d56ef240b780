"""Rotation deletes what its caller could delete image by image, and nothing of anybody else's."""

from __future__ import annotations

from typing import Any

import pytest

from servers import clock
from servers.actions import registry
from servers.engine import images
from servers.engine.accepting.submit import submit
from servers.models import ActionRecord, Image, Project, Server
from servers.policy import Context, implied_roles
from servers.states import ImageStatus
from tests.factories import make_project
from tests.small_fleet import SmallFleet


class Owners:
    """A server of one project, which its member and an admin of another project back up."""

    def __init__(self, fleet: SmallFleet) -> None:
        self.fleet, self.server = fleet, fleet.add_server()
        self.operators: Project = make_project()

    def back_up(self, name: str, rotation: int, *roles: str) -> ActionRecord:
        """Back the server up, as an admin of the other project where no role is named."""
        project = self.fleet.project if roles else self.operators
        context = Context("u", project.pk, implied_roles(roles or ["admin"]), request_id="req-test")
        params: dict[str, Any] = {"name": name, "backup_type": "nightly", "rotation": rotation}
        clock.sleep(1)
        record = submit(registry["create-backup"], str(self.server.pk), params, context).record
        self.fleet.work()
        record.refresh_from_db()
        assert record.status == "succeeded"
        return record

    def there(self) -> set[str]:
        """Return the names of the backups that are there."""
        return set(Image.objects.filter(status=ImageStatus.ACTIVE).values_list("name", flat=True))


@pytest.fixture
def owners(fleet: SmallFleet) -> Owners:
    """Return a server of which an admin has made two backups in a project of the operators."""
    owners = Owners(fleet)
    owners.back_up("operators 1", 5)
    owners.back_up("operators 2", 5)
    return owners


def uuid_of(name: str) -> str:
    return str(Image.objects.get(name=name).pk)


@pytest.mark.parametrize("locked_by", ["", "admin"])
@pytest.mark.parametrize("rotation", [0, 1])
def test_a_member_rotates_none_of_an_admins_backups(owners: Owners, rotation: int, locked_by: str) -> None:
    Server.objects.filter(pk=owners.server.pk).update(locked_by=locked_by)
    record = owners.back_up("members", rotation, "member")
    assert {"operators 1", "operators 2"} <= owners.there()
    assert record.result["left_to_others"] == [uuid_of("operators 2"), uuid_of("operators 1")]
    assert all(images.store().look(image.pk) for image in Image.objects.filter(name__startswith="operators"))


def test_backups_of_others_do_not_count(owners: Owners) -> None:
    for number in (1, 2, 3):
        owners.back_up(f"members {number}", 2, "member")
    assert owners.there() == {"operators 1", "operators 2", "members 2", "members 3"}


def test_an_admin_who_may_delete_them_rotates_the_backups_of_all(owners: Owners) -> None:
    owners.back_up("members", 5, "member")
    record = owners.back_up("operators 3", 1)
    assert owners.there() == {"operators 3"}
    assert "left_to_others" not in record.result


def test_a_lost_backup_of_somebody_else_is_left_as_well(owners: Owners) -> None:
    lost = Image.objects.get(name="operators 1")
    images.store().discard(lost.pk)
    owners.back_up("members", 1, "member")
    assert "operators 1" in owners.there()


def test_a_policy_that_forbids_deleting_forbids_rotation(
    owners: Owners, settings: Any, tmp_path: Any
) -> None:
    owners.back_up("members 1", 1, "member")
    (tmp_path / "policy.yaml").write_text('"delete_image": "rule:context_is_admin"\n')
    settings.POLICY_FILE = str(tmp_path / "policy.yaml")
    images.policy.in_force.cache_clear()
    try:
        record = owners.back_up("members 2", 1, "member")
    finally:
        images.policy.in_force.cache_clear()
    assert {"members 1", "members 2"} <= owners.there()
    assert uuid_of("members 1") in record.result["left_to_others"]
    assert uuid_of("members 2") not in record.result["left_to_others"]


def test_a_backup_that_an_earlier_version_has_accepted_deletes_nothing(owners: Owners) -> None:
    owners.back_up("members 1", 1, "member")
    params = {"name": "members 2", "backup_type": "nightly", "rotation": 1}
    clock.sleep(1)
    record = owners.fleet.submit("create-backup", owners.server, **params).record
    ActionRecord.objects.filter(pk=record.pk).update(memo={})
    owners.fleet.work()
    assert owners.there() == {"operators 1", "operators 2", "members 1", "members 2"}
