"""Others than the operator at his mouse: a reader, somebody without JavaScript, somebody at the keyboard."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from servers.actions import registry
from tests.e2e.browsing import NARROW, log_in, open_server
from tests.e2e.doing import PATIENCE_MS, expect_status, fill, open_form
from tests.running import Running


def test_reader_sees_reasons_instead_of_buttons(browser: Browser, gantry: Running) -> None:
    page = log_in(browser, gantry, "rita")
    open_server(page, "db-1")
    expect(page.locator(".acts [aria-disabled=true]")).to_have_count(len(registry))
    expect(page.locator("#about-create-backup")).to_have_text(
        "Policy doesn't allow os_compute_api:os-create-backup to be performed."
    )
    expect(page.locator("a.act-button")).to_have_count(0)
    page.context.close()


def test_member_of_one_project_does_not_see_another(browser: Browser, gantry: Running) -> None:
    page = log_in(browser, gantry, "robert")
    page.goto("/admin/servers/server/")
    expect(page.locator("#result_list")).to_contain_text("sim-1")
    expect(page.locator("#result_list")).not_to_contain_text("web-1")
    page.context.close()


def test_all_of_a_move_without_javascript(browser: Browser, gantry: Running) -> None:
    page = log_in(browser, gantry, "admin", java_script_enabled=False)
    open_server(page, "web-4")
    page.click("a#do-live-migration")
    page.click("button[name=preview]")
    expect(page.locator("#lines")).to_contain_text("server_action live-migration")
    page.click("#submit")
    expect(page).to_have_url(re.compile("/actionrecord/"))
    for _ in range(120):
        if "succeeded" in page.locator("#status").inner_text():
            break
        page.click("#reload")
        page.wait_for_timeout(500)
    expect_status(page, "succeeded")
    page.context.close()


def press_until(page: Page, css: str, key: str = "Tab", limit: int = 150) -> None:
    """Press a key until what is wanted has the focus."""
    for _ in range(limit):
        if page.evaluate("css => document.activeElement.matches(css)", css):
            return
        page.keyboard.press(key)
    raise AssertionError(f"{css} is not reached by {key}")


def test_all_of_a_backup_by_keyboard_alone(browser: Browser, gantry: Running) -> None:
    page = log_in(browser, gantry, "admin")
    page.goto("/admin/servers/server/")
    press_until(page, "#searchbar")
    page.keyboard.type("worker-1")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("q=worker-1"))
    press_until(page, "#result_list tbody th a")
    page.keyboard.press("Enter")
    page.wait_for_selector("#live")
    press_until(page, "#do-create-backup")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none", "the focus cannot be seen"
    page.keyboard.press("Enter")
    page.wait_for_selector("#action-form")
    for name, value in (("name", "by keyboard"), ("backup_type", "daily"), ("rotation", "1")):
        press_until(page, f"[name={name}]")
        page.keyboard.type(value)
    press_until(page, "#submit")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/actionrecord/"))
    expect_status(page, "succeeded")
    page.context.close()


def test_cancelling_returns_the_focus_to_the_button(page: Page) -> None:
    open_server(page, "web-3")
    page.click("a#do-create-backup")
    page.click("a.closelink")
    page.wait_for_selector("#live")
    assert page.evaluate("document.activeElement.id") == "do-create-backup"


def test_refusal_gets_the_focus(page: Page) -> None:
    open_server(page, "worker-5")
    page.goto(page.url.replace("/change/", "/do/live-migration/"))
    expect(page.locator("#refusal")).to_be_focused()
    page.click("#submit")
    expect(page.locator("#refusal")).to_contain_text("while it is in vm_state suspended")


def test_mixed_selection_is_divided_done_and_told(page: Page) -> None:
    page.goto("/admin/servers/server/?q=shop")
    page.check("#action-toggle")
    page.select_option("select[name=action]", "create-backup")
    page.click("button[name=index]")
    expect(page.locator("#skipped")).to_contain_text("Cannot 'createBackup'", timeout=PATIENCE_MS)
    acting = page.locator("#acting li").count()
    assert acting >= 2
    for name, value in (("name", "many"), ("backup_type", "bulk"), ("rotation", "1")):
        fill(page, name, value)
    page.click(".submit-row button")
    expect(page.locator("#outcomes .badge-good")).to_have_count(acting, timeout=PATIENCE_MS)
    expect(page.locator("#outcomes")).to_contain_text("skipped")


@pytest.mark.parametrize("viewport", [NARROW, {"width": 320, "height": 700}], ids=["390", "320"])
def test_narrow_screen_needs_no_sideways_scrolling(browser: Browser, gantry: Running, viewport: dict) -> None:
    page = log_in(browser, gantry, "admin", viewport=viewport)
    for path in ("", "servers/server/", "servers/host/", "servers/actionrecord/", "policy/"):
        page.goto(f"/admin/{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"], path
    page.context.close()


def test_click_copies_an_address(browser: Browser, gantry: Running) -> None:
    page = log_in(browser, gantry, "admin", permissions=["clipboard-read", "clipboard-write"])
    page.goto("/admin/servers/server/?q=web-1")
    page.click("#result_list button.copyable")
    assert page.evaluate("navigator.clipboard.readText()").startswith("10.0.0.")
    expect(page.locator("#announcer")).to_have_text("Copied address.")
    page.context.close()


def test_times_are_in_the_zone_of_the_viewer(browser: Browser, gantry: Running) -> None:
    page = log_in(browser, gantry, "admin", timezone_id="Asia/Kolkata")
    page.goto("/admin/servers/server/")
    expect(page.locator("#result_list time").first).to_contain_text("+0530")
    page.context.close()


def test_all_of_a_judgement_by_keyboard_alone_without_javascript(browser: Browser, gantry: Running) -> None:
    page = log_in(browser, gantry, "admin", java_script_enabled=False)
    page.goto("/admin/judgement/")
    page.focus("#waiting a.act-button")
    page.keyboard.press("Enter")
    page.wait_for_selector("#ways-title")
    page.focus("#way-failed textarea")
    page.keyboard.type("Its host has burnt down.")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect_status(page, "failed")
    expect(page.locator("#live")).to_contain_text("answers for rack2-a: dead")
    expect(page.locator("#live")).to_contain_text("Its host has burnt down.")
    page.context.close()


def test_a_session_that_has_ended_is_said_above_the_form_and_takes_nothing_from_it(
    browser: Browser, gantry: Running
) -> None:
    page = log_in(browser, gantry, "admin")
    open_form(page, "web-1", "create-backup")
    page.fill("[name=name]", "typed before")
    page.context.clear_cookies()
    page.fill("[name=name]", "typed after")
    expect(page.locator("#away")).to_contain_text("Your session has ended.")
    expect(page.locator("[name=name]")).to_have_value("typed after")
    page.click("#submit")
    expect(page.locator(".messagelist")).to_contain_text("nothing of what you have sent was carried out")
    page.context.close()
