"""The audit trail: who did what to what, with filters; each record's page; and all of it as JSON lines."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import URLPattern, path, reverse

from servers.acting import SYSTEM
from servers.admin.base import LONGEST_SEARCH
from servers.admin.histories import history_of_record, part_of_trail, records_address, require
from servers.admin.pages import PageAdmin
from servers.admin.sentences import sentence, shown, way
from servers.admin.showing import render
from servers.admin.site import console
from servers.audit import reading
from servers.audit.reading import MODELS, RULE, Names, Wanted
from servers.audit.triggers import SQL
from servers.models import ActionRecord, AuditLink, AuditRecord

DOORS = ("rest", "console", "command", SYSTEM, SQL)
VERBS = ("created", "changed", "deleted")


class AnyOf(forms.ChoiceField):
    """One of a few words, or another one that the address says."""

    def __init__(self, words: tuple[str, ...]) -> None:
        super().__init__(required=False, choices=[("", "any"), *((word, word) for word in words)])

    def valid_value(self, value: Any) -> bool:
        return True


class When(forms.DateTimeField):
    """A time in the viewer's zone, or with an offset."""

    def __init__(self) -> None:
        widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M:%S")
        super().__init__(required=False, widget=widget)


class TrailForm(forms.Form):
    """What of the trail is asked for: each field but `q` is one of `Wanted`."""

    q = forms.CharField(required=False, max_length=LONGEST_SEARCH, label="Name, id or request")
    who = forms.CharField(required=False, max_length=255, label="Who")
    door = AnyOf(DOORS)
    object_type = AnyOf(tuple(sorted(MODELS)))
    verb = AnyOf(VERBS)
    since = When()
    until = When()
    object_id = forms.CharField(required=False, max_length=255, widget=forms.HiddenInput)
    object_name = forms.CharField(required=False, max_length=255, widget=forms.HiddenInput)
    name_part = forms.CharField(required=False, max_length=255, widget=forms.HiddenInput)
    project_id = forms.CharField(required=False, max_length=255, widget=forms.HiddenInput)
    request_id = forms.CharField(required=False, max_length=255, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        for name in ("door", "object_type", "verb"):
            said, field = self.data.get(name, ""), self.fields[name]
            if said and said not in dict(field.choices):  # type: ignore[attr-defined]
                field.choices = [*field.choices, (said, said)]  # type: ignore[attr-defined]

    @property
    def wanted(self) -> Wanted:
        """Return what is asked for, when the form is valid."""
        values: dict[str, str | datetime] = {n: v for n, v in self.cleaned_data.items() if v}
        word = values.pop("q", "")
        return Wanted(**{**values, **(reading.searched(str(word)) if word else {})})  # type: ignore[arg-type]


@admin.register(AuditRecord, site=console)
class AuditAdmin(PageAdmin):
    """Records of the audit trail, which nobody changes."""

    read_rule = show_rule = RULE
    page_name = "audit_record"

    def get_urls(self) -> list[URLPattern]:
        export = path("export/", self.admin_site.admin_view(self.export), name="servers_auditrecord_export")
        return [export, *super().get_urls()]

    def asked(self, request: HttpRequest) -> TrailForm:
        """Return the form as the address fills it. Raises PermissionDenied or BadRequest."""
        require(request)
        form = TrailForm(request.GET)
        unknown = {*request.GET} - {*form.fields, "marker"}
        if unknown:
            raise BadRequest(f"The audit trail is not filtered by {', '.join(sorted(unknown))}.")
        return form

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        form = self.asked(request)
        found = part_of_trail(request, form.wanted) if form.is_valid() else {}
        context = {
            **self.admin_site.each_context(request),
            **found,
            "title": "Audit trail",
            "opts": self.opts,
            "form": form,
            "is_filtered": any(request.GET.values()),
        }
        return render(
            request, "admin/servers/audit_trail.html", context, status=200 if form.is_valid() else 400
        )

    def export(self, request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
        """Return all that is asked for as JSON lines, oldest first."""
        form = self.asked(request)
        if not form.is_valid():
            raise BadRequest("One of the filters cannot be read.")
        answer = StreamingHttpResponse(reading.lines(form.wanted), content_type="application/jsonl")
        answer["Content-Disposition"] = 'attachment; filename="audit-trail.jsonl"'
        return answer

    def title_of(self, record: AuditRecord) -> str:
        return f"Record {record.pk}"

    def page(self, request: HttpRequest, record: AuditRecord) -> dict[str, Any]:
        """Return what stands on the record's page."""
        names = Names([record])
        columns = sorted({*record.before, *record.after})
        action = (
            ActionRecord.objects.filter(request_id=record.request_id).first() if record.request_id else None
        )
        return {
            "record": record,
            "sentence": sentence(record, names),
            "way": way(record),
            "project": names.of_project(record.project_id),
            "changes": [
                (
                    name,
                    shown(record, names, name, record.before.get(name)),
                    shown(record, names, name, record.after.get(name)),
                )
                for name in columns
            ],
            "link": AuditLink.objects.filter(record_id=record.pk).first(),
            "of_request": records_address(request_id=record.request_id) if record.request_id else "",
            "action": reverse("admin:servers_actionrecord_change", args=[action.pk]) if action else "",
            "history_address": history_of_record(record),
            "history_label": f"History of {record.object_type} {record.object_name}",
        }
