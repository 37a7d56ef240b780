"""A site's own Keystone and Glance take the place of the embedded ones, which are then not served."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.identity.logging_in import HTTP

IDENTITY = ["/identity", "/identity/v3", "/identity/v3/auth/tokens", "/identity/v3/projects", "/identity/x"]
IMAGE = ["/image", "/image/versions", "/image/v2/images", "/image/v2/schemas/image", "/image/x"]


@pytest.mark.parametrize("method", ["get", "post", "delete", "options"])
@pytest.mark.parametrize("path", IDENTITY)
def test_identity_is_not_served_beside_a_keystone(settings: Any, path: str, method: str) -> None:
    settings.IDENTITY = "keystone"
    answer = getattr(HTTP, method)(path)
    assert (answer.status_code, answer.json()["error"]["title"]) == (404, "Not Found")


@pytest.mark.parametrize("method", ["get", "put", "delete"])
@pytest.mark.parametrize("path", IMAGE)
def test_images_are_not_served_beside_a_glance(settings: Any, path: str, method: str) -> None:
    settings.IMAGES = "glance"
    assert getattr(HTTP, method)(path).status_code == 404


def test_caller_without_a_token_is_sent_to_the_sites_keystone(settings: Any) -> None:
    settings.IDENTITY, settings.KEYSTONE_URL = "keystone", "http://keystone.test:5000/v3"
    answer = HTTP.get("/v2.1/servers")
    assert (answer.status_code, answer["WWW-Authenticate"]) == (
        401,
        'Keystone uri="http://keystone.test:5000/v3"',
    )
    assert answer.json()["error"]["title"] == "Unauthorized"
