"""`/metrics`: figures for Prometheus, for whoever may read them, wherever they ask from."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser
from django.http import HttpResponse
from rest_framework.request import Request

from servers.api.authentication import TOKEN, TokenAuthentication
from servers.api.gantry.door import GantryView
from servers.monitoring import exposition
from servers.policy import Context

BEARER = "Bearer "


class BearerAuthentication(TokenAuthentication):
    """Authentication by `Authorization: Bearer` as well: Prometheus sends a token that way."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, Context]:
        given = request.META.get("HTTP_AUTHORIZATION", "")
        if given.startswith(BEARER):
            request.META.setdefault(TOKEN, given.removeprefix(BEARER))
        return super().authenticate(request)


class Metrics(GantryView):
    """`GET /metrics`."""

    is_of_this_process = True
    authentication_classes = (BearerAuthentication,)

    def get(self, request: Request) -> HttpResponse:
        self.require(exposition.RULE)
        return HttpResponse(exposition.text(), content_type=exposition.CONTENT_TYPE)
