"""One Gantry and one browser for all tests of this folder; `make e2e` runs them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

try:
    from tests.e2e.stage import browser, gantry, page, policy_is_kept
except ImportError:  # Playwright is an extra
    THERE = False
else:
    THERE = True
    __all__ = ["browser", "gantry", "page", "policy_is_kept"]


def missing() -> str:
    """Return why the tests cannot run, or nothing."""
    if not os.environ.get("E2E"):
        return "a browser is driven by: make e2e"
    if not THERE:
        return "Playwright for Python is not installed"
    if not (shutil.which("chromium") or shutil.which("chromium-browser")):
        return "Chromium is not installed: apt-get install chromium"
    return ""


collect_ignore_glob = [] if THERE else ["test_*.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = missing()
    for item in items:
        if reason and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=reason))
