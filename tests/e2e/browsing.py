"""A browser before the console: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

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


REPORT = """document.addEventListener("securitypolicyviolation", event => console.error(
  `Content Security Policy: ${event.effectiveDirective}: ${event.blockedURI} at ${event.sourceFile}:${event.lineNumber}: ${event.sample}`
))"""
"""What each page runs before anything of its own."""
VIOLATIONS: list[str] = []
"""What the policy has kept any page from doing; a test fails after which something stands here (conftest.py)."""


def chromium() -> str | None:
    """Return where Chromium is, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def launched() -> Iterator[Browser]:
    """Start the browser, and close it at the end of the block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=OPTIONS)
        watch_over(browser)
        yield browser
        browser.close()


def watch_over(browser: Browser) -> None:
    """Note what the Content-Security-Policy keeps pages of this browser from doing, by JavaScript or without it."""
    make = browser.new_context

    def note(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            VIOLATIONS.append(f"{message.location.get('url', '')}: {message.text}")

    def new_context(**options: Any) -> BrowserContext:
        context = make(**options)
        context.on("console", note)
        context.add_init_script(REPORT)
        return context

    browser.new_context = new_context  # type: ignore[method-assign]


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
