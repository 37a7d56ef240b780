"""Images as Glance's clients see them: a table."""

from __future__ import annotations

from datetime import datetime

from servers.api.resources import (
    FLAG,
    NUMBER,
    NUMBER_OR_NULL,
    TEXT,
    TEXT_OR_NULL,
    TIME,
    UUID,
    Field,
    Resource,
    fields,
    fixed,
    list_of,
    one_of,
)
from servers.models import Image
from servers.states import ImageStatus


def time(moment: datetime) -> str:
    """Return a time in Glance's form, which has no fractions of a second."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def properties(image: Image) -> dict[str, str]:
    """Return the further properties, which are texts on the wire."""
    return {key: str(value) for key, value in image.properties.items()}


def is_backup(image: Image) -> bool:
    """Return whether it is known of which server an image is a backup."""
    return image.instance_uuid is not None


IMAGE = Resource(
    "Image",
    (
        Field("id", UUID, lambda image: str(image.pk)),
        *fields("name", TEXT),
        *fields("status", one_of(*ImageStatus)),
        *fields("visibility", one_of("public", "private", "shared", "community")),
        *fields("protected", FLAG),
        Field("os_hidden", FLAG, fixed(False)),
        Field("owner", TEXT, "project_id"),
        *fields("disk_format container_format user_id image_type", TEXT),
        Field("size", NUMBER_OR_NULL, "size_bytes"),
        Field("virtual_size", NUMBER_OR_NULL, "virtual_size_bytes"),
        *fields("min_disk min_ram", NUMBER),
        Field("checksum", TEXT_OR_NULL, fixed(None)),  # MD5 in Glance; the SHA-256 below is what was compared
        Field("os_hash_algo", TEXT_OR_NULL, lambda image: "sha256" if image.sha256 else None),
        Field("os_hash_value", TEXT_OR_NULL, lambda image: image.sha256 or None),
        Field("tags", list_of(TEXT), fixed([])),
        Field("created_at", TIME, lambda image: time(image.created_at)),
        Field("updated_at", TIME, lambda image: time(image.updated_at or image.created_at)),
        Field("schema", TEXT, fixed("/v2/schemas/image")),
        Field("self", TEXT, lambda image: f"/v2/images/{image.pk}"),
        Field("file", TEXT, lambda image: f"/v2/images/{image.pk}/file"),
        Field("instance_uuid", TEXT, lambda image: str(image.instance_uuid), when=is_backup),
        *fields("backup_type", TEXT, when=is_backup),
    ),
    rest=TEXT,
    others=properties,
)
"""What is known of a backup, and every further property, stands at the top."""
