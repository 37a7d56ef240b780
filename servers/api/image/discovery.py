"""Which versions of Glance's API are spoken, and where."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request

from servers.api.answers import json_answer
from servers.api.image.door import GlanceView
from servers.api.resources import TEXT, TEXTS, Bodies, Field, Resource, itself, list_of

NEWEST = 9
LEFT_OUT = 8
"""Glance itself leaves it out where there is but one store."""

VERSION = Resource(
    "ImageVersion",
    (
        Field("id", TEXT, lambda minor: f"v2.{minor}"),
        Field("status", TEXT, lambda minor: "CURRENT" if minor == NEWEST else "SUPPORTED"),
        Field(
            "links",
            list_of(TEXTS),
            lambda minor: [{"rel": "self", "href": f"{settings.PUBLIC_URL}/image/v2/"}],
        ),
    ),
)
"""A version is its minor number."""
VERSIONS = Resource("ImageVersions", (Field("versions", VERSION, itself, many=True),))


class Versions(GlanceView):
    """`/image`: several choices; `/image/versions`: simply the list."""

    public = True
    code = 300

    def get(self, request: Request) -> HttpResponse:
        spoken = [minor for minor in range(NEWEST, -1, -1) if minor != LEFT_OUT]
        return json_answer(Bodies(VERSIONS)(spoken), self.code)
