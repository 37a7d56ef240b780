"""What a client may change of an image, as a JSON patch: its name, its protection, its further properties."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from servers.api.image.bodies import backup, own
from servers.errors import Conflict, ImageMetadataLimit, InvalidParameters, NotPermitted
from servers.models import Image

MEDIA_TYPE = "application/openstack-images-v2.1-json-patch"
LONGEST = 255
RESERVED = {"base_image_ref", "instance_owner", "instance_uuid", "backup_type"}
"""Where an image comes from, and with whom it is shared: nobody's to claim."""


def change(image: Image, operations: Any) -> None:
    """Change an image, all or nothing. Raises Refusal, and StaleRow when somebody else was faster."""
    if not isinstance(operations, list):
        raise InvalidParameters(detail="The request body must be a list of operations.")
    most = max(settings.IMAGE_METADATA_LIMIT, len(image.properties))  # createBackup may have made more
    for operation in operations:
        verb, name, value = read_operation(operation)
        if name == "name":
            image.name = text(name, value) if verb != "remove" else ""
        elif name == "protected":
            image.protected = verb != "remove" and yes_or_no(name, value)
        else:
            change_property(image, verb, name, value)
    if len(image.properties) > most:
        raise ImageMetadataLimit
    image.store("name", "protected", "properties")


def change_property(image: Image, verb: str, name: str, value: Any) -> None:
    """Add, replace or remove a further property. Raises Refusal."""
    if name in {*own(image), *backup(image), *RESERVED}:
        raise NotPermitted(f"Attribute '{name}' is read-only.")
    if verb != "add" and name not in image.properties:
        raise Conflict(f"Image {image.pk} has no property '{name}'.")
    if verb == "remove":
        del image.properties[name]
    else:
        image.properties[name] = text(name, value)


def read_operation(operation: Any) -> tuple[str, str, Any]:
    """Return the verb, the attribute's name and its new value. Raises InvalidParameters."""
    said = operation if isinstance(operation, dict) else {}
    verb, path = said.get("op"), said.get("path")
    if verb not in ("add", "replace", "remove") or not isinstance(path, str) or not path.startswith("/"):
        raise InvalidParameters(detail="An operation has an op (add, replace or remove) and a path.")
    name = path[1:].replace("~1", "/").replace("~0", "~")
    if "/" in path[1:] or not name:
        raise InvalidParameters(detail=f"The path {path!r} is none of an attribute.")
    return verb, text("path", name), said.get("value")


def text(name: str, value: Any) -> str:
    """Return a text that can be kept. Raises InvalidParameters."""
    fits = isinstance(value, str) and len(value) <= LONGEST
    if not fits or any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value):
        raise InvalidParameters(detail=f"{name} must be a text of at most {LONGEST} characters.")
    return str(value)


def yes_or_no(name: str, value: Any) -> bool:
    """Return a truth value. Raises InvalidParameters."""
    if not isinstance(value, bool):
        raise InvalidParameters(detail=f"{name} must be true or false.")
    return value
