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

KINDS = {"+": "made", "~": "changed", "-": "deleted"}


@dataclass(frozen=True)
class Entry:
    """One change: `lines` say what of it is different, each as name, old and new value."""

    at: datetime
    who: str
    door: str
    kind: str
    lines: tuple[tuple[str, Any, Any], ...]


def entries_of(row: Any) -> list[Entry]:
    """Return the changes of a row, newest first; those that changed nothing that is kept are left out."""
    records = list(row.history.select_related("history_user").order_by("-history_date", "-history_id"))
    older = [*records[1:], None]
    entries = [entry_of(new, old) for new, old in zip(records, older, strict=True)]
    return [entry for entry in entries if entry.lines or entry.kind != KINDS["~"]]


def entry_of(new: Any, old: Any) -> Entry:
    """Return what one record of the history says, compared with the one before it."""
    changed = new.diff_against(old, foreign_keys_are_objs=True).changes if old is not None else []
    return Entry(
        at=new.history_date,
        who=new.who or str(new.history_user or "–"),
        door=new.door,
        kind=KINDS[new.history_type],
        lines=tuple(
            (new._meta.get_field(change.field).verbose_name, change.old, change.new) for change in changed
        ),
    )


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
