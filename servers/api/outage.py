"""What REST answers to an error that no view has met: raised before it was reached, or after it was left."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponseBase
from rest_framework.request import Request

from servers.api.compute.door import NovaView
from servers.api.door import EmbeddedView
from servers.api.identity.door import KeystoneView
from servers.api.image.door import GlanceView


class RaisingNovaView(NovaView):
    """Answers as Nova's service does to `error`."""

    error: ClassVar[Exception] = Exception()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise self.error


class RaisingView(EmbeddedView):
    """Answers as an embedded service does to `error`."""

    error: ClassVar[Exception] = Exception()

    def answer(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        raise self.error


class RaisingKeystoneView(RaisingView, KeystoneView):
    """The identity service."""


class RaisingGlanceView(RaisingView, GlanceView):
    """The image service."""


EMBEDDED = (
    (re.compile(r"/identity(/|\Z)"), RaisingKeystoneView),
    (re.compile(r"/image(/|\Z)"), RaisingGlanceView),
)


def answer_to(error: Exception, request: HttpRequest) -> HttpResponseBase:
    """Return the answer in the form of the service to which the address belongs."""
    view = next((view for path, view in EMBEDDED if path.match(request.path)), RaisingNovaView)
    return view.as_view(error=error)(request)
