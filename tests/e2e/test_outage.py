"""A database that is away, in the browser: the page can be read by everybody, and a page that moves waits and goes on."""

from __future__ import annotations

import pytest
from django.test import RequestFactory
from playwright.sync_api import Browser, Page, Route

from servers.admin.outage import outage_page
from servers.errors import DatabaseUnavailable
from tests.e2e.browsing import WIDE, log_in, open_server
from tests.e2e.test_accessibility import violations
from tests.running import Running

SENTENCE = str(DatabaseUnavailable())


def as_page(route: Route) -> None:
    """Answer as the console does without its database."""
    asked = RequestFactory().get("/admin/", headers=route.request.headers)
    text = outage_page(asked, SENTENCE).content
    route.fulfill(status=503, headers={"Content-Type": "text/html; charset=utf-8"}, body=text)


@pytest.fixture
def visitor(browser: Browser, gantry: Running) -> Page:
    return log_in(browser, gantry, "admin", reduced_motion="reduce")


def test_the_page_has_no_violation_in_any_look(visitor: Page) -> None:
    visitor.route("**/admin/", as_page)
    visitor.goto("/admin/")
    assert visitor.inner_text("h1") == "No database at this moment"
    found = violations(visitor)
    assert not found, "\n".join(found)
    visitor.unroute("**/admin/")
    visitor.set_viewport_size(WIDE)
    visitor.get_by_role("link", name="Try again").click()
    visitor.wait_for_selector("#user-tools")


def test_a_page_that_moves_stays_as_it_was_says_so_and_goes_on(visitor: Page) -> None:
    open_server(visitor, "web-1")
    visitor.route("**/live/", as_page)
    visitor.evaluate(
        "document.getElementById('live').setAttribute('hx-get', location.pathname.replace('change/', 'live/'));"
        "document.getElementById('live').setAttribute('hx-trigger', 'every 200ms');"
        "htmx.process(document.getElementById('live'))"
    )
    visitor.wait_for_selector("#away .errornote")
    assert visitor.inner_text("#away") == SENTENCE
    assert visitor.locator("#away").count() == 1 and visitor.locator("#live").count() == 1
    visitor.unroute("**/live/")
    visitor.wait_for_selector("#away", state="detached")
