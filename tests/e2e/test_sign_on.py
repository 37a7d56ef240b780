"""Signing on by a real OpenID provider, and with a second factor; axe-core finds nothing on the pages on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.e2e.browsing import log_in
from tests.e2e.providing import Provider
from tests.e2e.test_accessibility import violations
from tests.logins.devices import Device
from tests.running import Running
from tests.running import gantry as started


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Return a Gantry that demands a second factor of passwords, and knows a provider."""
    provider = Provider()
    folder: Path = tmp_path_factory.mktemp("provider")
    with (
        started(SECOND_FACTOR="required", **provider.settings(folder)) as running,
        provider.running(running, eva="operators", max="others"),
    ):
        yield running


@pytest.fixture(scope="module")
def lenient() -> Iterator[Running]:
    """Return a Gantry that leaves a second factor to everybody."""
    with started(SECOND_FACTOR="optional") as running:
        yield running


def visitor(browser: Browser, running: Running) -> Page:
    page = browser.new_context(base_url=running.address, reduced_motion="reduce").new_page()
    page.goto("/admin/")
    return page


def is_clean(page: Page) -> None:
    """Assert that nobody is kept from using the page."""
    found = violations(page)
    assert not found, "\n".join(found)


def by_provider(page: Page, name: str) -> None:
    """Go to the provider and log in there."""
    with page.expect_navigation():
        page.click("#sign-on")
    assert page.url.startswith("http://localhost:")
    page.fill("#id_username", name)
    page.fill("#id_password", f"password of {name}")
    with page.expect_navigation():
        page.click("button")


def by_password(page: Page, running: Running, name: str) -> None:
    page.fill("#id_username", name)
    page.fill("#id_password", running.passwords[name])
    with page.expect_navigation():
        page.click("input[type=submit]")


def send(page: Page, button: str) -> None:
    with page.expect_navigation():
        page.click(button)


def key_on(page: Page) -> Device:
    """Return a device into which somebody has typed the key of the page."""
    assert page.locator(".qr-code svg").is_visible()
    return Device.typed(page.locator("form .copyable").inner_text())


def test_whoever_the_provider_knows_signs_on_and_logs_out(browser: Browser, strict: Running) -> None:
    page = visitor(browser, strict)
    is_clean(page)
    page.goto("/admin/servers/host/")
    by_provider(page, "eva")
    page.wait_for_selector("#user-tools")
    assert page.url == f"{strict.address}/admin/servers/host/"
    assert "eva" in page.locator("#user-tools").inner_text()
    send(page, "#logout-form button")
    page.goto("/admin/")
    assert page.locator("#login-form").is_visible()
    page.context.close()


def test_whose_groups_give_nothing_is_told_so(browser: Browser, strict: Running) -> None:
    page = visitor(browser, strict)
    by_provider(page, "max")
    assert "None of your groups" in page.locator(".errornote").inner_text()
    is_clean(page)
    page.goto("/admin/")
    assert page.locator("#login-form").is_visible()
    page.context.close()


def test_whoever_must_have_a_second_factor_sets_it_up_on_the_way_and_is_asked_for_it_next_time(
    browser: Browser, strict: Running
) -> None:
    page = visitor(browser, strict)
    by_password(page, strict, "robert")
    is_clean(page)
    device = key_on(page)
    page.fill("#id_code", device.code())
    send(page, "input[type=submit]")
    is_clean(page)
    codes = page.locator("pre[data-copy-whole='recovery codes'] code").inner_text().split()
    assert len(codes) == 10
    send(page, "#onward")
    assert page.locator("#user-tools").is_visible()
    send(page, "#logout-form button")
    page.goto("/admin/")
    by_password(page, strict, "robert")
    is_clean(page)
    page.fill("#id_code", "not a code")
    send(page, "input[type=submit]")
    assert "code is wrong" in page.locator(".errornote").inner_text()
    is_clean(page)
    page.fill("#id_code", codes[0])
    send(page, "input[type=submit]")
    assert page.locator("#user-tools").is_visible()
    page.get_by_role("link", name="Second factor").click()
    page.wait_for_selector("#second-factor")
    assert "9 recovery codes left" in page.locator(".lead").inner_text()
    is_clean(page)
    page.context.close()


def test_one_sets_up_ones_own_and_an_admin_removes_it(browser: Browser, lenient: Running) -> None:
    page = log_in(browser, lenient, "robert", reduced_motion="reduce")
    page.goto("/admin/second-factor/")
    is_clean(page)
    device = key_on(page)
    page.fill("#id_old_password", lenient.passwords["robert"])
    page.fill("#id_code", device.wrong())
    send(page, "#submit")
    is_clean(page)
    page.fill("#id_old_password", lenient.passwords["robert"])
    page.fill("#id_code", device.code())
    send(page, "#submit")
    page.wait_for_selector("#codes-title")
    page.context.close()
    admin = log_in(browser, lenient, "admin", reduced_motion="reduce")
    admin.goto("/admin/servers/user/?q=robert")
    admin.click("#result_list tbody th a:text-is('robert')")
    admin.get_by_role("link", name="Remove second factor").click()
    admin.wait_for_selector("#remove-second-factor")
    is_clean(admin)
    send(admin, "#submit")
    assert "no second factor any more" in admin.locator(".messagelist").inner_text()
    assert not admin.get_by_role("link", name="Remove second factor").count()
    admin.context.close()
