"""Images between their records and the image store: uploaded, rotated, deleted, and read for a restore."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef

from servers import clock, policy
from servers.deployment.standing import STANDING, Work
from servers.drivers.base import Disk, Saved, Snapshot
from servers.errors import (
    ImageMissing,
    ImageStoreFault,
    ImageStoreUnavailable,
    ImagesUnavailable,
    NotPermitted,
)
from servers.images.base import ImageFacts, ImageStore
from servers.images.local import LocalImageStore
from servers.models import ActionRecord, Image
from servers.policy import Context
from servers.states import OPEN_ACTION_STATUSES, ImageStatus

log = structlog.get_logger(__name__)

DELETE = "delete_image"
"""The rule that lets somebody delete an image, alone or by rotation."""
TRIED_AT_ONCE = 100
MOST_KEPT = 1_000_000
"""A rotation above this number keeps all backups; the API sets no upper limit."""


OF_GLANCE = frozenset(
    [
        "id",
        "name",
        "owner",
        "status",
        "visibility",
        "protected",
        "os_hidden",
        "tags",
        "disk_format",
        "container_format",
        "size",
        "virtual_size",
        "min_disk",
        "min_ram",
        "checksum",
        "os_hash_algo",
        "os_hash_value",
        "created_at",
        "updated_at",
        "deleted",
        "deleted_at",
        "schema",
        "self",
        "file",
        "direct_url",
        "location",
        "locations",
        "stores",
    ]
)
"""What an image is: attributes of Glance's, which are no properties (glance/api/v2/images.py)."""
OF_NOVA = frozenset(
    [
        "instance_uuid",
        "instance_owner",
        "user_id",
        "owner_id",
        "owner_user_name",
        "owner_project_name",
        "boot_roles",
        "image_type",
        "image_location",
        "image_state",
        "backup_type",
        "base_image_ref",
        "block_device_mapping",
        "bdm_v2",
        "root_device_name",
        "mappings",
    ]
)
"""Where an image comes from, and with whom it is shared: properties that Nova sets itself (nova/compute/api.py)."""
RESERVED_NAMESPACE = "os_glance"
"""With what the names of properties begin that are Glance's own."""


def is_reserved(name: str) -> bool:
    """Return whether a property has a name under which no caller may say anything (Nova contract F13)."""
    return name in OF_GLANCE | OF_NOVA or name.startswith(RESERVED_NAMESPACE)


def store() -> ImageStore:
    """Return the image store that the setting IMAGES names: a local folder, or Glance.

    Glance's module is imported only when it is used, because it needs the extra `openstack`. Raises
    ImageStoreFault when IMAGE_DIR cannot be created, ImageStoreUnavailable while this process does not see the
    deployment's store.
    """
    if STANDING.refuses(Work.IMAGES) is not None:
        raise ImageStoreUnavailable(reason="this machine does not see the deployment's")
    if settings.IMAGES == "local":
        folder = LocalImageStore(Path(settings.IMAGE_DIR))
        if STANDING.image_store not in (None, folder.identity()):
            raise ImageStoreUnavailable(reason="another one lies where the deployment's was")
        return folder
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
    """Return the URL of an image in the site's Glance, or None when images are kept in a local folder."""
    return f"{settings.GLANCE_URL}/v2/images/{image_id}" if settings.IMAGES == "glance" else None


def facts_of(image: Image) -> ImageFacts:
    """Return what the record says of an image, in the form that the image store takes.

    All property values become strings. `user_id`, `image_type` and, for an image of a server, `instance_uuid`
    and `backup_type` are added to the properties; `instance_owner` is taken out and becomes `shared_with`.
    """
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
    """Make the image known to the image store before it has bytes, so that a client finds it by its UUID.

    Does nothing for an image that is never uploaded. An ImageStoreFault is logged and not raised: `commit`
    makes up for it, and fails the action when it cannot.
    """
    if image.never_uploaded:
        return
    try:
        store().announce(facts_of(image))
    except ImageStoreFault as fault:
        log.warning("image.not_announced", image=str(image.pk), reason=str(fault))


