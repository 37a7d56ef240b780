"""Pictures of every page, light and dark, wide and narrow: `python -m tests.e2e.screenshots [FOLDER [NAME…]]`.

The README's own are copied to `docs/screenshots`.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser

from tests.e2e.browsing import NARROW, WIDE, launched, log_in
from tests.e2e.pages import PAGES
from tests.e2e.stuck import ENVIRONMENT, stall
from tests.running import ROOT, Running, gantry

FOLDER = ROOT / ".data/screenshots"
README = ROOT / "docs/screenshots"
OF_README = (
    "server-1280-light.png",
    "action-running-1280-dark.png",
    "form-live-migration-1280-light.png",
    "list-server-390-dark.png",
)


def shoot(browser: Browser, running: Running, folder: Path, names: list[str]) -> None:
    """Take each page at two widths, light and dark."""
    for scheme in ("light", "dark"):
        for width, viewport in (("1280", WIDE), ("390", NARROW)):
            page = log_in(browser, running, "admin", viewport=viewport, color_scheme=scheme)
            for name in names:
                PAGES[name](page)
                page.screenshot(path=folder / f"{name}-{width}-{scheme}.png", full_page=True)
                wide = page.evaluate("document.documentElement.scrollWidth")
                if wide > viewport["width"]:
                    print(f"{name} at {width}: the page is {wide} px wide", file=sys.stderr)
            page.context.close()


def login_page(browser: Browser, running: Running, folder: Path) -> None:
    """Take the page where one logs in."""
    for scheme in ("light", "dark"):
        for width, viewport in (("1280", WIDE), ("390", NARROW)):
            context = browser.new_context(viewport=viewport, color_scheme=scheme, base_url=running.address)
            page = context.new_page()
            page.goto("/admin/login/")
            page.screenshot(path=folder / f"login-{width}-{scheme}.png")
            context.close()


def main(arguments: list[str]) -> None:
    folder = Path(arguments[0]) if arguments else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with gantry(**ENVIRONMENT) as running, launched() as browser:
        stall(running)
        shoot(browser, running, folder, arguments[1:] or list(PAGES))
        login_page(browser, running, folder)
    README.mkdir(parents=True, exist_ok=True)
    for name in OF_README:
        if (folder / name).exists():
            shutil.copy(folder / name, README / name)


if __name__ == "__main__":
    main(sys.argv[1:])
