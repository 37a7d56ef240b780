"""What a whole action costs in queries, pinned: each one is a round trip to PostgreSQL."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from servers.models import ActionRecord
from servers.states import ActionStatus
from tests.small_fleet import SmallFleet

pytestmark = pytest.mark.django_db

LIVE = {"host": None, "block_migration": "auto"}
MOST = 201
"""With begin and commit of each transaction, the claim, and the look at what else is due."""
LOCKS = 12
"""As many more where the database locks the server's row: SQLite has one writer at a time."""
HOSTS = 8
"""Of both hosts by the attempt and in the end, and the scheduler's and the claim's own."""


def test_live_migration_costs_at_most_two_hundred_queries_and_one_whatever_the_fleet(
    fleet: SmallFleet,
) -> None:
    for number in range(5):
        fleet.add_host(f"spare{number}")
        fleet.add_server(f"other{number}", vcpus=0, memory_mb=1, root_gb=0)
    server = fleet.add_server()
    fleet.heartbeat()
    record = fleet.submit("live-migration", server, **LIVE).record
    with CaptureQueriesContext(connection) as queries:
        fleet.work()
    assert ActionRecord.objects.get(pk=record.pk).status == ActionStatus.SUCCEEDED
    assert len(queries) <= MOST + LOCKS * connection.features.has_select_for_update
    asked = [
        q["sql"] for q in queries if q["sql"].startswith("SELECT") and ' FROM "servers_host" ' in q["sql"]
    ]
    assert len(asked) <= HOSTS, "a host's name is resolved once an attempt"
