"""What versions there are: the documents that clients read first (Nova contract D.2)."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from rest_framework.request import Request

from servers.api.answers import json_answer
from servers.api.compute.door import NovaView
from servers.errors import Missing
from servers.microversions import MINIMUM, maximum

MEDIA_TYPE = "application/vnd.openstack.compute+json;version="
V20, V21 = "v2.0", "v2.1"
_FOLDERS = {V20: "v2", V21: "v2.1"}
_STATUS = {V20: "DEPRECATED", V21: "CURRENT"}
_UPDATED = {V20: "2011-01-21T11:33:21Z", V21: "2013-07-23T11:33:21Z"}


def summary(version: str) -> dict[str, Any]:
    """Return what the list says of a version."""
    spoken = version == V21
    return {
        "id": version,
        "status": _STATUS[version],
        "version": str(maximum()) if spoken else "",
        "min_version": str(MINIMUM) if spoken else "",
        "updated": _UPDATED[version],
        "links": [{"rel": "self", "href": f"{settings.PUBLIC_URL}/{_FOLDERS[version]}/"}],
    }


def media_types(version: str) -> list[dict[str, str]]:
    """Return the media types of a version."""
    return [{"base": "application/json", "type": MEDIA_TYPE + _FOLDERS[version].removeprefix("v")}]


def document(version: str) -> dict[str, Any]:
    """Return the document of a version."""
    found = summary(version)
    found["links"].append({"rel": "describedby", "type": "text/html", "href": "http://docs.openstack.org/"})
    return {"version": {**found, "media-types": media_types(version)}}


def versions_list(request: HttpRequest) -> HttpResponse:
    """Answer `GET /`."""
    return json_answer({"versions": [summary(V20), summary(V21)]})


def choices(request: HttpRequest) -> HttpResponse:
    """Answer an address in no version: there are these two."""
    path = request.path.lstrip("/")
    offers = [
        {
            "id": version,
            "status": _STATUS[version],
            "links": [{"rel": "self", "href": f"{settings.PUBLIC_URL}/{_FOLDERS[version]}/{path}"}],
            "media-types": media_types(version),
        }
        for version in (V20, V21)
    ]
    return json_answer({"choices": offers}, 300)


class VersionDocument(NovaView):
    """`GET /v2.1`: what this version is."""

    public = True

    def get(self, request: Request) -> HttpResponse:
        return self.answer(document(V20 if self.compat else V21))


class VersionById(NovaView):
    """`GET /v2.1/versions/{id}`: the same, for somebody with a token."""

    def get(self, request: Request, version_id: str) -> HttpResponse:
        if version_id not in _FOLDERS:
            raise Missing
        return self.answer(document(version_id))
