"""Waiting for an action before somebody's eyes: a bar, bytes, rate, and each event as it ends."""

from __future__ import annotations

from datetime import timedelta

from django.db import Error
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from servers import clock
from servers.amounts import size
from servers.errors import DatabaseUnavailable
from servers.management.exit_codes import ExitCode, of_status
from servers.models import ActionEvent, ActionRecord
from servers.outage import drop_connections, is_outage
from servers.states import ActionStatus

POLL_S = 0.2
SETTLED = {ActionStatus.SUCCEEDED, ActionStatus.FAILED, ActionStatus.CANCELLED, ActionStatus.UNKNOWN}


class Watch:
    """Shows one action until it is over."""

    def __init__(self, record: ActionRecord, console: Console) -> None:
        self.record = record
        self.console = console
        self.shown: set[int] = set()
        self.is_away = False

    def wait(self, timeout_s: float) -> ExitCode:
        """Return how the action ended, or TIMED_OUT when it goes on after `timeout_s` (0: no limit)."""
        limit = clock.now() + timedelta(seconds=timeout_s)
        with self._progress() as progress:
            bar = progress.add_task(self.record.slug, total=100, facts="")
            while True:
                if self._look(progress, bar):
                    return of_status(self.record.status)
                if timeout_s and clock.now() >= limit:
                    return ExitCode.TIMED_OUT
                clock.sleep(POLL_S)

    def _look(self, progress: Progress, bar: TaskID) -> bool:
        """Show how the action is; return whether it is over. A database that is away is waited for, and said once."""
        try:
            self.record.refresh_from_db()
            self._show(progress, bar)
        except Error as error:
            if not is_outage(error):
                raise
            drop_connections()
            if not self.is_away:
                progress.console.print(Text(f"  {DatabaseUnavailable()} Waiting.", style="yellow"))
            self.is_away = True
            return False
        self.is_away = False
        return self.record.status in SETTLED

    def _progress(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %  {task.fields[facts]}"),
            TimeElapsedColumn(),
            console=self.console,
        )

    def _show(self, progress: Progress, bar: TaskID) -> None:
        for event in self.record.events.exclude(result="").exclude(pk__in=self.shown):
            self.shown.add(event.pk)
            progress.console.print(event_line(event))
        done = self.record.status == ActionStatus.SUCCEEDED
        progress.update(
            bar,
            completed=100 if done else self.record.progress_percent,
            description=f"{self.record.slug} {self.record.status} {self.record.step}".rstrip(),
            facts=bytes_and_rate(self.record),
        )


def event_line(event: ActionEvent) -> Text:
    """Return an event that has ended, as one line."""
    good = event.result == "Success"
    where = f" at {event.host}" if event.host else ""
    details = f": {event.details}" if event.details and not good else ""
    return Text(f"  {event.result:<7} {event.name}{where}{details}", style="green" if good else "red")


def bytes_and_rate(record: ActionRecord) -> str:
    """Return what has been copied of how much, and how fast, or nothing when nothing is being copied."""
    migration = record.migration
    if migration is None or not migration.memory_total_bytes + migration.disk_total_bytes:
        return ""
    done = size(migration.memory_processed_bytes + migration.disk_processed_bytes)
    if record.is_over:
        return f"{done} copied"
    left = size(migration.memory_remaining_bytes + migration.disk_remaining_bytes)
    rate = f" at {size(migration.rate_bytes_s)}/s" if migration.rate_bytes_s else ""
    return f"{done} copied, {left} left{rate}"
