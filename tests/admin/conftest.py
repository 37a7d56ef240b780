"""Who visits the console."""

from __future__ import annotations

import pytest

from servers.models import Project, Server
from tests.admin.visiting import Visitor
from tests.factories import make_server


@pytest.fixture
def operator(project: Project) -> Visitor:
    return Visitor(project, "admin")


@pytest.fixture
def onlooker(project: Project) -> Visitor:
    """Return somebody who may only read."""
    return Visitor(project, "reader")


@pytest.fixture
def server(project: Project) -> Server:
    return make_server(project)
