"""How each service refuses: the same code has another body at each of them."""

from __future__ import annotations

from enum import StrEnum
from http import HTTPStatus

from servers.api.compute.negotiation import HEADER
from servers.api.faults import NAMES
from servers.api.resources import TEXT, Schema
from servers.api.schema import compute, gantry, identity, image

RETRY_AFTER = "Retry-After"
"""The header of a 429 or 503 that says when to ask again, where that is known."""
REQUEST_IDS = ("x-openstack-request-id", "x-compute-request-id")
"""The headers by which an answer is found in the log; the second is Nova's alone."""
UNREAD = (408, 413, 431)
"""With which the web server itself refuses: a request that takes too long, or is too large."""
FAULT: Schema = {
    "type": "object",
    "properties": {"code": {"type": "integer"}, "message": TEXT},
    "required": ["code", "message"],
    "additionalProperties": False,
}
"""Nova's."""
ERROR: Schema = {
    "type": "object",
    "properties": {"code": {"type": "integer"}, "message": TEXT, "title": TEXT},
    "required": ["code", "message", "title"],
    "additionalProperties": False,
}
"""Keystone's."""
PLAIN: Schema = {
    "type": "object",
    "properties": {"code": {"type": ["integer", "string"]}, "message": TEXT, "title": TEXT},
    "required": ["code", "message", "title"],
    "additionalProperties": False,
}
"""Of what knows nothing of either: a router, or Glance."""


class Service(StrEnum):
    """A service of OpenStack that is answered for here, and Gantry's own."""

    COMPUTE = "compute"
    IDENTITY = "identity"
    IMAGE = "image"
    GANTRY = "gantry"

    @property
    def always(self) -> tuple[int, ...]:
        """Return the codes with which any of its addresses may refuse."""
        doors = {"compute": compute, "identity": identity, "image": image, "gantry": gantry}
        refusals: tuple[int, ...] = doors[self].REFUSALS
        return (*refusals, *UNREAD)

    @property
    def headers(self) -> tuple[str, ...]:
        """Return the headers that all of its answers have."""
        if self is Service.GANTRY:
            return REQUEST_IDS
        return (*REQUEST_IDS, HEADER) if self is Service.COMPUTE else REQUEST_IDS[:1]

    def refusal_headers(self, code: int) -> tuple[str, ...]:
        """Return the headers that a refusal may have."""
        return (*self.headers, RETRY_AFTER) if code in {429, 503} else self.headers

    def refusal(self, code: int) -> Schema:
        """Return the response object of a refusal."""
        return {
            "description": HTTPStatus(code).phrase,
            "content": {media_type: {"schema": schema} for media_type, schema in self.bodies(code).items()},
        }

    def bodies(self, code: int) -> dict[str, Schema]:
        """Return the schemas of a refusal's body, by media type."""
        if self is Service.IDENTITY:
            return {"application/json": under("error", ERROR, HTTPStatus(code).phrase)}
        if code == 401:
            return {"application/json": under("error", ERROR)}
        if self is Service.IMAGE:
            return {"application/json": PLAIN}
        fault = under(NAMES.get(code, "computeFault"), FAULT)
        if self is Service.COMPUTE and code in {404, 413}:  # before any resource is found, or any body read
            return {"application/json": {"anyOf": [fault, PLAIN]}, "text/html": TEXT}
        return {"application/json": fault}


def under(key: str, schema: Schema, title: str | None = None) -> Schema:
    """Return the schema of an object with one key."""
    if title is not None:
        schema = {**schema, "properties": {**schema["properties"], "title": {"const": title}}}
    return {"type": "object", "properties": {key: schema}, "required": [key], "additionalProperties": False}
