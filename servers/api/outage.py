"""What REST answers to an error that no view has met: raised before it was reached, or after it was left."""

from __future__ import annotations

import re

from django.http import HttpRequest, HttpResponseBase

from servers.api.compute.door import NovaView
from servers.api.gantry.door import GantryView
from servers.api.identity.door import KeystoneView
from servers.api.image.door import GlanceView
from servers.api.view import ServiceView

SERVICES: tuple[tuple[str, type[ServiceView]], ...] = (
    (r"/identity(/|\Z)", KeystoneView),
    (r"/image(/|\Z)", GlanceView),
    (r"/(gantry/|metrics\Z)", GantryView),
    ("", NovaView),
)
"""By how its addresses begin."""


def answer_to(error: Exception, request: HttpRequest) -> HttpResponseBase:
    """Return the answer in the form of the service to which the address belongs."""
    view = next(view for beginning, view in SERVICES if re.match(beginning, request.path_info))
    return view.answer_to(error, request)
