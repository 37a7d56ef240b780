"""What can wait stands in a queue of its own, behind what is urgent, but not for ever."""

from __future__ import annotations

import pytest
from django.conf import settings
from django_tasks_db.models import DBTaskResult

from servers import clock
from servers.engine.execution.queue import BACKGROUND, LONG_ENOUGH, PROMPT, sweep
from servers.models import ActionRecord
from tests.small_fleet import SmallFleet

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(settings.QUEUE != "database", reason="the queue's table is django-tasks-db's"),
]

BACKUP = {"name": "b", "backup_type": "daily", "rotation": 1}


def in_order(*queues: str) -> list[str]:
    """Return the slugs of what a worker of these queues would carry out, in its order."""
    entries = DBTaskResult.objects.ready().filter(queue_name__in=queues or [PROMPT, BACKGROUND])
    return [ActionRecord.objects.get(pk=entry.args_kwargs["args"][0]).slug for entry in entries]


def test_a_move_and_its_abort_go_before_the_backups_of_a_night(fleet: SmallFleet) -> None:
    for number in range(5):
        fleet.submit("create-backup", fleet.add_server(f"s{number}"), **BACKUP)
    fleet.submit("reset-network", fleet.add_server("urgent"))
    assert in_order() == ["reset-network", *["create-backup"] * 5]


def test_a_process_for_urgent_actions_sees_no_backup(fleet: SmallFleet) -> None:
    fleet.submit("create-backup", fleet.add_server("nightly"), **BACKUP)
    fleet.submit("reset-network", fleet.add_server("urgent"))
    assert in_order(PROMPT) == ["reset-network"]


def test_a_backup_that_has_waited_long_is_as_urgent_as_a_move(fleet: SmallFleet) -> None:
    fleet.submit("create-backup", fleet.add_server("nightly"), **BACKUP)
    DBTaskResult.objects.all().delete()
    ActionRecord.objects.update(due_at=clock.now() - LONG_ENOUGH, enqueued_at=None)
    sweep()
    fleet.submit("reset-network", fleet.add_server("urgent"))
    assert in_order() == ["create-backup", "reset-network"]
