"""One real Keystone and one real Glance for all tests of this folder; `make openstack` runs them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.openstack.installing import missing

try:
    from tests.openstack.stage import clean_caches, fleet, gantry, glance, keystone, virtual_clock
except ImportError:  # the extra `openstack` is not installed
    THERE = False
else:
    THERE = True
    __all__ = ["clean_caches", "fleet", "gantry", "glance", "keystone", "virtual_clock"]


def reason() -> str:
    """Return why the tests cannot run, or nothing."""
    if not os.environ.get("OPENSTACK"):
        return "a real Keystone and a real Glance are asked by: make openstack"
    if missing():
        return f"not installed, which needs the network: {', '.join(missing())}"
    return ""


HERE = Path(__file__).parent
ALWAYS = "test_installed.py"
collect_ignore = [] if THERE else [path.name for path in HERE.glob("test_*.py") if path.name != ALWAYS]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    why = reason()
    for item in items:
        if why and HERE in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=why))
