"""A small world that every request finds as it was."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.schema.stage import Stage, build


@pytest.fixture
def stage(db: None, settings: Any) -> Stage:
    """Return the stage; passwords are hashed quickly, for thousands of logins are tried."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return build()
