"""Whether the tests of this folder can run at all; where they cannot, this one says why."""

from __future__ import annotations

from tests.openstack.installing import missing


def test_keystone_and_glance_are_installed() -> None:
    assert missing() == []
