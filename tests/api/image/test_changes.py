"""What may be changed of an image: its name, its protection, its further properties, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from servers.api.image.bodies import IMAGE
from servers.api.image.changes import CHANGEABLE, MEDIA_TYPE, MOST_OPERATIONS, change
from servers.engine.images import OF_GLANCE, OF_NOVA
from servers.models import Image, Project
from tests.factories import make_image

pytestmark = pytest.mark.django_db
JSON = st.none() | st.booleans() | st.integers() | st.text(max_size=4)
OPERATION = st.fixed_dictionaries(
    {},
    optional={
        "op": st.sampled_from(["add", "replace", "remove", "move"]) | JSON,
        "path": st.sampled_from(["/name", "/protected", "/mine", "/", "/a/b", "/~1", "/id", "/ud800"]) | JSON,
        "value": JSON | st.lists(JSON, max_size=2),
    },
)


def patch(caller: Any, image: Image, *operations: Any, media_type: str = MEDIA_TYPE) -> Any:
    path = f"/image/v2/images/{image.pk}"
    return caller.request("PATCH", path, list(operations), **{"Content-Type": media_type})


def operation(op: str, path: str, value: Any = None) -> dict[str, Any]:
    return {"op": op, "path": path, "value": value}


def test_protected_image_is_not_deleted_until_it_is_unprotected(member: Any, project: Project) -> None:
    image = make_image(project)
    assert patch(member, image, operation("replace", "/protected", True)).json()["protected"] is True
    assert member.delete(f"/image/v2/images/{image.pk}").status_code == 403
    patch(member, image, operation("replace", "/protected", False))
    assert member.delete(f"/image/v2/images/{image.pk}").status_code == 204


def test_name_and_properties_are_changed(member: Any, project: Project) -> None:
    image = make_image(project, properties={"old": "1", "going": "2"})
    body = patch(
        member,
        image,
        operation("replace", "/name", "better"),
        operation("replace", "/old", "changed"),
        operation("add", "/a~1b~0c", "new"),
        operation("remove", "/going"),
    ).json()
    assert (body["name"], body["old"], body["a/b~c"]) == ("better", "changed", "new")
    image.refresh_from_db()
    assert image.properties == {"old": "changed", "a/b~c": "new"}


@pytest.mark.parametrize("verb", ["add", "replace", "remove"])
@pytest.mark.parametrize("name", sorted((OF_GLANCE | OF_NOVA) - CHANGEABLE | {"os_glance_importing"}))
def test_what_an_image_is_cannot_be_claimed(member: Any, project: Project, name: str, verb: str) -> None:
    image = make_image(project, properties={name: "true"})
    before = Image.objects.values().get(pk=image.pk)
    assert patch(member, image, operation(verb, f"/{name}", "x")).status_code == 403
    assert Image.objects.values().get(pk=image.pk) == before


def test_every_attribute_of_an_image_is_reserved() -> None:
    assert {field.name for field in IMAGE.fields} <= OF_GLANCE | OF_NOVA


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        (operation("replace", "/none", "x"), 409),
        (operation("remove", "/none"), 409),
        (operation("move", "/mine", "x"), 400),
        (operation("add", "mine", "x"), 400),
        (operation("add", "/a/b", "x"), 400),
        (operation("add", "/", "x"), 400),
        (operation("add", "/mine", 5), 400),
        (operation("add", "/mine", "x" * 256), 400),
        (operation("add", "/mine", "\0"), 400),
        (operation("add", "/mine", "\ud800"), 400),
        (operation("replace", "/protected", "yes"), 400),
        ({"op": "add", "path": "/mine"}, 400),
        (operation("add", "/a~2b", "x"), 400),
        (operation("add", "/" + "n" * 256, "x"), 400),
        (operation("replace", "/size", 5), 403),
        ("add", 400),
    ],
)
def test_one_wrong_operation_undoes_all(member: Any, project: Project, wrong: Any, status: int) -> None:
    image = make_image(project)
    assert patch(member, image, operation("replace", "/name", "changed"), wrong).status_code == status
    image.refresh_from_db()
    assert image.name == "backup"


def test_name_is_measured_as_it_is_kept(member: Any, project: Project) -> None:
    image = make_image(project)
    patch(member, image, operation("add", "/" + "~1" * 255, "x"))
    image.refresh_from_db()
    assert image.properties == {"/" * 255: "x"}


@pytest.mark.parametrize("one", [operation("replace", "/name", "x"), {}])
def test_more_operations_than_anybody_needs_are_refused_before_one_is_looked_at(
    member: Any, project: Project, one: Any
) -> None:
    many = [one] * (MOST_OPERATIONS + 1)
    assert patch(member, make_image(project), *many).json()["title"] == (
        "The request body must have at most 1000 items."
    )


@pytest.mark.parametrize("media_type", ["application/json", "text/plain"])
def test_patch_says_that_it_is_one(member: Any, project: Project, media_type: str) -> None:
    assert patch(member, make_image(project), media_type=media_type).status_code == 415


def test_properties_have_a_limit_that_does_not_hinder_protecting(
    member: Any, project: Project, settings: Any
) -> None:
    settings.IMAGE_METADATA_LIMIT = 2
    image = make_image(project, properties={"a": "1", "b": "2", "c": "3"})
    assert patch(member, image, operation("add", "/d", "4")).status_code == 403
    assert patch(member, image, operation("replace", "/protected", True)).status_code == 200


def test_reader_and_stranger_change_nothing(reader: Any, stranger: Any, project: Project) -> None:
    image = make_image(project, visibility="public")
    for caller in (reader, stranger):
        assert patch(caller, image, operation("replace", "/name", "mine")).status_code == 403


def test_image_that_somebody_else_has_changed_meanwhile_is_a_conflict(
    member: Any, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = make_image(project)
    find = type(image).objects.all

    def change_late(image: Image, operations: list[Any]) -> None:
        find().update(revision=99)
        change(image, operations)

    monkeypatch.setattr("servers.api.image.views.change", change_late)
    assert patch(member, image, operation("replace", "/name", "late")).status_code == 409


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(OPERATION, max_size=3) | JSON)
def test_no_patch_makes_an_error_of_ours(member: Any, project: Project, body: Any) -> None:
    image = Image.objects.first() or make_image(project)
    response = member.request(
        "PATCH", f"/image/v2/images/{image.pk}", json.dumps(body).encode(), **{"Content-Type": MEDIA_TYPE}
    )
    assert response.status_code in {200, 400, 403, 409}
