"""What the console says without its database: a page that asks neither the database nor who is there."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from servers.errors import DatabaseUnavailable

READS = frozenset({"GET", "HEAD"})


def outage_page(request: HttpRequest) -> HttpResponse:
    """Return the page, or its sentence alone for a part of a page that is asked for by script."""
    part = "HX-Request" in request.headers
    context = {
        "message": str(DatabaseUnavailable()),
        "reads": request.method in READS,
        "address": request.get_full_path(),
    }
    text = render_to_string("outage_part.html" if part else "outage.html", context)
    return HttpResponse(text, status=503)
