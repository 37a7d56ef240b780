"""Where the document is: as JSON, as YAML, and as a page to read.

Anybody may ask for it, and it takes a second to make: each form is made once in a process, packed for those who take
gzip, and not sent at all to who has it already.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256

import yaml
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.loader import render_to_string
from django.urls import path
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe

from servers.api.answers import JSON
from servers.api.schema.generator import document
from servers.api.schema.page import page_context

OPENAPI = "application/vnd.oai.openapi"
PAGE = "text/html; charset=utf-8"
GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|\Z))")
KEPT_S = 300
"""For how long a client need not even ask whether what it has is still right."""


@dataclass(frozen=True)
class Form:
    """The document in one form, as it is sent."""

    plain: bytes
    packed: bytes
    etag: str

    @classmethod
    def of(cls, plain: bytes) -> Form:
        return cls(plain, gzip.compress(plain, mtime=0), f'W/"{sha256(plain).hexdigest()[:32]}"')


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


def view_of(make: Callable[[], bytes], content_type: str) -> Callable[[HttpRequest], HttpResponseBase]:
    """Return the view of one form; JSON has the simple name where that is asked for."""
    made = cache(lambda: Form.of(make()))

    def view(request: HttpRequest) -> HttpResponseBase:
        form, simple = made(), make is as_json and JSON in request.headers.get("Accept", "")
        packed = GZIP.search(request.headers.get("Accept-Encoding", "")) is not None
        answer = HttpResponse(
            form.packed if packed else form.plain, content_type=JSON if simple else content_type
        )
        if packed:
            answer["Content-Encoding"] = "gzip"
        answer["ETag"], answer["Vary"] = form.etag, "Accept, Accept-Encoding"
        answer["Cache-Control"] = f"public, max-age={KEPT_S}"
        return get_conditional_response(request, etag=form.etag, response=answer) or answer

    return require_safe(view)


urlpatterns = [
    path(".json", view_of(as_json, f"{OPENAPI}+json"), name="openapi-json"),
    path(".yaml", view_of(as_yaml, OPENAPI), name="openapi-yaml"),
    path("", view_of(as_page, PAGE)),
]
