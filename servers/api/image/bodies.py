"""Images as Glance's clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from servers.models import Image


def time(moment: datetime) -> str:
    """Return a time in Glance's form, which has no fractions of a second."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def image_body(image: Image) -> dict[str, Any]:
    """Return an image; what is known of a backup, and every further property, stands at the top."""
    return {**properties(image), **own(image), **backup(image)}


def properties(image: Image) -> dict[str, str]:
    """Return the further properties, which are texts on the wire."""
    return {key: str(value) for key, value in image.properties.items()}


def own(image: Image) -> dict[str, Any]:
    """Return what every image has."""
    return {
        "id": str(image.pk),
        "name": image.name,
        "status": image.status,
        "visibility": image.visibility,
        "protected": image.protected,
        "os_hidden": False,
        "owner": image.project_id,
        "size": image.size_bytes,
        "virtual_size": image.virtual_size_bytes,
        "min_disk": image.min_disk,
        "min_ram": image.min_ram,
        "disk_format": image.disk_format,
        "container_format": image.container_format,
        "checksum": None,  # MD5 in Glance; the SHA-256 below is what was compared
        "os_hash_algo": "sha256" if image.sha256 else None,
        "os_hash_value": image.sha256 or None,
        "tags": [],
        "created_at": time(image.created_at),
        "updated_at": time(image.updated_at or image.created_at),
        "schema": "/v2/schemas/image",
        "self": f"/v2/images/{image.pk}",
        "file": f"/v2/images/{image.pk}/file",
    }


def backup(image: Image) -> dict[str, str]:
    """Return whose image it is, and of which server and kind when it is a backup."""
    said = {"user_id": image.user_id, "image_type": image.image_type}
    if image.instance_uuid is not None:
        said |= {"instance_uuid": str(image.instance_uuid), "backup_type": image.backup_type}
    return said
