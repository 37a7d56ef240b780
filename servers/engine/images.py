"""Images on their way into and out of the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from servers import clock, policy
from servers.drivers.base import Disk, Saved, Snapshot
from servers.errors import ImageMissing, ImageStoreFault, ImagesUnavailable, NotPermitted
from servers.images.base import ImageFacts, ImageStore
from servers.images.local import LocalImageStore
from servers.models import ActionRecord, Image
from servers.policy import Context
from servers.states import OPEN_ACTION_STATUSES, ImageStatus

log = structlog.get_logger(__name__)

TRIED_AT_ONCE = 100
MOST_KEPT = 1_000_000
"""A rotation beyond it means all of them; the number has no limit on the wire, and has one in a database."""


def store() -> ImageStore:
    """Return where images lie. Glance's needs the extra `openstack`, and is loaded only where it is asked for."""
    if settings.IMAGES == "local":
        return LocalImageStore(Path(settings.IMAGE_DIR))
    glance = import_module("servers.images.glance")
    account = glance.Account(
        settings.KEYSTONE_URL,
        settings.KEYSTONE_USER,
        settings.KEYSTONE_PASSWORD,
        settings.KEYSTONE_PROJECT,
        settings.KEYSTONE_DOMAIN_ID,
        settings.GLANCE_TIMEOUT_S,
    )
    found: ImageStore = glance.GlanceImageStore(settings.GLANCE_URL, account, Path(settings.IMAGE_DIR))
    return found


def address(image_id: object) -> str | None:
    """Return the address of an image in the site's Glance, None where images lie here."""
    return f"{settings.GLANCE_URL}/v2/images/{image_id}" if settings.IMAGES == "glance" else None


def facts_of(image: Image) -> ImageFacts:
    """Return what the record says of an image, as the store is told."""
    properties = {key: str(value) for key, value in image.properties.items()}
    shared_with = properties.pop("instance_owner", "")
    properties |= {"user_id": image.user_id, "image_type": image.image_type}
    if image.instance_uuid is not None:
        properties |= {"instance_uuid": str(image.instance_uuid), "backup_type": image.backup_type}
    return ImageFacts(
        uuid=image.pk,
        name=image.name,
        project_id=image.project_id,
        visibility=image.visibility,
        shared_with=shared_with,
        disk_format=image.disk_format,
        container_format=image.container_format,
        min_disk=image.min_disk,
        min_ram=image.min_ram,
        properties=properties,
    )


def announce(image: Image) -> None:
    """Let the image be found by whoever has just been told of it.

    Where the store does not answer, the upload makes up for it, and fails the action when it cannot.
    """
    if image.never_uploaded:
        return
    try:
        store().announce(facts_of(image))
    except ImageStoreFault as fault:
        log.warning("image.not_announced", image=str(image.pk), reason=str(fault))


def commit(image_id: UUID, snapshot: Snapshot) -> int:
    """Make what was written the image, verified against what the driver says it wrote; return its size.

    Raises ImageStoreFault when they differ: then the old backups are still there.
    """
    image = Image.objects.get(pk=image_id)
    return store().commit(replace(facts_of(image), disk_format=snapshot.disk_format), snapshot.sha256)


def activate(image_id: UUID, snapshot: Snapshot, size: int, driver: str) -> None:
    """Write down that the image is complete; in the caller's transaction."""
    image = Image.objects.select_for_update().get(pk=image_id)
    if image.status != ImageStatus.ACTIVE:
        image.apply_edge("activate")
    image.size_bytes, image.sha256 = size, snapshot.sha256
    image.disk_format, image.consistent = snapshot.disk_format, snapshot.consistent
    image.driver, image.definition = driver, snapshot.definition
    image.store("status", "size_bytes", "sha256", "disk_format", "consistent", "driver", "definition")


def mark_deleted(image_id: UUID) -> None:
    """Write down that the image is deleted; in the caller's transaction. Its bytes go afterwards."""
    image = Image.objects.select_for_update().get(pk=image_id)
    if image.status != ImageStatus.DELETED:
        image.apply_edge("delete_image")
        image.deleted_at = clock.now()
        image.store("status", "deleted_at")


@dataclass(frozen=True)
class Survey:
    """What the store says of a server's finished backups: those it has lost, and those it will not delete."""

    lost: frozenset[UUID] = frozenset()
    protected: frozenset[UUID] = frozenset()


def survey(server_id: UUID, backup_type: str, keep: int, *, newest: UUID) -> Survey:
    """Ask the store for each finished backup, so that one which is gone does not count as one that is kept.

    Raises ImageStoreFault, also when it has not even the newest: then its word on the others is worth nothing.
    """
    lost, protected = set(), set()
    for image in finished(server_id, backup_type).values_list("pk", flat=True):
        try:
            if store().look(image).protected:
                protected.add(image)
        except ImageMissing:
            lost.add(image)
    if newest in lost and keep > 0:
        raise ImageStoreFault(reason="the new backup is not to be found; no old one is deleted")
    return Survey(frozenset(lost), frozenset(protected))


