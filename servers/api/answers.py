"""What all doors say in the same way: JSON, nothing, and the plain refusals that come before any door."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from django.http import HttpRequest, HttpResponse

JSON = "application/json"
HTML = "text/html"
RETRY_AFTER_S = 5
"""When somebody who was told to try again may do so: a restart of PostgreSQL takes about as long."""


def json_answer(data: Any, status: int = 200, content_type: str = JSON) -> HttpResponse:
    """Return `data` as JSON."""
    return HttpResponse(json.dumps(data), status=status, content_type=content_type)


def empty_answer(status: int, content_type: str = JSON) -> HttpResponse:
    """Return an answer without a body."""
    return HttpResponse(b"", status=status, content_type=content_type)


def try_again(answer: HttpResponse, after_s: int = RETRY_AFTER_S) -> HttpResponse:
    """Return the answer, with when to ask again."""
    answer["Retry-After"] = str(after_s)
    return answer


def plain_refusal(request: HttpRequest, status: int, title: str, explanation: str) -> HttpResponse:
    """Return what a router says, which knows nothing of Nova's faults: HTML unless JSON is preferred (webob)."""
    accepted = request.get_preferred_type([HTML, JSON])
    body = f"{escape(explanation)}<br /><br />\n\n\n"
    line = f"{status} {title}"
    if accepted == JSON:
        return json_answer({"message": body, "code": line, "title": title}, status)
    if accepted == HTML:
        page = (
            f"<html>\n <head>\n  <title>{line}</title>\n </head>\n"
            f" <body>\n  <h1>{line}</h1>\n  {body}\n </body>\n</html>"
        )
        return HttpResponse(page, status=status, content_type="text/html; charset=UTF-8")
    text = f"{line}\n\n{explanation}\n\n\n\n\n"
    return HttpResponse(text, status=status, content_type="text/plain; charset=UTF-8")
