"""A browser before the console: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from tests.running import Running

OPTIONS = [
    "--no-sandbox",
    "--headless",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
WIDE = {"width": 1280, "height": 900}
NARROW = {"width": 390, "height": 844}


def chromium() -> str | None:
    """Return where Chromium is, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def launched() -> Iterator[Browser]:
    """Start the browser, and close it at the end of the block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=OPTIONS)
        yield browser
        browser.close()


def log_in(browser: Browser, gantry: Running, name: str, **options: Any) -> Page:
    """Return a page of somebody who has logged in, at the overview."""
    context = browser.new_context(**{"viewport": WIDE, "base_url": gantry.address, **options})
    page = context.new_page()
    page.goto("/admin/")
    page.fill("#id_username", name)
    page.fill("#id_password", gantry.passwords[name])
    page.click("input[type=submit]")
    page.wait_for_selector("#user-tools")
    return page


def open_server(page: Page, name: str) -> None:
    """Go to a server's page, by the search of the list."""
    page.goto(f"/admin/servers/server/?q={name}")
    page.click(f"#result_list th a:text-is('{name}')")
    page.wait_for_selector("#live")
