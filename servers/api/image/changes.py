"""What a client may change of an image, as a JSON patch: its name, its protection, its further properties."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from servers.api.resources import FLAG, Schema, an_object, one_of
from servers.api.validation import bounded_text
from servers.engine.images import OF_GLANCE, OF_NOVA, is_reserved
from servers.errors import Conflict, ImageMetadataLimit, NotPermitted
from servers.models import Image

MEDIA_TYPE = "application/openstack-images-v2.1-json-patch"
LONGEST = 255
MOST_OPERATIONS = 1000
CHANGEABLE = {"name", "protected"}
READ_ONLY = (OF_GLANCE | OF_NOVA) - CHANGEABLE


def writes(path: Schema, value: Schema) -> Schema:
    """Return the schema by which an operation on such a path has such a value, unless it removes."""
    return {
        "if": {"properties": {"op": {"enum": ["add", "replace"]}, "path": path}},
        "then": {"properties": {"value": value}, "required": ["value"]},
    }


PATCH: Schema = {
    "type": "array",
    "maxItems": MOST_OPERATIONS,
    "items": an_object(
        {
            "op": one_of("add", "replace", "remove"),
            "path": {
                "type": "string",
                "description": f"/ and the name of an attribute, which has at most {LONGEST} characters",
                "pattern": rf"^/([^/~]|~[01]){{1,{LONGEST}}}$(?!\n)",
            },
        },
        {"value": {"description": f"true or false of /protected, of others a text of {LONGEST} characters"}},
        allOf=[
            writes({"const": "/protected"}, FLAG),
            writes(
                {"not": {"enum": sorted(f"/{name}" for name in {"protected", *READ_ONLY})}},
                bounded_text(LONGEST),
            ),
        ],
    ),
}


def change(image: Image, operations: list[dict[str, Any]]) -> None:
    """Change an image, all or nothing. Raises Refusal, and StaleRow when somebody else was faster."""
    most = max(settings.IMAGE_METADATA_LIMIT, len(image.properties))  # createBackup may have made more
    for operation in operations:
        verb: str = operation["op"]
        value: Any = operation.get("value")
        name = operation["path"][1:].replace("~1", "/").replace("~0", "~")
        if name == "name":
            image.name = value if verb != "remove" else ""
        elif name == "protected":
            image.protected = value if verb != "remove" else False
        else:
            change_property(image, verb, name, value)
    if len(image.properties) > most:
        raise ImageMetadataLimit
    image.store("name", "protected", "properties")


def change_property(image: Image, verb: str, name: str, value: Any) -> None:
    """Add, replace or remove a further property. Raises Refusal."""
    if is_reserved(name):
        raise NotPermitted(f"Attribute '{name}' is read-only.")
    if verb != "add" and name not in image.properties:
        raise Conflict(f"Image {image.pk} has no property '{name}'.")
    if verb == "remove":
        del image.properties[name]
    else:
        image.properties[name] = value
