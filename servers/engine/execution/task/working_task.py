"""The task that a worker works on: all that steps may ask, and how an action ends."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from servers import clock
from servers.actions.task import AgentTask, Change, ImageTask, MovingTask
from servers.drivers.base import Progress
from servers.engine import images
from servers.engine.capacity import slots
from servers.engine.execution import signals
from servers.engine.execution.task.images import Images
from servers.engine.execution.task.moving import Moving
from servers.engine.records import changes, events
from servers.engine.records import progress as progress_of
from servers.errors import DriverFault, Fault
from servers.models import ActionRecord, Server

log = structlog.get_logger(__name__)


class WorkingTask(Moving, Images):
    """The implementation of every task of `servers.actions.task`, for one attempt at an action."""

    def report(self, progress: Progress) -> None:
        """Write the progress of the running job, and renew the lease. Raises LeaseLost.

        A move that was asked to stop or to complete is told so here, in case the control action did not reach
        it.
        """
        self.beat()
        self.renew()
        with self.fenced():
            fresh = self.reread()
            percent = max(self.row.progress_percent, progress_of.percent_done(progress))
            self.save(progress_percent=percent)
            Server.objects.filter(pk=self.row.server_id).update(progress=percent)
            if self.row.migration_id is not None:
                progress_of.keep(self._migration(lock=True), progress)
        if self.row.migration_id is not None:
            self._hand_over_requests(fresh)

    def _hand_over_requests(self, fresh: ActionRecord) -> None:
        """Call abort or force_complete on the driver when the running move was asked to stop or to complete.

        A DriverFault is only logged: the next report tries again, and the move goes on.
        """
        live = self.driver(self.source).live_migration
        if live is None:
            return
        try:
            if fresh.cancel_requested_at:
                live.abort(self.guest)
            elif fresh.force_requested_at and not self.force_sent:
                self.force_sent = live.force_complete(self.guest)
        except DriverFault as fault:
            log.warning("action.request_not_taken", action=str(fresh.pk), reason=str(fault))

    def requeue(self, delay_s: float, *, tries: int | None = None, waits_for_host: str = "") -> None:
        """Put the action back into the queue, due in `delay_s` seconds.

        With `waits_for_host` it also waits until a slot of that host is free, unless one is by now, or the
        action was asked to stop. Does not count as an attempt without progress. `tries` is how often a
        retryable fault has put it back; None leaves the number as it is.
        """
        with self.fenced():
            row = self.reread()
            if (
                waits_for_host
                and not row.cancel_requested_at
                and slots.are_taken(slots.locked(waits_for_host))
            ):
                row.waits_for_host = waits_for_host
            row.apply_edge("requeue")
            row.lease_until = None
            row.due_at = clock.now() + timedelta(seconds=delay_s)
            row.tries = row.tries if tries is None else tries
            row.last_progress = ""
            row.steps = self.row.steps
            row.save(
                update_fields=[
                    "status",
                    "lease_until",
                    "due_at",
                    "tries",
                    "last_progress",
                    "steps",
                    "waits_for_host",
                ]
            )

    def end(self, edge: str, change: Change, fault: Fault | None = None) -> None:
        """Write the action's end, with `change`, in one transaction.

        Workers and judgements end an action only here. `edge` is succeed, fail or cancel. The record keeps
        `fault` with any edge; open events end with Error only for fail. A request to stop that comes later
        has no effect. Raises LeaseLost, TransitionNotAllowed.
        """
        with self.fenced():
            row = self.reread()
            changes.apply(row, change)
            events.close_all(row, fault if edge == "fail" else None)
            row.apply_edge(edge)
            row.message = "Error" if edge == "fail" else ""
            row.error_code, row.error_text = (fault.code, str(fault)) if fault else ("", "")
            row.sealed = row.step = ""
            row.steps = self.row.steps
            row.lease_until = row.stalled_at = None
            row.finished_at = row.updated_at = clock.now()
            row.progress_percent = 100 if edge == "succeed" else row.progress_percent
            row.save(
                update_fields=[
                    "status",
                    "message",
                    "error_code",
                    "error_text",
                    "sealed",
                    "step",
                    "steps",
                    "lease_until",
                    "stalled_at",
                    "finished_at",
                    "updated_at",
                    "progress_percent",
                ]
            )
            signals.send_when_committed(signals.action_ended, record=row)
        if change.image == "delete_image" and self.row.image_id is not None:
            images.discard(self.row.image_id)


if TYPE_CHECKING:  # the type checker proves that every promise is kept
    KEPT: tuple[type[MovingTask], type[ImageTask], type[AgentTask]] = (WorkingTask, WorkingTask, WorkingTask)
