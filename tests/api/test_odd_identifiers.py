"""A UUID has one spelling; whatever else Python would take for one names nothing."""

from __future__ import annotations

from typing import Any

import pytest

from servers.models import Project
from tests.factories import make_image, make_server

pytestmark = pytest.mark.django_db
ODD = ["urn:uuid:{}", "{{{}}}", "%7B{}%7D", "{}-", "-{}"]


@pytest.mark.parametrize("spelling", ODD)
def test_odd_spelling_of_a_server_is_unknown(admin: Any, project: Project, spelling: str) -> None:
    server = make_server(project)
    odd = spelling.format(server.uuid)
    assert admin.get(f"/v2.1/servers/{server.uuid}").status_code == 200
    assert admin.get(f"/v2.1/servers/{odd}").status_code == 404
    assert admin.post(f"/v2.1/servers/{odd}/action", {"lock": None}).status_code == 404
    assert admin.get(f"/v2.1/servers/{server.uuid.hex}").status_code == 404


@pytest.mark.parametrize("spelling", ODD)
@pytest.mark.parametrize("door", ["/v2.1/images", "/image/v2/images"])
def test_odd_spelling_of_an_image_is_unknown(admin: Any, project: Project, door: str, spelling: str) -> None:
    image = make_image(project)
    assert admin.get(f"{door}/{image.pk}").status_code == 200
    assert admin.get(f"{door}/{spelling.format(image.pk)}").status_code == 404
