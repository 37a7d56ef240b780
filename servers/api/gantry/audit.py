"""`/gantry/v1/audit`: the audit trail, newest first; as JSON lines all that is asked for, oldest first."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from rest_framework.request import Request

from servers.api.answers import JSON
from servers.api.compute.links import next_link
from servers.api.compute.paging import limit_of
from servers.api.compute.validation import DATE_TIME, PAGING, TEXT, Query, Term
from servers.api.gantry.bodies import MOMENT, keys
from servers.api.gantry.door import GantryView
from servers.api.resources import NUMBER, NUMBER_OR_NULL, OBJECT, TEXT_OR_NULL, Bodies, Resource
from servers.api.resources import TEXT as A_TEXT
from servers.api.validation import moment
from servers.audit import reading
from servers.audit.reading import RULE, Wanted
from servers.errors import Invalid, Missing
from servers.models import AuditRecord

JSON_LINES = "application/jsonl"

RECORD = Resource(
    "AuditRecord",
    (
        *keys("id", NUMBER),
        *keys("at", MOMENT),
        *keys("who who_id on_behalf_of door source request_id", A_TEXT),
        *keys("verb object_type object_id object_name project_id", A_TEXT),
        *keys("before after", OBJECT),
        *keys("reason", A_TEXT),
        *keys("number", NUMBER_OR_NULL),
        *keys("digest", TEXT_OR_NULL),
    ),
)
TEXTS = (
    *("request_id", "object_id", "object_name", "who", "project_id", "object_type", "door", "verb"),
    "name_part",
)
TIMES = ("since", "until")


class RecordMissing(Missing):
    """Audit record {record} could not be found."""


class RecordMarkerUnknown(Invalid):
    """Marker {marker} could not be found."""


class AuditPeriodWrong(Invalid):
    """The value of since must be less than or equal to until."""


class AuditList(GantryView):
    """`GET /gantry/v1/audit`."""

    query = Query(
        (*PAGING, *(Term(name, TEXT) for name in TEXTS), *(Term(name, DATE_TIME) for name in TIMES)), "2.1"
    )

    def get(self, request: Request) -> HttpResponseBase:
        self.require(RULE)
        wanted = self.wanted()
        if request._request.get_preferred_type([JSON, JSON_LINES]) == JSON_LINES:
            return varied(StreamingHttpResponse(reading.lines(wanted), content_type=JSON_LINES))
        limit, marker = limit_of(self.values), self.marker()
        found = reading.page(wanted, limit, marker) if limit else reading.Page([], None)
        body: dict[str, Any] = {"records": [*map(Bodies(RECORD, self), reading.as_data(found.records))]}
        if found.marker is not None:
            body["records_links"] = next_link(request.path, request.GET, found.marker)
        return varied(self.answer(body))

    def wanted(self) -> Wanted:
        """Return what the query asks for. Raises AuditPeriodWrong."""
        texts = {name: self.value(name) or "" for name in TEXTS}
        times = {name: moment(self.values[name][-1]) if name in self.values else None for name in TIMES}
        wanted = Wanted(**texts, **times)  # type: ignore[arg-type]
        if wanted.since is not None and wanted.until is not None and wanted.since > wanted.until:
            raise AuditPeriodWrong
        return wanted

    def marker(self) -> AuditRecord | None:
        """Return the record after which the page begins. Raises RecordMarkerUnknown."""
        text = self.value("marker")
        if text is None:
            return None
        found = reading.find(text)
        if found is None:
            raise RecordMarkerUnknown(marker=text)
        return found


class AuditShow(GantryView):
    """`GET /gantry/v1/audit/{id}`."""

    def get(self, request: Request, record_id: str) -> HttpResponse:
        self.require(RULE)
        record = reading.find(record_id)
        if record is None:
            raise RecordMissing(record=record_id)
        return self.answer({"record": Bodies(RECORD, self)(reading.as_data([record])[0])})


def varied(answer: HttpResponseBase) -> HttpResponseBase:
    """Return an answer whose form follows from what the client accepts."""
    answer["Vary"] = "Accept"
    return answer
