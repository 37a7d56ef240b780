"""Application credentials by REST: what a restricted one may not do, and how many there may be."""

from __future__ import annotations

from typing import Any

import pytest

from servers.models import ApplicationCredential, Project, User
from tests.api.identity.logging_in import (
    HTTP,
    PROJECT_BY_NAME,
    by_credential,
    by_token,
    login,
    password,
    subject,
)

pytestmark = pytest.mark.django_db

RESTRICTED = (
    "You are not authorized to perform the requested action: "
    "Using method 'application_credential' is not allowed for managing additional application credentials."
)


def path(user: User) -> str:
    return f"/identity/v3/users/{user.pk}/application_credentials"


def make(user: User, token: str, **fields: Any) -> Any:
    """Return the answer to a request for a credential."""
    body = {"application_credential": {"name": "cron", **fields}}
    return HTTP.post(path(user), body, content_type="application/json", headers={"X-Auth-Token": token})


@pytest.fixture
def token(anna: User) -> str:
    return subject(login(password(), PROJECT_BY_NAME))


@pytest.mark.parametrize("exchanged", [False, True])
def test_a_program_manages_no_credentials(anna: User, shop: Project, token: str, exchanged: bool) -> None:
    other = make(anna, token).json()["application_credential"]
    mine = make(anna, token, name="mine", roles=[{"name": "reader"}]).json()["application_credential"]
    program = subject(login(by_credential(id=mine["id"], secret=mine["secret"])))
    if exchanged:
        program = subject(login(by_token(program)))
    headers = {"X-Auth-Token": program}
    deleted = HTTP.delete(f"{path(anna)}/{other['id']}", headers=headers)
    for answer in (deleted, make(anna, program, name="third")):
        assert (answer.status_code, answer.json()["error"]["message"]) == (403, RESTRICTED)
    assert HTTP.get(path(anna), headers=headers).status_code == 200
    assert ApplicationCredential.objects.count() == 2


def test_a_secret_that_is_soon_guessed_is_refused(anna: User, token: str) -> None:
    assert make(anna, token, secret="fifteen letters").status_code == 400
    assert make(anna, token, secret="sixteen letters!").status_code == 201


def test_there_are_as_many_credentials_as_the_limit_says(anna: User, token: str, settings: Any) -> None:
    settings.APPLICATION_CREDENTIAL_LIMIT = 1
    assert make(anna, token).status_code == 201
    refused = make(anna, token, name="another")
    assert refused.status_code == 403
    assert "at most 1 application credentials" in refused.json()["error"]["message"]
