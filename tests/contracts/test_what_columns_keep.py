"""No text of a caller is too long for its column, and none breaks a database: it is taken whole, or refused.

Columns are as strict here on SQLite as on PostgreSQL (`tests/columns.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import DataError, transaction

from servers.actions import Action, definitions, kinds, registry
from servers.actions.base import Parameter
from servers.engine.accepting.restore import restore
from servers.models import Image, Server
from tests.conftest import Caller
from tests.contracts.test_every_action_at_every_door import PARAMS, ready
from tests.factories import make_server
from tests.small_fleet import SmallFleet

pytestmark = pytest.mark.django_db
FOUR_BYTES = "\U0001f600"
HALF = "\ud83d"


def texts_of(action: type[Action]) -> Iterator[Parameter]:
    yield from (p for p in action.parameters if isinstance(p.kind, kinds.Text | kinds.KeyValues))


ASKED = [(a, p) for a in registry.values() if a.wire_name for p in texts_of(a)]
every_text = pytest.mark.parametrize(
    ("action", "parameter"), ASKED, ids=[f"{action.slug} {parameter.name}" for action, parameter in ASKED]
)


def values(kind: kinds.Kind) -> list[Any]:
    """Return values about as long as the kind allows, and some that no database keeps."""
    if isinstance(kind, kinds.KeyValues):
        limit = kind.value.max_length
        return [{"k": text} for text in values(kind.value)] + [{"k" * (limit + more): "v"} for more in (0, 1)]
    assert isinstance(kind, kinds.Text)
    most = kind.max_length
    return [
        "x" * most,
        "x" * (most + 1),
        FOUR_BYTES * most,
        FOUR_BYTES * (most + 1),
        "x\0",
        f"x{HALF}",
        "x" * 100_000,
    ]


def fits(kind: kinds.Kind, value: Any) -> bool:
    """Return whether the kind takes a value."""
    if isinstance(value, dict):
        return all(kind.fits(f"{key}={text}") for key, text in value.items())
    return kind.fits(value)


@pytest.fixture
def fleet() -> SmallFleet:
    return SmallFleet()


@every_text
def test_a_text_is_taken_up_to_its_limit_and_refused_beyond(
    action: type[Action], parameter: Parameter, fleet: SmallFleet
) -> None:
    server, admin = ready(fleet, action), Caller(fleet.project, "admin")
    for value in values(parameter.kind):
        body = {action.wire_name: {**PARAMS.get(action.slug, {}), parameter.name: value}}
        with transaction.atomic():
            code = admin.post(f"/v2.1/servers/{server.pk}/action", body, "latest").status_code
            transaction.set_rollback(True)
        taken = {400} if isinstance(parameter.kind, kinds.HostName) else {202, 204}  # there is no such host
        assert code in (taken if fits(parameter.kind, value) else {400}), (str(value)[:9], code)


def test_every_text_of_every_action_has_a_limit() -> None:
    limits = {
        p.kind.max_length for a in definitions.values() for p in texts_of(a) if isinstance(p.kind, kinds.Text)
    }
    assert limits <= {kinds.LINE, kinds.Secret().max_length}


def test_the_name_of_a_restored_server_fits(fleet: SmallFleet) -> None:
    fleet.do("create-backup", fleet.add_server(), name="b", backup_type="daily", rotation=1)
    name = FOUR_BYTES * kinds.LINE
    restore(Image.objects.get(), {"name": name}, fleet.context())
    assert Server.objects.filter(name=name).exists()


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "x" * 256},
        {"name": "x\0"},
        {"metadata": {"k": "\0"}},
        {"vcpus": 2**31},
        {"power_state": 2**15},
    ],
)
def test_what_no_column_keeps_is_the_same_error_everywhere(fields: dict[str, Any]) -> None:
    with pytest.raises(DataError), transaction.atomic():
        make_server(**fields)
