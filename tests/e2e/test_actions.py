"""Each action, from its form to its end."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browsing import open_server
from tests.e2e.doing import PATIENCE_MS, ask, expect_server, expect_status, open_form, send


@pytest.mark.parametrize(
    ("slug", "server", "fields"),
    [
        ("create-backup", "web-3", {"name": "by hand", "backup_type": "daily", "rotation": "2"}),
        ("inject-network-info", "web-2", {}),
        ("reset-network", "web-2", {}),
        ("change-password", "web-3", {"adminPass": "correct horse"}),
        ("lock", "web-4", {"locked_reason": "a sale"}),
        ("unlock", "web-4", {}),
        ("reset-state", "broken-1", {"state": "active"}),
        ("confirm-resize", "worker-2", {}),
        ("unpause", "worker-4", {}),
        ("pause", "worker-4", {}),
    ],
)
def test_action_is_done_from_its_form(page: Page, slug: str, server: str, fields: dict[str, str]) -> None:
    ask(page, server, slug, **fields)
    expect_status(page, "succeeded")


def test_cold_move_is_made_and_taken_back(page: Page) -> None:
    ask(page, "worker-3", "migrate")
    expect_status(page, "succeeded")
    expect_server(page, "worker-3", "VERIFY_RESIZE")
    page.click("a#do-revert-resize")
    send(page)
    expect_status(page, "succeeded")
    expect_server(page, "worker-3", "SHUTOFF")


def test_live_move_is_watched_to_its_end(page: Page) -> None:
    open_form(page, "web-1", "live-migration")
    host = page.locator("tr:has(.badge-good) input[type=radio]").first
    name = host.get_attribute("value")
    host.check()
    expect(page.locator("#lines")).to_contain_text(f'"host": "{name}"')
    send(page)
    seen: list[int] = []
    bar = page.locator("[aria-label='Progress of the action']")
    while "succeeded" not in page.locator("#status").inner_text():
        seen.append(int(bar.get_attribute("aria-valuenow", timeout=PATIENCE_MS) or 0))
        page.wait_for_timeout(500)
        assert len(seen) < 240, "it takes too long"
    assert seen == sorted(seen) and any(0 < percent < 100 for percent in seen), seen
    expect(page.locator("#live")).to_contain_text("Downtime")
    expect(page.locator("#live")).to_contain_text("ms")
    page.click("#move-title a")
    expect(page.locator("h1")).to_contain_text("Migration")
    expect(page.locator("#live")).to_contain_text("Total time")


def test_live_move_is_aborted_and_another_one_forced_to_its_end(page: Page) -> None:
    ask(page, "busy-1", "live-migration")
    page.locator("a#do-abort-migration").click(timeout=PATIENCE_MS)
    expect(page.locator("#action-form")).to_be_visible()
    send(page)
    expect_status(page, "succeeded")
    expect_server(page, "busy-1", "ACTIVE")
    expect(page.locator("#timeline-title + ol")).to_contain_text("cancelled", timeout=PATIENCE_MS)

    ask(page, "busy-1", "live-migration")
    page.locator("a#do-force-complete").click(timeout=PATIENCE_MS)
    send(page)
    expect_status(page, "succeeded")
    expect_server(page, "busy-1", "ACTIVE")


def test_server_page_follows_what_goes_on_and_keeps_the_focus(page: Page) -> None:
    ask(page, "web-2", "live-migration")
    open_server(page, "web-2")
    expect(page.locator("#live .now")).to_be_visible()
    page.focus("#do-reset-state")
    page.wait_for_timeout(5000)
    assert page.evaluate("document.activeElement.id") == "do-reset-state"
    expect(page.locator("#live .now")).to_have_count(0, timeout=PATIENCE_MS)
    assert page.evaluate("document.activeElement.id") == "do-reset-state"
    expect(page.locator("#announcer")).to_contain_text("web-2")