def commit(image_id: UUID, snapshot: Snapshot) -> int:
    """Make the file at the store's `place` the image; return its size in bytes. Writes no record.

    Raises ImageStoreFault when the file has another SHA-256 than `snapshot`, or when the store did not take
    every byte; no old backup is deleted before.
    """
    image = Image.objects.get(pk=image_id)
    return store().commit(replace(facts_of(image), disk_format=snapshot.disk_format), snapshot.sha256)


def activate(image_id: UUID, snapshot: Snapshot, size: int, driver: str) -> None:
    """Write to the image's record that the image is complete, with what the driver says of it.

    `size` is in bytes. Runs in the caller's transaction and locks the image's row. May be repeated.
    """
    image = Image.objects.select_for_update().get(pk=image_id)
    if image.status != ImageStatus.ACTIVE:
        image.apply_edge("activate")
    image.size_bytes, image.sha256 = size, snapshot.sha256
    image.disk_format, image.consistent = snapshot.disk_format, snapshot.consistent
    image.driver, image.definition = driver, snapshot.definition
    image.store("status", "size_bytes", "sha256", "disk_format", "consistent", "driver", "definition")


def mark_deleted(image_id: UUID) -> None:
    """Write to the image's record that the image is deleted; `discard` removes the bytes afterwards.

    Runs in the caller's transaction and locks the image's row. Does nothing when it is deleted already.
    """
    image = Image.objects.select_for_update().get(pk=image_id)
    if image.status != ImageStatus.DELETED:
        image.apply_edge("delete_image")
        image.deleted_at = clock.now()
        image.store("status", "deleted_at")


@dataclass(frozen=True)
class Survey:
    """The finished backups of a server that the image store has lost, and those that it refuses to delete."""

    lost: frozenset[UUID] = frozenset()
    protected: frozenset[UUID] = frozenset()


@dataclass(frozen=True)
class Rotation:
    """What became of the finished backups of a server and type: `out` are deleted, `left_to_others` were not touched."""

    out: list[UUID]
    left_to_others: list[UUID]


def survey(server_id: UUID, backup_type: str, keep: int, caller: Context, *, newest: UUID) -> Survey:
    """Return which of the backups that `rotate` may touch the image store has lost, and which it protects.

    A lost backup must not count as one that is kept. `keep` is the rotation, `newest` the backup just made.
    Raises ImageStoreFault when the store fails, and when it has lost `newest` although `keep` is not 0: then
    its answers about the others are not trusted either.
    """
    lost, protected = set(), set()
    for image in finished(server_id, backup_type, caller)[0]:
        try:
            if store().look(image.pk).protected:
                protected.add(image.pk)
        except ImageMissing:
            lost.add(image.pk)
    if newest in lost and keep > 0:
        raise ImageStoreFault(reason="the new backup is not to be found; no old one is deleted")
    return Survey(frozenset(lost), frozenset(protected))


def finished(server_id: UUID, backup_type: str, caller: Context) -> tuple[list[Image], list[Image]]:
    """Return the finished backups of a server and type, the newest first: those `caller` may delete, and the others."""
    found = Image.objects.filter(server_id=server_id, backup_type=backup_type, status=ImageStatus.ACTIVE)
    images = list(found.only("project_id", "protected").order_by("-created_at", "-uuid"))
    owners = {image.project_id for image in images}
    may_delete = {owner for owner in owners if policy.in_force().allows(caller, DELETE, owner)}
    return (
        [image for image in images if image.project_id in may_delete],
        [image for image in images if image.project_id not in may_delete],
    )


