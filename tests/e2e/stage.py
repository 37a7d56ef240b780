"""What a test of the console stands on: one Gantry and one browser for all, and a page for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.e2e.browsing import VIOLATIONS, launched, log_in
from tests.e2e.secrets_told import told, used
from tests.e2e.stuck import ENVIRONMENT, stall
from tests.running import Running
from tests.running import gantry as started


@pytest.fixture(scope="session")
def gantry() -> Iterator[Running]:
    with started(LOG_LEVEL="DEBUG", **ENVIRONMENT) as running:
        stall(running)
        yield running
        found = told(running, used(running))
        assert not found, "\n".join(found)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture(autouse=True)
def policy_is_kept() -> Iterator[None]:
    """Fail a test in which a page has tried what its Content-Security-Policy forbids."""
    yield
    found, VIOLATIONS[:] = list(VIOLATIONS), []
    assert not found, "\n".join(found)


@pytest.fixture
def page(browser: Browser, gantry: Running) -> Iterator[Page]:
    """Return a page of the admin."""
    page = log_in(browser, gantry, "admin")
    yield page
    page.context.close()
