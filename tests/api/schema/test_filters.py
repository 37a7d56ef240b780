"""A field that somebody is not shown is not told by a filter of a list either."""

from __future__ import annotations

import sys

import pytest

from servers.api.resources import Resource
from servers.api.schema import generator
from servers.models import Migration
from tests.api.schema.stage import build
from tests.conftest import Caller

HIDDEN = {
    field.name.rpartition(":")[2]
    for name, module in list(sys.modules.items())
    if name.startswith("servers.api.")
    for table in vars(module).values()
    if isinstance(table, Resource)
    for field in table.fields
    if field.rule
} | {"node", "host"}
"""The names of fields that only some are shown, without their prefix; `node` is a filter's name for one."""
LISTS = sorted(
    (path, parameter["name"])
    for path, methods in generator.document()["paths"].items()
    if "get" in methods
    for parameter in methods["get"].get("parameters", ())
    if parameter.get("in") == "query" and parameter["name"] in HIDDEN
)


def test_the_filters_by_host_are_among_those_that_are_tried() -> None:
    assert {("/v2.1/os-migrations", "host"), ("/v2.1/os-migrations", "source_compute")} <= set(LISTS)
    assert ("/v2.1/servers", "host") in LISTS


@pytest.mark.django_db
@pytest.mark.parametrize(("path", "name"), LISTS)
@pytest.mark.parametrize("role", ["reader", "manager"])
def test_a_filter_by_a_hidden_field_makes_no_difference(path: str, name: str, role: str) -> None:
    stage = build()
    caller = Caller(stage.admin.project, role)
    project = f"project_id={caller.project.pk}&" if "os-migrations" in path else ""
    right = [
        Migration.objects.values_list("source_compute", flat=True)[0],
        "node1",
        str(stage.server.pk),
        "vda",
    ]
    answers = set()
    for value in [*right, "nosuch"]:
        answer = caller.get(f"{stage.address(path)}?{project}{name}={value}", "latest")
        answers.add((answer.status_code, answer.content))
    assert len(answers) == 1
