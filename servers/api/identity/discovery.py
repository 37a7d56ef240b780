"""Which version of Keystone's API is spoken, and where."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request

from servers.api.answers import json_answer
from servers.api.identity.door import KeystoneView


def version() -> dict[str, Any]:
    """Return the version."""
    return {
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": f"{settings.PUBLIC_URL}/identity/v3/"}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
    }


class Versions(KeystoneView):
    """`/identity`."""

    public = True

    def get(self, request: Request) -> HttpResponse:
        answer = json_answer({"versions": {"values": [version()]}}, 300)
        answer["Location"] = f"{settings.PUBLIC_URL}/identity/v3/"
        return answer


class Version(KeystoneView):
    """`/identity/v3`."""

    public = True

    def get(self, request: Request) -> HttpResponse:
        return json_answer({"version": version()})


class Nothing(KeystoneView):
    """Any other address."""

    http_method_names: list[str] = []
    public = True
