"""What a test of Keystone and Glance stands on: both of them, and a Gantry that believes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from servers.api.keystone import middleware
from servers.images.glance import session_of
from tests.openstack import glance as glances
from tests.openstack import keystone as keystones
from tests.openstack.glance import Glance
from tests.openstack.installing import FOLDER
from tests.openstack.keystone import Keystone, password
from tests.virtual_time import fleet, virtual_clock

__all__ = ["clean_caches", "fleet", "gantry", "glance", "keystone", "virtual_clock"]


@pytest.fixture(scope="session")
def keystone() -> Iterator[Keystone]:
    with TemporaryDirectory(prefix="keystone-", dir=FOLDER) as folder:
        keystone = keystones.started(Path(folder))
        try:
            yield keystone
        finally:
            keystone.service.end()


@pytest.fixture(scope="session")
def glance(keystone: Keystone) -> Iterator[Glance]:
    with TemporaryDirectory(prefix="glance-", dir=FOLDER) as folder:
        glance = glances.started(Path(folder), keystone)
        try:
            yield glance
        finally:
            glance.service.end()


@pytest.fixture(autouse=True)
def clean_caches() -> None:
    """Let no test profit from what another one has asked."""
    middleware.cache_clear()
    session_of.cache_clear()


@pytest.fixture
def gantry(keystone: Keystone, settings: Any) -> Any:
    """Return the settings of a Gantry that asks this Keystone."""
    settings.IDENTITY = "keystone"
    settings.KEYSTONE_URL, settings.KEYSTONE_TIMEOUT_S = keystone.url, 2
    settings.KEYSTONE_USER, settings.KEYSTONE_PASSWORD = "gantry", password("gantry")
    settings.KEYSTONE_PROJECT, settings.KEYSTONE_DOMAIN_ID = "service", "default"
    settings.KEYSTONE_TOKEN_CACHE_S = 0
    return settings
