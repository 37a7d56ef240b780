"""What all of Glance's addresses have in common: refusals are text, as Glance's are."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from servers.api.answers import json_answer
from servers.api.authentication import unauthenticated
from servers.api.door import EmbeddedView
from servers.api.faults import status_of
from servers.errors import Missing, Refusal, Unauthenticated


class GlanceView(EmbeddedView):
    """An address behind `/image`."""

    service = "image"

    def is_served(self) -> bool:
        return settings.IMAGES == "local"

    def refusal(self, code: int, message: str) -> HttpResponse:
        return json_answer({"message": message, "code": code, "title": message}, code)

    def answer_to(self, error: Exception) -> HttpResponse:
        if isinstance(error, Unauthenticated):
            return unauthenticated()
        if isinstance(error, Refusal):
            return self.refusal(status_of(type(error)), str(error))
        return super().answer_to(error)


class NothingHere(GlanceView):
    """Any other address."""

    def answer(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        raise Missing
