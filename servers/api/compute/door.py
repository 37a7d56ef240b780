"""What all of Nova's addresses have in common, besides what every service has (Nova contract A.0)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from servers.api import faults
from servers.api.answers import plain_refusal
from servers.api.compute.form import NovaFormView
from servers.api.compute.links import Links
from servers.api.compute.negotiation import announce, negotiate
from servers.errors import Invalid, Missing
from servers.microversions import MINIMUM, Microversion


class Unrouted(Missing):
    """The resource could not be found."""


class WrongProject(Invalid):
    """Malformed request URL: URL's project_id '{url}' doesn't match Context's project_id '{token}'"""


Handler = TypeVar("Handler", bound=Callable[..., HttpResponse])


def versions(since: str | None = None, until: str | None = None) -> Callable[[Handler], Handler]:
    """Let a method exist in these microversions only; in others it is not found."""

    def mark(handler: Handler) -> Handler:
        handler.versions = (since, until)  # type: ignore[attr-defined]
        return handler

    return mark


class NovaView(NovaFormView):
    """A resource of Nova's API."""

    service = "compute"

    url_project: str = ""
    microversion: Microversion | None = None
    """The version that the answer names, None where it names none."""

    def dispatch(
        self, request: HttpRequest, *args: Any, minor: str = "", project_id: str = "", **kwargs: Any
    ) -> HttpResponseBase:
        self.compat, self.url_project = not minor, project_id
        return super().dispatch(request, *args, **kwargs)

    # -------------------------------------------------------------------------- checks of Nova's own

    def require_method(self, request: Request) -> None:
        if request.method not in self.allowed_methods or "\0" in request.path:
            raise Unrouted

    def negotiate(self, request: Request) -> None:
        if not self.compat:
            try:
                self.microversion = negotiate(request.headers)
            except faults.VersionRefused as refused:
                self.microversion = refused.facts["version"]
                raise
        super().negotiate(request)

    def require_project(self) -> None:
        if self.url_project and self.url_project != self.context.project_id:
            raise WrongProject(url=self.url_project, token=self.context.project_id)

    def require_version(self, request: Request) -> None:
        handler = getattr(self, str(request.method).lower())
        if not self.version.between(*getattr(handler, "versions", (None, None))):
            raise Missing

    # ------------------------------------------------------------------------------------ the answer

    def handle_exception(self, exc: Exception) -> HttpResponse:  # type: ignore[override]
        """Return the answer; what comes before Nova's own code knows nothing of its faults (E.4)."""
        if isinstance(exc, RequestDataTooBig):
            text = "Request is too large. Larger than max_request_body_size (%s)."  # Nova shows it unfilled
            return plain_refusal(self.request, 413, "Request Entity Too Large", text)
        if isinstance(exc, Unrouted):
            return plain_refusal(self.request, 404, "Not Found", str(exc))
        return super().handle_exception(exc)

    def finalize_response(  # type: ignore[override]
        self, request: Request, response: HttpResponseBase, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        answer: HttpResponseBase = super().finalize_response(request, response, *args, **kwargs)  # type: ignore[arg-type]
        if self.microversion is not None:
            announce(answer, self.microversion)
        return answer

    # ------------------------------------------------------------------------ what resources ask for

    @property
    def version(self) -> Microversion:
        return self.microversion or MINIMUM

    def at_least(self, version: str) -> bool:
        """Return whether the answer is in `version` or a later one."""
        return self.version.between(version, None)

    @property
    def links(self) -> Links:
        """Return the maker of links for this request."""
        return Links("v2" if self.compat else "v2.1", self.url_project)


class NothingHere(NovaView):
    """Any address behind a version that leads nowhere; it asks for a token all the same."""
