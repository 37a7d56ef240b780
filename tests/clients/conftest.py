"""One Gantry for each microversion that may be its newest; `make clients` runs the tests."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

REASON = "the real clients are driven by: make clients"
THERE = find_spec("openstack") is not None and find_spec("novaclient") is not None

if THERE:
    from tests.clients.cloud import cloud

    __all__ = ["cloud"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if not os.environ.get("CLIENTS") and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=REASON))
