"""Which version of Keystone's API is spoken, and where."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from servers.api.answers import json_answer
from servers.api.identity.bodies import address
from servers.api.identity.door import KeystoneView
from servers.api.resources import TEXT, TEXTS, Bodies, Field, Resource, fixed, list_of

VERSION = Resource(
    "IdentityVersion",
    (
        Field("id", TEXT, fixed("v3.14")),
        Field("status", TEXT, fixed("stable")),
        Field("updated", TEXT, fixed("2020-04-07T00:00:00Z")),
        Field("links", list_of(TEXTS), lambda nothing: [{"rel": "self", "href": address("")}]),
        Field(
            "media-types",
            list_of(TEXTS),
            fixed([{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}]),
        ),
    ),
)
VERSION_LIST = Resource("IdentityVersions", (Field("values", VERSION, fixed([None]), many=True),))


class Versions(KeystoneView):
    """`/identity`."""

    public = True

    def get(self, request: Request) -> HttpResponse:
        answer = json_answer({"versions": Bodies(VERSION_LIST)(None)}, 300)
        answer["Location"] = address("")
        return answer


class Version(KeystoneView):
    """`/identity/v3`."""

    public = True

    def get(self, request: Request) -> HttpResponse:
        return json_answer({"version": Bodies(VERSION)(None)})


class Nothing(KeystoneView):
    """Any other address."""

    http_method_names: list[str] = []
    public = True
