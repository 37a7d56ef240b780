"""A shop, and Anna, who is its manager and knows a password."""

from __future__ import annotations

from typing import Any

import pytest

from servers.models import Membership, Project, User
from tests.factories import make_domain, make_project


@pytest.fixture(autouse=True)
def fast_hashes(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def shop(db: None) -> Project:
    return make_project(name="shop")


@pytest.fixture
def anna(shop: Project) -> User:
    user = User.objects.create_user("anna", "secret", domain=make_domain(), default_project=shop)
    Membership.objects.create(user=user, project=shop, role="manager")
    return user
