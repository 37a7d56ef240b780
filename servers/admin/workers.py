"""Who carries actions out."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString

from servers import clock
from servers.admin.badges import Tone, badge
from servers.admin.base import RecordAdmin
from servers.admin.site import console
from servers.admin.times import moment
from servers.engine.execution.workers import SILENT
from servers.models import Worker


@admin.register(Worker, site=console)
class WorkerAdmin(RecordAdmin):
    """Supervisors of worker processes."""

    list_display = ("name", "state", "processes", "began", "seen")
    actions = None

    @admin.display(description="state")
    def state(self, worker: Worker) -> SafeString:
        there = worker.seen_at > clock.now() - SILENT
        return badge("working", Tone.GOOD) if there else badge("silent", Tone.BAD)

    @admin.display(description="began", ordering="started_at")
    def began(self, worker: Worker) -> SafeString | str:
        return moment(worker.started_at)

    @admin.display(description="last heard of", ordering="seen_at")
    def seen(self, worker: Worker) -> SafeString | str:
        return moment(worker.seen_at)
