"""Guessing is slowed down, at every way to log in, and tells nothing of what there is."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher

from servers.models import ApplicationCredential, Domain, Project, User
from tests.api.identity.logging_in import by_credential, login, password

pytestmark = pytest.mark.django_db
PLAIN = "The request you have made requires authentication."
LOCKED = "There were too many failed logins; try again in 5 minutes."


@pytest.fixture(autouse=True)
def three_tries(settings: Any) -> None:
    settings.LOGIN_FAILURES_LIMIT = 3


@pytest.fixture
def credential(anna: User, shop: Project) -> ApplicationCredential:
    made = ApplicationCredential(name="cron", user=anna, project=shop, roles=["reader"])
    made.set_secret("right")
    made.save()
    return made


def told(identity: Any) -> str:
    """Return what somebody is told who is not let in."""
    response = login(identity)
    said = str(response.json()["error"]["message"])
    status = 401 if said == PLAIN else 429
    assert (response.status_code, response["Content-Type"]) == (status, "application/json")
    return said


def test_right_password_is_of_no_use_after_too_many_wrong_ones(anna: User) -> None:
    assert [told(password(secret="guess")) for _ in range(3)] == [PLAIN, PLAIN, LOCKED]
    assert told(password()) == LOCKED


def test_success_forgets_the_failures_before_it(anna: User) -> None:
    for _ in range(4):
        assert told(password(secret="typo")) == PLAIN
        assert login(password()).status_code == 201


@pytest.mark.parametrize("scope", [{}, {"project": {}}, {"nonsense": {}}])
def test_malformed_login_is_no_guess_whatever_the_password(anna: User, scope: Any) -> None:
    answers = [login(password(secret=secret), scope) for secret in ("guess", "guess", "guess", "secret")]
    assert {answer.status_code for answer in answers} == {400}
    assert len({answer.content for answer in answers}) == 1
    assert login(password()).status_code == 201


def test_somebody_else_is_not_locked_out(anna: User) -> None:
    for _ in range(3):
        told(password("bert", "guess"))
    assert login(password()).status_code == 201


@pytest.mark.parametrize("name", ["anna", "nobody", "n" * 4000])
def test_unknown_name_is_answered_as_a_known_one(anna: User, name: str) -> None:
    assert [told(password(name, "guess")) for _ in range(4)] == [PLAIN, PLAIN, LOCKED, LOCKED]


def test_right_password_in_the_wrong_domain_counts_as_a_failure(anna: User) -> None:
    Domain.objects.create(name="Elsewhere")
    elsewhere = password(domain={"name": "Elsewhere"})
    assert [told(elsewhere) for _ in range(3)] == [PLAIN, PLAIN, LOCKED]


@pytest.mark.parametrize("name", ["cron", "no such credential"])
def test_credential_that_is_there_and_one_that_is_not_are_answered_alike(
    credential: ApplicationCredential, anna: User, name: str
) -> None:
    other = by_credential(name="another unknown", secret="x", user={"id": anna.pk})
    for _ in range(4):
        told(other)
    identity = by_credential(name=name, secret="wrong", user={"id": anna.pk})
    assert [told(identity) for _ in range(4)] == [PLAIN, PLAIN, LOCKED, LOCKED]


def test_right_secret_is_of_no_use_after_too_many_wrong_ones(credential: ApplicationCredential) -> None:
    for _ in range(3):
        told(by_credential(id=credential.pk, secret="wrong"))
    assert told(by_credential(id=credential.pk, secret="right")) == LOCKED


@pytest.mark.parametrize(
    "identity",
    [
        password(secret="wrong"),
        password("nobody", "wrong"),
        by_credential(id="unknown", secret="wrong"),
        by_credential(name="unknown", secret="wrong", user={"name": "nobody", "domain": {"id": "default"}}),
    ],
)
def test_one_password_is_hashed_whoever_is_named(
    anna: User, identity: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = []
    encode = MD5PasswordHasher.encode
    monkeypatch.setattr(
        MD5PasswordHasher, "encode", lambda self, secret, salt: hashed.append(1) or encode(self, secret, salt)
    )
    told(identity)
    assert len(hashed) == 1
