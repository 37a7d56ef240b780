"""axe-core finds nothing on any page, light or dark, wide or narrow."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page

from tests.e2e.browsing import NARROW, VIOLATIONS, WIDE, log_in
from tests.e2e.pages import PAGES
from tests.running import Running

AXE = (Path(__file__).parent / "vendor/axe.min.js").read_text()
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WIDTHS = (WIDE, NARROW)


@pytest.fixture(scope="module")
def visitor(browser: Browser, gantry: Running) -> Iterator[Page]:
    """Return a page of an operator; one login serves many tests."""
    page = log_in(browser, gantry, "admin", reduced_motion="reduce")
    yield page
    page.context.close()


def violations(page: Page) -> list[str]:
    """Return what axe-core complains of in any look of the page, a line each."""
    of_the_page = list(VIOLATIONS)
    page.evaluate(AXE)  # past the policy of the page, which lets no script in that is not Gantry's
    lines = []
    for scheme, viewport in product(SCHEMES, WIDTHS):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size(viewport)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        for fault in found["violations"]:
            places = " | ".join(node["html"][:150] for node in fault["nodes"][:3])
            lines.append(f"{scheme}, {viewport['width']} px: {fault['id']}: {fault['help']}: {places}")
    VIOLATIONS[:] = of_the_page  # axe-core makes style elements, which the policy keeps from having an effect
    return lines


@pytest.mark.parametrize("name", list(PAGES))
def test_page_has_no_violation_in_any_look(name: str, visitor: Page) -> None:
    visitor.set_viewport_size(WIDE)
    PAGES[name](visitor)
    found = violations(visitor)
    assert not found, "\n".join(found)


def test_login_has_no_violation_in_any_look(browser: Browser, gantry: Running) -> None:
    context = browser.new_context(base_url=gantry.address, reduced_motion="reduce")
    page = context.new_page()
    page.goto("/admin/login/")
    found = violations(page)
    context.close()
    assert not found, "\n".join(found)
