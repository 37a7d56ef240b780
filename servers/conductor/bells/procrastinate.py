"""Bells by Procrastinate: PostgreSQL itself wakes a worker (LISTEN/NOTIFY), on whichever machine it is."""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync
from django.utils.module_loading import import_string
from django_tasks import TaskResult, TaskResultStatus
from django_tasks.backends.base import BaseTaskBackend
from django_tasks.base import Task
from procrastinate.contrib.django import DjangoApp, app
from procrastinate.jobs import DeleteJobCondition, Status

JOB = "gantry.run_task"
POLL_S = 5.0
"""How long a bell waits whose notification was lost, as while the connection was."""


class ProcrastinateBells(BaseTaskBackend):
    """Django's Tasks API over Procrastinate. Results are not kept: the action's row has them."""

    supports_defer = True
    supports_priority = True

    def enqueue(self, task: Task[Any, Any], args: Any, kwargs: Any) -> TaskResult[Any]:
        """Ring in the caller's transaction: the connection is Django's own."""
        self.validate_task(task)
        job = app.configure_task(
            JOB, queue=task.queue_name, priority=task.priority, schedule_at=task.run_after
        )
        number = job.defer(task=task.module_path, args=list(args), kwargs=dict(kwargs))
        return TaskResult(
            task=task,
            id=str(number),
            status=TaskResultStatus.READY,
            enqueued_at=None,
            started_at=None,
            finished_at=None,
            last_attempted_at=None,
            args=list(args),
            kwargs=dict(kwargs),
            backend=self.alias,
            errors=[],
            worker_ids=[],
        )

    def serve(self, worker: str) -> None:
        """Answer bells; one that was answered is deleted, whatever came of it: a row that is due rings again."""
        listening = DjangoApp(connector=app.connector.get_worker_connector())
        listening.task(name=JOB)(run_task)
        listening.run_worker(
            name=worker,
            queues=sorted(self.queues),
            concurrency=1,
            fetch_job_polling_interval=POLL_S,
            delete_jobs=DeleteJobCondition.ALWAYS,
        )

    def tidy_up(self) -> None:
        """Forget the bells of workers that were killed while they answered."""
        for job in async_to_sync(app.job_manager.get_stalled_jobs)():
            async_to_sync(app.job_manager.finish_job_by_id_async)(job.id, Status.FAILED, delete_job=True)


def run_task(task: str, args: list[Any], kwargs: dict[str, Any]) -> None:
    """Call the task with this path."""
    import_string(task).call(*args, **kwargs)
