"""What somebody does in the console, in the words of the tests."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.e2e.browsing import open_server

PATIENCE_MS = 60_000


def open_form(page: Page, server: str, slug: str) -> None:
    """Go to a server's page and press the button of an action."""
    open_server(page, server)
    page.click(f"a#do-{slug}")
    page.wait_for_selector("#action-form")


def send(page: Page) -> None:
    """Send the form, and arrive at the action's page."""
    page.click("#submit")
    expect(page).to_have_url(re.compile("/actionrecord/.*/change/"))


def ask(page: Page, server: str, slug: str, **fields: str) -> None:
    """Have an action done from its form."""
    open_form(page, server, slug)
    for name, value in fields.items():
        fill(page, name, value)
    send(page)


def fill(page: Page, name: str, value: str) -> None:
    """Fill a field in, whatever it looks like."""
    field = page.locator(f"[name={name}]").first
    kind = field.evaluate("field => field.type")
    if kind == "radio":
        page.check(f"[name={name}][value='{value}']")
    elif kind == "select-one":
        field.select_option(value)
    else:
        field.fill(value)


def expect_status(page: Page, status: str) -> None:
    """Wait until the action's page says so, without being reloaded."""
    expect(page.locator("#status .badge").first).to_contain_text(status, timeout=PATIENCE_MS)


def expect_server(page: Page, name: str, status: str) -> None:
    """Wait until the server's page says so."""
    open_server(page, name)
    expect(page.locator("#live .states .badge").first).to_contain_text(status, timeout=PATIENCE_MS)
