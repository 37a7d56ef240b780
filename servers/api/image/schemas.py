"""What an image, a member and a list of either look like, as JSON schemas."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from servers.api.answers import json_answer
from servers.api.image.door import GlanceView
from servers.errors import Missing
from servers.states import ImageStatus

_TEXTS = ("id", "owner", "schema", "self", "file", "created_at", "updated_at")
_TEXTS_OR_NULL = ("name", "disk_format", "container_format", "checksum", "os_hash_algo", "os_hash_value")
_NUMBERS = ("size", "virtual_size", "min_disk", "min_ram")
_CHANGEABLE = {"name", "protected"}

_PROPERTIES: dict[str, dict[str, Any]] = {
    **{name: {"type": "string"} for name in _TEXTS},
    **{name: {"type": ["null", "string"]} for name in _TEXTS_OR_NULL},
    **{name: {"type": ["null", "integer"]} for name in _NUMBERS},
    "status": {"type": "string", "enum": [status.value for status in ImageStatus]},
    "visibility": {"type": "string", "enum": ["public", "private", "shared", "community"]},
    "protected": {"type": "boolean"},
    "os_hidden": {"type": "boolean"},
    "tags": {"type": "array", "items": {"type": "string"}},
}


def image_schema() -> dict[str, Any]:
    """Return the schema of an image; whatever it does not name is a property, and a text."""
    described = {
        name: kind if name in _CHANGEABLE else {**kind, "readOnly": True}
        for name, kind in _PROPERTIES.items()
    }
    return {"name": "image", "properties": described, "additionalProperties": {"type": "string"}}


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
