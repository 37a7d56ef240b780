"""Which versions of Glance's API are spoken, and where."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request

from servers.api.answers import json_answer
from servers.api.image.door import GlanceView

NEWEST = 9
LEFT_OUT = 8
"""Glance itself leaves it out where there is but one store."""


class Versions(GlanceView):
    """`/image`: several choices; `/image/versions`: simply the list."""

    public = True
    code = 300

    def get(self, request: Request) -> HttpResponse:
        href = f"{settings.PUBLIC_URL}/image/v2/"
        found = [
            {
                "id": f"v2.{minor}",
                "status": "CURRENT" if minor == NEWEST else "SUPPORTED",
                "links": [{"rel": "self", "href": href}],
            }
            for minor in range(NEWEST, -1, -1)
            if minor != LEFT_OUT
        ]
        return json_answer({"versions": found}, self.code)
