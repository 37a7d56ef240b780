"""Logging in, by the keyboard alone: a wrong password, too many of them, and a new one of one's own."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.conf import settings
from playwright.sync_api import Browser, Page

from tests.e2e.browsing import log_in
from tests.e2e.test_accessibility import violations
from tests.running import Running

WRONG = "not the password"


def type_in(page: Page, name: str, password: str) -> None:
    """Log in as somebody who has no mouse."""
    page.goto("/admin/login/")
    page.locator("#id_username").focus()
    page.keyboard.type(name)
    page.keyboard.press("Tab")
    page.keyboard.type(password)
    with page.expect_navigation():
        page.keyboard.press("Enter")


@pytest.fixture
def stranger(browser: Browser, gantry: Running) -> Page:
    return browser.new_context(base_url=gantry.address, reduced_motion="reduce").new_page()


def test_a_wrong_password_is_said_on_the_page_and_read_aloud(stranger: Page) -> None:
    type_in(stranger, f"nobody-{uuid4()}", WRONG)
    assert stranger.locator(".errornote").is_visible()
    assert not (found := violations(stranger)), "\n".join(found)


def test_too_many_are_refused_on_the_same_page_with_for_how_long(stranger: Page) -> None:
    name = f"nobody-{uuid4()}"
    for _ in range(settings.LOGIN_FAILURES_LIMIT):
        type_in(stranger, name, WRONG)
    note = stranger.locator(".errornote")
    assert "minutes" in note.inner_text()
    assert stranger.locator("#id_username").is_visible()
    assert not (found := violations(stranger)), "\n".join(found)


def test_a_new_password_of_ones_own_by_the_keyboard(browser: Browser, gantry: Running) -> None:
    page, fresh = log_in(browser, gantry, "robert", reduced_motion="reduce"), f"a longer one {uuid4()}"
    page.get_by_role("link", name="Change password").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#password-form")
    page.locator("#id_old_password").focus()
    for text in (gantry.passwords["robert"], fresh, fresh):
        page.keyboard.type(text)
        page.keyboard.press("Tab")
    while not page.locator("#submit:focus").count():
        page.keyboard.press("Tab")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    page.wait_for_url("**/password_change/done/")
    gantry.passwords["robert"] = fresh
    assert not (found := violations(page)), "\n".join(found)
    page.goto("/admin/")
    assert page.locator("#user-tools").is_visible()
