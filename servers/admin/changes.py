"""Who changed a row, when, through which door, and what it was before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse

from servers.admin.base import RecordAdmin
from servers.admin.showing import render
from servers.models import AuditRecord


@dataclass(frozen=True)
class Entry:
    """One change: `lines` say what of it is different, each as name, old and new value."""

    at: datetime
    who: str
    door: str
    kind: str
    lines: tuple[tuple[str, Any, Any], ...]


def entries_of(row: Any) -> list[Entry]:
    """Return the changes of a row, newest first."""
    return [
        Entry(
            record.at,
            record.who,
            record.door,
            record.verb,
            tuple(
                (name, record.before.get(name), record.after.get(name))
                for name in sorted({*record.before, *record.after})
            ),
        )
        for record in AuditRecord.of(row)
    ]


class RememberedAdmin(RecordAdmin):
    """Pages of rows whose every change is kept."""

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404(f"There is no {self.opts.verbose_name} {object_id}.")
        context = {
            **self.admin_site.each_context(request),
            "title": f"Who changed {row}",
            "opts": self.opts,
            "row": row,
            "entries": entries_of(row),
        }
        return render(request, "admin/servers/history.html", context)
