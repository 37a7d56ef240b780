"""WorkQueue by Procrastinate: PostgreSQL itself wakes a worker on any machine (LISTEN/NOTIFY)."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from asgiref.sync import async_to_sync
from django.db import OperationalError, connection
from django.utils.module_loading import import_string
from django_tasks import TaskResult, TaskResultStatus
from django_tasks.backends.base import BaseTaskBackend
from django_tasks.base import Task
from procrastinate import PsycopgConnector
from procrastinate.contrib.django import DjangoApp, app, connector_params
from procrastinate.contrib.django.models import ProcrastinateJob
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import DeleteJobCondition, Status

from servers.engine.execution.ending import ENDING
from servers.engine.execution.queues.base import POLL_S, persevere

JOB = "gantry.run_task"
ASK_S = 5.0
"""Seconds until a worker finds an entry whose notification was lost, as while the connection was away."""
POOL = {"min_size": 1, "max_size": 1, "timeout": 10.0}
"""One connection to fetch entries, in addition to the one that listens."""


class ProcrastinateQueue(BaseTaskBackend):
    """Django's Tasks API over Procrastinate. Results are not kept: the action record has them."""

    supports_defer = True
    supports_priority = True

    def enqueue(self, task: Task[Any, Any], args: Any, kwargs: Any) -> TaskResult[Any]:
        """Enqueue in the caller's transaction, on Django's connection. Raises Django's database errors."""
        self.validate_task(task)
        job = app.configure_task(
            JOB, queue=task.queue_name, priority=task.priority, schedule_at=task.run_after
        )
        with translated():
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

    def serve(self, worker: str, queues: Collection[str], poll_s: float = POLL_S) -> None:
        """Carry out entries until SIGTERM or SIGINT; each is deleted afterwards, also one that failed.

        `poll_s` means nothing here: PostgreSQL wakes the process.
        """

        def listen_once() -> None:
            connection.ensure_connection()  # fails at once; a pool would keep trying
            connection.close()
            with translated():
                asyncio.run(listen(worker, sorted(queues)))

        persevere(listen_once, ENDING.is_set)

    def count_ready(self, queue: str, at_most: int) -> int:
        """Return how many entries of this queue nobody has begun; counts up to `at_most`."""
        ready = ProcrastinateJob.objects.filter(queue_name=queue, status=Status.TODO.value)
        return int(ready.order_by()[:at_most].count())

    def tidy_up(self) -> None:
        """Delete the entries of workers that were killed while they carried them out."""
        with translated():
            for job in async_to_sync(app.job_manager.get_stalled_jobs)():
                async_to_sync(app.job_manager.finish_job_by_id_async)(job.id, Status.FAILED, delete_job=True)


async def listen(worker: str, queues: Iterable[str]) -> None:
    """Carry out entries until a signal comes, which sets ENDING; the current entry is finished first.

    Raises Procrastinate's and psycopg's errors when the database goes away.
    """
    listening = DjangoApp(connector=PsycopgConnector(kwargs=connector_params(), **POOL))
    listening.task(name=JOB)(run_task)
    async with listening.open_async():
        work = asyncio.ensure_future(
            listening.run_worker_async(
                name=worker,
                queues=queues,
                concurrency=1,
                fetch_job_polling_interval=ASK_S,
                delete_jobs=DeleteJobCondition.ALWAYS,
                install_signal_handlers=False,  # Procrastinate's own do not set ENDING
            )
        )

        def end() -> None:
            if not ENDING.is_set():
                ENDING.set()
                work.cancel()

        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, end)
        with suppress(asyncio.CancelledError):
            await work


def run_task(task: str, args: list[Any], kwargs: dict[str, Any]) -> None:
    """Call the task at this dotted path."""
    import_string(task).call(*args, **kwargs)


@contextmanager
def translated() -> Iterator[None]:
    """Raise an error of Procrastinate or psycopg as Django's database error: callers know only that one."""
    try:
        yield
    except (ConnectorException, psycopg.Error) as error:
        cause = error if isinstance(error, psycopg.Error) else error.__cause__
        with connection.wrap_database_errors:
            raise cause or OperationalError(str(error)) from None
