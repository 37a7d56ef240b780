"""No refusal repeats a secret, wherever in a body somebody has put it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from servers.actions import Action, kinds, registry
from servers.actions.base import Parameter
from tests.conftest import Caller
from tests.factories import make_server

pytestmark = pytest.mark.django_db
SECRET = "correct-horse"
ASKED = [(a, p) for a in registry.values() for p in a.parameters if isinstance(p.kind, kinds.Secret)]


def wrong(action: type[Action], parameter: Parameter) -> Iterator[Any]:
    """Yield bodies that are refused, and have the secret in one place or another."""
    name, good = action.wire_name, {parameter.name: SECRET}
    yield from (
        {name: {parameter.name: odd}} for odd in ([SECRET], {"x": SECRET}, SECRET * 1000, {SECRET: 1})
    )
    yield from ({name: odd} for odd in (SECRET, [SECRET], [good], None))
    yield from ({name: {**good, extra: SECRET}} for extra in ("more", parameter.name.lower()))
    yield {name: {parameter.name.lower(): SECRET}}
    yield {name: good, "lock": None}
    yield {parameter.name: SECRET}
    yield from (
        {other.wire_name: good} for other in registry.values() if other.wire_name and other is not action
    )


@pytest.mark.parametrize("version", ["2.1", "2.90"])
@pytest.mark.parametrize(("action", "parameter"), ASKED, ids=lambda value: getattr(value, "name", ""))
def test_no_refusal_repeats_a_secret(
    member: Caller, action: type[Action], parameter: Parameter, version: str
) -> None:
    server, refusals = make_server(member.project, locked_by="admin"), 0
    for body in wrong(action, parameter):
        answer = member.post(f"/v2.1/servers/{server.pk}/action", body, version)
        assert SECRET not in answer.content.decode(), body
        refusals += answer.status_code == 400
    assert refusals > 15


def test_what_is_wrong_with_a_secret_is_still_said(member: Caller) -> None:
    server = make_server(member.project)
    answer = member.post(f"/v2.1/servers/{server.pk}/action", {"changePassword": {"adminPass": 5}})
    assert answer.json()["badRequest"]["message"] == "changePassword.adminPass must be of type string."
