"""What an image, a member and a list of either look like, as JSON schemas."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from servers.api.answers import json_answer
from servers.api.image.bodies import IMAGE
from servers.api.image.changes import READ_ONLY
from servers.api.image.door import GlanceView
from servers.errors import Missing
from servers.microversions import MINIMUM


def image_schema() -> dict[str, Any]:
    """Return the schema of an image; whatever it does not name is a property, and a text."""
    described = {
        name: {**kind, "readOnly": True} if name in READ_ONLY else kind
        for name, kind in IMAGE.at(MINIMUM)["properties"].items()
    }
    return {"name": "image", "properties": described, "additionalProperties": IMAGE.rest}


def member_schema() -> dict[str, Any]:
    """Return the schema of a project with which an image is shared."""
    names = ("created_at", "image_id", "member_id", "schema", "status", "updated_at")
    return {"name": "member", "properties": {name: {"type": "string"} for name in names}}


def list_schema(name: str, items: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a list, a page at a time."""
    listed = {name: {"type": "array", "items": items}, "schema": {"type": "string"}}
    return {"name": name, "properties": listed | {key: {"type": "string"} for key in ("first", "next")}}


class Schema(GlanceView):
    """`/image/v2/schemas/…`."""

    def get(self, request: Request, name: str) -> HttpResponse:
        known = {"image": image_schema(), "member": member_schema()}
        known |= {f"{one}s": list_schema(f"{one}s", schema) for one, schema in known.items()}
        if name not in known:
            raise Missing
        return json_answer(known[name])