def rotate(
    server_id: UUID, backup_type: str, keep: int, seen: Survey, caller: Context, *, newest: UUID
) -> Rotation:
    """Mark the oldest finished backups beyond `keep` as deleted, of those that `caller` may delete one by one.

    Only these, of this server and type, count. Protected ones stay. Those in `seen.lost` do not count: they are
    marked too, and not returned. `newest` is marked only when `keep` is 0, which is when it was never
    uploaded. Runs in the caller's transaction.
    """
    own, others = finished(server_id, backup_type, caller)
    there = [image for image in own if image.pk not in seen.lost]
    gone = [
        image.pk
        for image in there[min(keep, MOST_KEPT) :]
        if image.pk != newest and not image.protected and image.pk not in seen.protected
    ]
    if keep == 0:
        gone.append(newest)
    for pk in {*gone, *seen.lost}:
        mark_deleted(pk)
    return Rotation(gone, [image.pk for image in others if image.pk != newest])


def discard(image_id: UUID) -> None:
    """Remove the bytes of an image that is marked as deleted, and record when.

    An ImageStoreFault is logged and not raised: the periodic task `discard_left` tries again.
    """
    try:
        store().discard(image_id)
    except ImageStoreFault as fault:
        log.warning("image.not_discarded", image=str(image_id), reason=str(fault))
        return
    Image.objects.filter(pk=image_id).update(discarded_at=clock.now())


def delete_abandoned() -> int:
    """Mark the unfinished backups that no open action will finish as deleted; return how many.

    Earlier versions left such backups. At most TRIED_AT_ONCE in one call, each in a transaction of its own.
    """
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
    """Remove the bytes that deleted images have left in the store; return how many images were tried.

    Periodic task, also for what a killed worker has left. At most TRIED_AT_ONCE in one call, the longest
    deleted first. Calls `delete_abandoned` at the beginning.
    """
    delete_abandoned()
    left = Image.objects.filter(status=ImageStatus.DELETED, discarded_at=None).order_by("deleted_at")
    tried = list(left.values_list("pk", flat=True)[:TRIED_AT_ONCE])
    for image_id in tried:
        discard(image_id)
    return len(tried)


def saved(image_id: UUID) -> Saved:
    """Return a finished backup in the form that a driver restores.

    Raises ImageStoreFault when the image is `unusable`; its `open` does so when the store has lost the bytes.
    `disk` is the saved server's first disk as its record is now.
    """
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
    """Return why no server can be restored from the image, or None. Asks the record, not the image store."""
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
    """Return the image's bytes from offset `start` up to, not including, `end`; None is the end of the image.

    Raises ImageMissing, and ImagesUnavailable when the store fails. A fault while the bytes are read is not
    translated: it is an ImageStoreFault.
    """
    with refusing():
        return store().open(image.pk, start, end)


def delete_image(image: Image, context: Context, keep: Callable[[Image], None] | None = None) -> None:
    """Delete an image: its record, then its bytes. An image that the store has lost is deleted too.

    `keep` is called in the transaction that marks the record as deleted. Raises NotPermitted when the policy refuses or the image is protected; ImagesUnavailable when the store
    does not say whether it is. Bytes that cannot be removed now are left to `discard_left`.
    """
    policy.in_force().require(context, DELETE, image.project_id)
    if image.protected or is_protected_in_store(image):
        raise NotPermitted(f"Image {image.pk} is protected and cannot be deleted.")
    with transaction.atomic():
        mark_deleted(image.pk)
        if keep is not None:
            keep(image)
    discard(image.pk)


def is_protected_in_store(image: Image) -> bool:
    """Return whether the image store refuses to delete the image; False when it has lost the image.

    Raises ImagesUnavailable.
    """
    try:
        with refusing():
            return store().look(image.pk).protected
    except ImageMissing:
        return False


@contextmanager
def refusing() -> Iterator[None]:
    """Turn an ImageStoreFault of the block into ImagesUnavailable, the refusal of a request."""
    try:
        yield
    except ImageStoreFault as fault:
        raise ImagesUnavailable(reason=str(fault)) from fault
