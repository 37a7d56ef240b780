"""What Nova's addresses and Gantry's own have in common: the form of a refusal, and what a query may say."""

from __future__ import annotations

from typing import ClassVar

from django.http import HttpResponse
from rest_framework.request import Request

from servers.api import faults
from servers.api.compute.bodies import require_media_type
from servers.api.compute.validation import Query, check_body
from servers.api.resources import Schema
from servers.api.view import ServiceView


class NovaFormView(ServiceView):
    """An address that refuses in Nova's form."""

    http_method_names = ["get", "post", "put", "delete"]
    request_id_headers: ClassVar[tuple[str, ...]] = ("x-openstack-request-id", "x-compute-request-id")
    unforeseen = "Unexpected API Error. Please contact the administrator\n{kind}"

    compat: bool = False
    """Whether the request came to `/v2`, where unknown keys are dropped and there is one version."""
    query: ClassVar[Query] = Query()
    values: dict[str, list[str]]

    def negotiate(self, request: Request) -> None:
        require_media_type(request)

    def require_schema(self, schema: Schema) -> None:
        check_body(self.body, schema, trims=self.compat)

    def check_query(self, request: Request) -> None:
        self.values = self.query.read(request.GET, self.version)

    def refusal(self, code: int, message: str) -> HttpResponse:
        return faults.novas_form(code, message)

    def value(self, name: str) -> str | None:
        """Return the last value of a query key, as Nova does, or None."""
        return self.values[name][-1] if name in self.values else None
