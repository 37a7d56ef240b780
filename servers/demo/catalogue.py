"""Sizes and images of the demo."""

from __future__ import annotations

import hashlib
from typing import Any

from servers.demo.identifiers import uuid_of
from servers.engine.images import facts_of, store
from servers.models import Flavor, Image
from servers.states import ImageStatus

FLAVORS: dict[str, dict[str, Any]] = {
    "tiny": {"vcpus": 1, "memory_mb": 512, "root_gb": 5},
    "small": {"vcpus": 1, "memory_mb": 1024, "root_gb": 10},
    "medium": {"vcpus": 2, "memory_mb": 2048, "root_gb": 20},
    "large": {"vcpus": 4, "memory_mb": 4096, "root_gb": 40},
}


def flavors() -> dict[str, Flavor]:
    """Return the sizes by name; make those that are not there."""
    return {
        name: Flavor.objects.get_or_create(
            name=name, defaults={**facts, "flavorid": str(number), "description": f"{facts['memory_mb']} MiB"}
        )[0]
        for number, (name, facts) in enumerate(FLAVORS.items(), start=1)
    }


BASE_IMAGES = {
    "debian-13": {"os_distro": "debian", "hw_qemu_guest_agent": "yes"},
    "alpine-3.22": {"os_distro": "alpine"},
}


def image_ref(name: str) -> str:
    """Return the id of the image from which servers of the demo were made."""
    return str(uuid_of("image", name))


def add_images(project_id: str, user_id: str) -> None:
    """Make the images, each with a few bytes that stand for a disk."""
    for name, properties in BASE_IMAGES.items():
        uuid = uuid_of("image", name)
        content = f"{name}\n".encode() * 4096
        store().place(uuid).write_bytes(content)
        image = Image.objects.create(
            uuid=uuid,
            name=name,
            project_id=project_id,
            user_id=user_id,
            image_type="base",
            status=ImageStatus.ACTIVE.value,
            visibility="public",
            disk_format="raw",
            size_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            properties=properties,
        )
        store().commit(facts_of(image), image.sha256)
