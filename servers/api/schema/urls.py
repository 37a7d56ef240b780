"""Where the document is: as JSON, as YAML, and as a page to read.

Anybody may ask for it, and it takes a second to make: each form is made once in a process.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache

import yaml
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import path
from django.views.decorators.http import require_safe

from servers.api.answers import JSON
from servers.api.schema.generator import document
from servers.api.schema.page import page_context

OPENAPI = "application/vnd.oai.openapi"
PAGE = "text/html; charset=utf-8"


@cache
def as_json() -> bytes:
    """Return the document as JSON."""
    return json.dumps(document(), indent=2).encode()


@cache
def as_yaml() -> bytes:
    """Return the document as YAML."""
    return yaml.safe_dump(json.loads(as_json()), sort_keys=False, allow_unicode=True).encode()


@cache
def as_page() -> bytes:
    """Return the page."""
    return render_to_string("openapi.html", page_context(json.loads(as_json()))).encode()


def view_of(make: Callable[[], bytes], content_type: str) -> Callable[[HttpRequest], HttpResponse]:
    """Return the view of one form; JSON has the simple name where that is asked for."""

    def view(request: HttpRequest) -> HttpResponse:
        simple = make is as_json and JSON in request.headers.get("Accept", "")
        return HttpResponse(make(), content_type=JSON if simple else content_type)

    return require_safe(view)


urlpatterns = [
    path(".json", view_of(as_json, f"{OPENAPI}+json"), name="openapi-json"),
    path(".yaml", view_of(as_yaml, OPENAPI), name="openapi-yaml"),
    path("", view_of(as_page, PAGE)),
]
