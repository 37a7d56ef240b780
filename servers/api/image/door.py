"""What all of Glance's addresses have in common: refusals are text, as Glance's are."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpResponse

from servers.api.answers import json_answer
from servers.api.authentication import unauthenticated
from servers.api.view import ServiceView
from servers.errors import Missing


class GlanceView(ServiceView):
    """An address behind `/image`."""

    service = "image"

    def require_served(self) -> None:
        if settings.IMAGES != "local":
            raise Missing

    def refusal(self, code: int, message: str) -> HttpResponse:
        if code == 401:
            return unauthenticated()
        return json_answer({"message": message, "code": code, "title": message}, code)


class NothingHere(GlanceView):
    """Any other address."""

    http_method_names: list[str] = []
    public = True
