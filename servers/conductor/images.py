"""Images on their way into and out of the store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db import transaction

from servers import clock, policy
from servers.drivers.base import Snapshot
from servers.errors import ImageStoreFault, NotPermitted
from servers.images.base import ImageStore
from servers.images.local import LocalImageStore
from servers.models import Image
from servers.policy import Context
from servers.states import ImageStatus

MOST_KEPT = 1_000_000
"""A rotation beyond it means all of them; the number has no limit on the wire, and has one in a database."""


def store() -> ImageStore:
    """Return where images lie."""
    return LocalImageStore(Path(settings.IMAGE_DIR))


def commit(image: UUID, snapshot: Snapshot) -> int:
    """Make what was written the image, and compare it with what the driver says it wrote; return its size.

    Raises ImageStoreFault when they differ: then the old backups are still there.
    """
    size = store().commit(image)
    digest = hashlib.sha256()
    for chunk in store().open(image):
        digest.update(chunk)
    if digest.hexdigest() != snapshot.sha256:
        raise ImageStoreFault(reason="what was stored is not what was written")
    return size


def activate(image_id: UUID, snapshot: Snapshot, size: int) -> None:
    """Write down that the image is complete; in the caller's transaction."""
    image = Image.objects.select_for_update().get(pk=image_id)
    if image.status != ImageStatus.ACTIVE:
        image.take("activate")
    image.size_bytes, image.sha256 = size, snapshot.sha256
    image.disk_format, image.consistent = snapshot.disk_format, snapshot.consistent
    image.store("status", "size_bytes", "sha256", "disk_format", "consistent")


def mark_deleted(image_id: UUID) -> None:
    """Write down that the image is deleted; in the caller's transaction. Its bytes go afterwards."""
    image = Image.objects.select_for_update().get(pk=image_id)
    if image.status != ImageStatus.DELETED:
        image.take("delete_image")
        image.deleted_at = clock.now()
        image.store("status", "deleted_at")


def rotate(server_id: UUID, backup_type: str, keep: int, *, newest: UUID) -> list[UUID]:
    """Mark the oldest finished backups beyond `keep` deleted, and return them; in the caller's transaction.

    Only finished backups of this server and type count, and protected ones stay. The image `newest` goes only
    when it was never uploaded.
    """
    keep = min(keep, MOST_KEPT)
    finished = Image.objects.filter(server_id=server_id, backup_type=backup_type, status=ImageStatus.ACTIVE)
    gone = [
        i.pk for i in finished.order_by("-created_at", "-uuid")[keep:] if not i.protected and i.pk != newest
    ]
    if keep == 0:
        gone.append(newest)
    for image in gone:
        mark_deleted(image)
    return gone


def open_image(image: Image, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """Return the image's bytes from `start` up to, not including, `end`. Raises ImageMissing."""
    return store().open(image.pk, start, end)


def delete_image(image: Image, context: Context) -> None:
    """Delete an image, record and bytes. Raises NotPermitted: by policy, or because it is protected."""
    policy.in_force().require(context, "delete_image", image.project_id)
    if image.protected:
        raise NotPermitted(f"Image {image.pk} is protected and cannot be deleted.")
    with transaction.atomic():
        mark_deleted(image.pk)
    store().discard(image.pk)
