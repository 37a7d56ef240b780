"""axe-core finds nothing on any page, light or dark, wide or narrow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.e2e.browsing import NARROW, WIDE, log_in
from tests.e2e.pages import PAGES
from tests.e2e.running import Running

AXE = Path(__file__).parent / "vendor/axe.min.js"
LOOKS = {
    "light": {"viewport": WIDE, "color_scheme": "light"},
    "dark": {"viewport": NARROW, "color_scheme": "dark"},
}


@pytest.fixture(scope="module")
def visitors(browser: Browser, gantry: Running) -> Iterator[dict[str, Page]]:
    """Return a page for each look; one login serves many pages."""
    pages = {look: log_in(browser, gantry, "admin", **options) for look, options in LOOKS.items()}
    yield pages
    for page in pages.values():
        page.context.close()


def violations(page: Page) -> list[str]:
    """Return what axe-core complains of, a line each."""
    page.add_script_tag(path=AXE)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{v['id']}: {v['help']}: {' | '.join(node['html'][:150] for node in v['nodes'][:3])}"
        for v in found["violations"]
    ]


@pytest.mark.parametrize("look", list(LOOKS))
@pytest.mark.parametrize("name", list(PAGES))
def test_page_has_no_violation(name: str, look: str, visitors: dict[str, Page]) -> None:
    page = visitors[look]
    PAGES[name](page)
    page.wait_for_timeout(250)
    found = violations(page)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("look", list(LOOKS))
def test_login_has_no_violation(look: str, browser: Browser, gantry: Running) -> None:
    context = browser.new_context(**LOOKS[look], base_url=gantry.address)
    page = context.new_page()
    page.goto("/admin/login/")
    assert not violations(page), violations(page)
    context.close()
