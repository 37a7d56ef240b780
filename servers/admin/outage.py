"""What the console says without its database, or another service: a page that asks neither of them, nor who is there."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

READS = frozenset({"GET", "HEAD"})
NO_DATABASE = "No database at this moment"
NOT_NOW = "Not at this moment"


def outage_page(
    request: HttpRequest,
    message: str,
    *,
    title: str = NO_DATABASE,
    status: int = 503,
    changed_nothing: bool = False,
) -> HttpResponse:
    """Return the page, or its sentence alone for a part of a page that is asked for by script.

    `changed_nothing` says that what was sent has had no effect, as that of a request that only reads.
    """
    part = "HX-Request" in request.headers
    context = {
        "title": title,
        "message": message,
        "changed_nothing": changed_nothing or request.method in READS,
        "again": request.get_full_path() if request.method in READS and status == 503 else "",
    }
    text = render_to_string("outage_part.html" if part else "outage.html", context)
    return HttpResponse(text, status=status)
