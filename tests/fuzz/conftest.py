"""A small world that every request finds as it was."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

from tests.api.schema.stage import Stage, build
from tests.fuzz.rows import rows

collect_ignore = [] if find_spec("schemathesis") else ["test_document.py"]  # make fuzz installs it


@pytest.fixture
def stage(db: None, settings: Any) -> Stage:
    """Return the stage; passwords are hashed quickly, for thousands of logins are tried."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return build()


@pytest.fixture
def untouched(stage: Stage) -> list[Any]:
    """Return the rows as every request finds them, for each is rolled back."""
    return rows()
