"""What versions there are: the documents that clients read first (Nova contract D.2)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from rest_framework.request import Request

from servers.api.answers import json_answer
from servers.api.compute.door import NovaView
from servers.api.compute.links import Link, links
from servers.api.resources import TEXT, TEXTS, Bodies, Field, Resource, fields, list_of
from servers.errors import Missing
from servers.microversions import MINIMUM, maximum

MEDIA_TYPE = "application/vnd.openstack.compute+json;version="
DESCRIPTION = Link("describedby", "http://docs.openstack.org/", "text/html")


@dataclass(frozen=True)
class Version:
    """A version of the API, as a list shows it or as it is shown alone."""

    id: str
    folder: str
    status: str
    updated: str
    has_microversions: bool
    shown_alone: bool = False
    path: str = ""
    """The address in this version that is meant."""


V20 = Version("v2.0", "v2", "DEPRECATED", "2011-01-21T11:33:21Z", has_microversions=False)
V21 = Version("v2.1", "v2.1", "CURRENT", "2013-07-23T11:33:21Z", has_microversions=True)
VERSIONS = {version.id: version for version in (V20, V21)}


def links_of(version: Version) -> list[Link]:
    """Return the address of a version, and where it is described when it is shown alone."""
    here = Link("self", f"{settings.PUBLIC_URL}/{version.folder}/{version.path}")
    return [here, DESCRIPTION] if version.shown_alone else [here]


def media_types(version: Version) -> list[dict[str, str]]:
    """Return the media types of a version."""
    return [{"base": "application/json", "type": MEDIA_TYPE + version.folder.removeprefix("v")}]


NAMED = (*fields("id status", TEXT), links(links_of))
VERSION = Resource(
    "ApiVersion",
    (
        *NAMED,
        Field("version", TEXT, lambda version: str(maximum()) if version.has_microversions else ""),
        Field("min_version", TEXT, lambda version: str(MINIMUM) if version.has_microversions else ""),
        Field("updated", TEXT, "updated"),
        Field("media-types", list_of(TEXTS), media_types, when="shown_alone"),
    ),
)
CHOICE = Resource("ApiVersionChoice", (*NAMED, Field("media-types", list_of(TEXTS), media_types)))


def document(version: Version) -> dict[str, object]:
    """Return the document of a version."""
    return {"version": Bodies(VERSION)(replace(version, shown_alone=True))}


def versions_list(request: HttpRequest) -> HttpResponse:
    """Answer `GET /`."""
    return json_answer({"versions": list(map(Bodies(VERSION), VERSIONS.values()))})


def choices(request: HttpRequest) -> HttpResponse:
    """Answer an address in no version: there are these two."""
    offers = [replace(version, path=request.path_info.lstrip("/")) for version in VERSIONS.values()]
    return json_answer({"choices": list(map(Bodies(CHOICE), offers))}, 300)


class VersionDocument(NovaView):
    """`GET /v2.1`: what this version is."""

    public = True

    def get(self, request: Request) -> HttpResponse:
        return self.answer(document(V20 if self.compat else V21))


class VersionById(NovaView):
    """`GET /v2.1/versions/{id}`: the same, for somebody with a token."""

    def get(self, request: Request, version_id: str) -> HttpResponse:
        if version_id not in VERSIONS:
            raise Missing
        return self.answer(document(VERSIONS[version_id]))
