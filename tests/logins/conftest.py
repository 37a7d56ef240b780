"""Anna, who has a password and an application credential with the same secret; a virtual clock; hashes that are counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher

from servers import clock
from servers.clock import VirtualClock
from servers.models import ApplicationCredential, Membership, Project, User
from tests.factories import make_domain, make_project
from tests.logins.doors import RIGHT


@pytest.fixture(autouse=True)
def time() -> Iterator[VirtualClock]:
    with clock.use(VirtualClock()) as virtual:
        assert isinstance(virtual, VirtualClock)
        yield virtual


@pytest.fixture(autouse=True)
def hashed(settings: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what was hashed, by a fast hasher."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    found: list[str] = []
    encode = MD5PasswordHasher.encode

    def count(self: Any, secret: str, salt: str) -> str:
        found.append(secret)
        return str(encode(self, secret, salt))

    monkeypatch.setattr(MD5PasswordHasher, "encode", count)
    return found


@pytest.fixture
def shop(db: None) -> Project:
    return make_project(name="shop")


@pytest.fixture
def anna(shop: Project, hashed: list[str]) -> User:
    user = User.objects.create_user("anna", RIGHT, domain=make_domain(), default_project=shop)
    Membership.objects.create(user=user, project=shop, role="manager")
    made = ApplicationCredential(name="cron", user=user, project=shop, roles=["reader"])
    made.set_secret(RIGHT)
    made.save()
    hashed.clear()
    return user