def finished(server_id: UUID, backup_type: str) -> QuerySet[Image]:
    """Return the finished backups of a server and type, newest first."""
    found = Image.objects.filter(server_id=server_id, backup_type=backup_type, status=ImageStatus.ACTIVE)
    return found.order_by("-created_at", "-uuid")


def rotate(server_id: UUID, backup_type: str, keep: int, seen: Survey, *, newest: UUID) -> list[UUID]:
    """Mark the oldest finished backups beyond `keep` deleted, and return them; in the caller's transaction.

    Only finished backups of this server and type count, and protected ones stay. Those that the store has lost are
    marked too. The image `newest` goes only when it was never uploaded.
    """
    there = [image for image in finished(server_id, backup_type) if image.pk not in seen.lost]
    gone = [
        image.pk
        for image in there[min(keep, MOST_KEPT) :]
        if image.pk != newest and not image.protected and image.pk not in seen.protected
    ]
    if keep == 0:
        gone.append(newest)
    for pk in {*gone, *seen.lost}:
        mark_deleted(pk)
    return gone


def discard(image_id: UUID) -> None:
    """Remove the bytes of an image that is marked deleted; what the store refuses now, `discard_left` tries again."""
    try:
        store().discard(image_id)
    except ImageStoreFault as fault:
        log.warning("image.not_discarded", image=str(image_id), reason=str(fault))
        return
    Image.objects.filter(pk=image_id).update(discarded_at=clock.now())


def delete_abandoned() -> int:
    """Mark backups deleted that nobody will finish, as earlier versions have left them; return how many."""
    unfinished = Image.objects.filter(
        status__in=[ImageStatus.QUEUED, ImageStatus.SAVING], server__isnull=False
    )
    at_work = ActionRecord.objects.filter(status__in=OPEN_ACTION_STATUSES, image=OuterRef("pk"))
    abandoned = list(
        unfinished.filter(~Exists(at_work), actions__isnull=False).values_list("pk", flat=True)[
            :TRIED_AT_ONCE
        ]
    )
    for image_id in abandoned:
        with transaction.atomic():
            mark_deleted(image_id)
        log.info("image.abandoned", image=str(image_id))
    return len(abandoned)


def discard_left() -> int:
    """Remove what deleted images have left in the store, be it of a killed worker; return how many were tried."""
    delete_abandoned()
    left = Image.objects.filter(status=ImageStatus.DELETED, discarded_at=None).order_by("deleted_at")
    tried = list(left.values_list("pk", flat=True)[:TRIED_AT_ONCE])
    for image_id in tried:
        discard(image_id)
    return len(tried)


def saved(image_id: UUID) -> Saved:
    """Return a finished backup as a driver reads it. Raises ImageStoreFault where it has gone meanwhile."""
    image = Image.objects.select_related("server").get(pk=image_id)
    reason = unusable(image)
    if reason is not None or image.server is None:
        raise ImageStoreFault(reason=reason)
    disk = image.server.disks.select_related("pool").first()
    return Saved(
        open=lambda: _read(image.pk),
        size_bytes=image.size_bytes or 0,
        disk_format=image.disk_format,
        sha256=image.sha256,
        definition=image.definition,
        disk=Disk(disk.device, disk.path, disk.pool.name, disk.size_bytes, disk.used_bytes, disk.format)
        if disk
        else Disk("", "", "", 0, 0),
    )


def _read(image_id: UUID) -> Iterator[bytes]:
    try:
        yield from store().open(image_id)
    except ImageMissing as missing:
        raise ImageStoreFault(reason=str(missing)) from missing


def unusable(image: Image) -> str | None:
    """Return why no server can be made of an image, or None."""
    if image.status != ImageStatus.ACTIVE:
        return f"its status is {image.status}"
    if image.never_uploaded:
        return "there is nothing in it"
    if image.server is None:
        return "nothing is known of the server of which it is"
    if not image.definition:
        return "it does not say what the guest was: it is of an earlier version, or not of this site"
    return None


def open_image(image: Image, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """Return the image's bytes from `start` up to, not including, `end`. Raises ImageMissing, ImagesUnavailable."""
    with refusing():
        return store().open(image.pk, start, end)


def delete_image(image: Image, context: Context) -> None:
    """Delete an image, record and bytes; one that the store has lost is deleted too.

    Raises NotPermitted (by policy, or because it is protected), ImagesUnavailable.
    """
    policy.in_force().require(context, "delete_image", image.project_id)
    if image.protected or is_protected_in_store(image):
        raise NotPermitted(f"Image {image.pk} is protected and cannot be deleted.")
    with transaction.atomic():
        mark_deleted(image.pk)
    discard(image.pk)


def is_protected_in_store(image: Image) -> bool:
    """Return whether the store itself will not delete the image. Raises ImagesUnavailable."""
    try:
        with refusing():
            return store().look(image.pk).protected
    except ImageMissing:
        return False


@contextmanager
def refusing() -> Iterator[None]:
    """Turn a fault of the store into a refusal, for somebody who waits for the answer."""
    try:
        yield
    except ImageStoreFault as fault:
        raise ImagesUnavailable(reason=str(fault)) from fault
