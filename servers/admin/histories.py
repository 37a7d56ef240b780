"""The history of an object: its records in the audit trail, for who may read that; of one that is deleted too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin import AdminSite
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, ValidationError
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse

from servers.admin.caller import allows
from servers.admin.sentences import sentence, way
from servers.admin.showing import render
from servers.audit import reading
from servers.audit.reading import KINDS, MODELS, RULE, Names, Wanted
from servers.audit.watched import UNWATCHED
from servers.models import AuditRecord, DeploymentFact

ROWS = 50


@dataclass(frozen=True)
class Line:
    """A record in a list: what it tells, how it was done, and where the history of its object is."""

    record: AuditRecord
    sentence: str
    way: str
    history: str


def require(request: HttpRequest) -> None:
    """Do nothing for who may read the trail. Raises PermissionDenied."""
    if not allows(request, RULE):
        raise PermissionDenied(f"Policy doesn't allow {RULE} to be performed.")


def history_address(request: HttpRequest, model: type[Model], key: Any) -> str:
    """Return where the history of an object is, nothing for who may not read it, or where there is none."""
    if model not in KINDS or not allows(request, RULE):
        return ""
    return reverse(f"admin:servers_{model._meta.model_name}_history", args=[key])


def history_of_record(record: AuditRecord) -> str:
    """Return where the history of a record's object is, nothing where it has no page."""
    model = MODELS.get(record.object_type)
    if model is None or not record.object_id or model is DeploymentFact:
        return ""
    return reverse(f"admin:servers_{model._meta.model_name}_history", args=[record.object_id])


def records_address(**wanted: str) -> str:
    """Return where the records are that are asked for."""
    return f"{reverse('admin:servers_auditrecord_changelist')}?{urlencode(wanted)}"


def lines_of(records: list[AuditRecord]) -> list[Line]:
    """Return records as lines of a list."""
    names = Names(records)
    return [Line(row, sentence(row, names), way(row), history_of_record(row)) for row in records]


def part_of_trail(request: HttpRequest, wanted: Wanted) -> dict[str, Any]:
    """Return what a page shows of the trail: a page of it, from the marker in the address on. Raises Http404."""
    text = request.GET.get("marker", "")
    marker = reading.find(text)
    if text and marker is None:
        raise Http404(f"There is no record {text}.")
    page = reading.page(wanted, ROWS, marker)
    given = {name: value for name, value in request.GET.items() if name != "marker"}
    return {
        "lines": lines_of(page.records),
        "looked_through": reading.EXAMINED if page.marker and len(page.records) < ROWS else 0,
        "older": urlencode({**given, "marker": page.marker}) if page.marker else "",
        "newest": f"{request.path}?{urlencode(given)}" if text else "",
        "export": f"{reverse('admin:servers_auditrecord_export')}?{urlencode(wanted.as_query())}",
    }


def history_page(request: HttpRequest, site: AdminSite, model: type[Model], key: str) -> HttpResponse:
    """Show the history of the object with a key, whether it is still there or not. Raises Http404."""
    require(request)
    if model not in KINDS:
        reason = UNWATCHED.get(model, "it is not watched")
        raise Http404(f"There is no history of {model._meta.verbose_name_plural}: {reason}.")
    row = row_of(model, key)
    wanted = reading.of(row) if row is not None else Wanted(object_type=KINDS[model], object_id=key)
    shown = part_of_trail(request, wanted)
    if row is None and not shown["lines"]:
        raise Http404(f"There is no {model._meta.verbose_name} {key}, and there has been none.")
    last = next((line.record.object_name for line in shown["lines"]), "")
    name = getattr(row, "name", "") or last or key
    context = {
        **site.each_context(request),
        **shown,
        "title": f"History of {model._meta.verbose_name} {name}",
        "opts": model._meta,
        "is_there": row is not None and getattr(row, "deleted_at", None) is None,
        "page_of_row": reverse(
            f"admin:servers_{model._meta.model_name}_change", args=[key if row is None else row.pk]
        ),
        "filtered": records_address(**wanted.as_query()),
    }
    return render(request, "admin/servers/history.html", context)


def row_of(model: type[Model], key: str) -> Model | None:
    """Return the row with a key, None where there is none."""
    try:
        return model._default_manager.get(pk=key)
    except (ObjectDoesNotExist, ValidationError, ValueError):
        return None


def missing(request: HttpRequest, site: AdminSite, model: type[Model], key: str, reason: str) -> HttpResponse:
    """Say that there is no such object, and where its history is, for who may read that. Raises Http404."""
    history = history_address(request, model, key)
    if not history or not reading.page(Wanted(object_type=KINDS[model], object_id=key), 1).records:
        raise Http404(reason)
    context = {
        **site.each_context(request),
        "title": "Not found",
        "opts": model._meta,
        "reason": reason,
        "history": history,
    }
    return render(request, "admin/servers/missing.html", context, status=404)
