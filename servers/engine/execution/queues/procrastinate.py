"""WorkQueue by Procrastinate: PostgreSQL itself wakes a worker (LISTEN/NOTIFY), on whichever machine it is."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterable, Iterator
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
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import DeleteJobCondition, Status

from servers.engine.execution.queues.base import persevere

JOB = "gantry.run_task"
POLL_S = 5.0
"""After how many seconds an entry is found whose notification was lost, as while the connection was."""
POOL = {"min_size": 1, "max_size": 1, "timeout": 10.0}
"""One connection to fetch entries, beside the one that listens."""


class ProcrastinateQueue(BaseTaskBackend):
    """Django's Tasks API over Procrastinate. Results are not kept: the action's row has them."""

    supports_defer = True
    supports_priority = True

    def enqueue(self, task: Task[Any, Any], args: Any, kwargs: Any) -> TaskResult[Any]:
        """Enqueue in the caller's transaction: the connection is Django's own."""
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

    def serve(self, worker: str) -> None:
        """Carry out entries; one that was carried out is deleted, whatever came of it: a row that is due is enqueued again."""
        ending = threading.Event()

        def listen_once() -> None:
            connection.ensure_connection()  # fails at once, where a pool would go on trying
            connection.close()
            with translated():
                asyncio.run(listen(worker, sorted(self.queues), ending))

        persevere(listen_once, ending.is_set)

    def tidy_up(self) -> None:
        """Delete the entries of workers that were killed while they carried them out."""
        with translated():
            for job in async_to_sync(app.job_manager.get_stalled_jobs)():
                async_to_sync(app.job_manager.finish_job_by_id_async)(job.id, Status.FAILED, delete_job=True)


async def listen(worker: str, queues: Iterable[str], ending: threading.Event) -> None:
    """Carry out entries until the database goes away, or a signal says that it is enough: then the last one is ended first."""
    listening = DjangoApp(connector=PsycopgConnector(kwargs=connector_params(), **POOL))
    listening.task(name=JOB)(run_task)
    async with listening.open_async():
        work = asyncio.ensure_future(
            listening.run_worker_async(
                name=worker,
                queues=queues,
                concurrency=1,
                fetch_job_polling_interval=POLL_S,
                delete_jobs=DeleteJobCondition.ALWAYS,
                install_signal_handlers=False,  # Procrastinate's would not tell us which of both it was
            )
        )

        def end() -> None:
            if not ending.is_set():
                ending.set()
                work.cancel()

        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, end)
        with suppress(asyncio.CancelledError):
            await work


def run_task(task: str, args: list[Any], kwargs: dict[str, Any]) -> None:
    """Call the task with this path."""
    import_string(task).call(*args, **kwargs)


@contextmanager
def translated() -> Iterator[None]:
    """Raise what Procrastinate says of its connection as Django's error of that kind: nobody else knows its own."""
    try:
        yield
    except (ConnectorException, psycopg.Error) as error:
        cause = error if isinstance(error, psycopg.Error) else error.__cause__
        with connection.wrap_database_errors:
            raise cause or OperationalError(str(error)) from None
