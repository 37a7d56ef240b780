"""Accept the restore of a backup: new server, action record and queue entry are one transaction."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.db import transaction

from servers import policy
from servers.acting import acting
from servers.actions.base import Request
from servers.actions.restore import Restore
from servers.engine import images
from servers.engine.accepting.idempotency import Keep, keep_nothing
from servers.engine.accepting.identifiers import uuid_of
from servers.engine.accepting.submit import Accepted, new_record
from servers.engine.execution.queue import enqueue
from servers.engine.records.numbering import insert_with_number
from servers.errors import HostUnknown, ImageMissing, ImageUnacceptable, Refusal
from servers.microversions import NEWEST
from servers.models import Host, Image, NetworkInterface, Project, Server
from servers.policy import Context
from servers.states import ImageStatus, TaskState

READ = "download_image"


def find_image(text: str, context: Context) -> Image:
    """Return the image with this UUID, or with this name when only one image has it.

    Images that are deleted, or that the caller may not read, are passed over. Raises ImageMissing, and
    ImageUnacceptable when several images have the name.
    """
    there = Image.objects.exclude(status=ImageStatus.DELETED)
    try:
        found = list(there.filter(pk=uuid_of(text)))
    except ValueError:
        found = list(there.filter(name=text))
    found = [image for image in found if policy.in_force().allows(context, READ, image.project_id)]
    if len(found) > 1:
        uuids = ", ".join(str(image.pk) for image in found)
        raise ImageUnacceptable(image=text, reason=f"say which one by its UUID: {uuids}")
    if not found:
        raise ImageMissing(image=text)
    return found[0]


def refuses(
    image: Image, context: Context, params: Mapping[str, Any] | None = None, project: Project | None = None
) -> Refusal | None:
    """Return why the caller cannot restore the image, or None: policy, the image itself, or an unknown host.

    `params` are those of the action Restore. `project` is to own the new server, by default the image's
    project.
    """
    cleaned = Restore.clean(params or {}, NEWEST)
    owner = owner_of(image, project)
    try:
        for rule in Restore.rules_for(cleaned):
            policy.in_force().require(context, rule.name, owner)
        policy.in_force().require(context, READ, image.project_id)
    except Refusal as refusal:
        return refusal
    reason = images.unusable(image)
    if reason is not None:
        return ImageUnacceptable(image=image.pk, reason=reason)
    host = cleaned["host"]
    if host is not None and not Host.objects.filter(name=host).exists():
        return HostUnknown(host=host)
    return None


def owner_of(image: Image, project: Project | None) -> str:
    """Return the id of the project that will own the new server: `project`, or else the image's."""
    return project.pk if project else image.project_id


def restore(
    image: Image,
    params: Mapping[str, Any],
    context: Context,
    project: Project | None = None,
    keep: Keep[Accepted] = keep_nothing,
) -> Accepted:
    """Accept the restore of the image; return the action record and the image's UUID.

    Server, network interfaces, action record, queue entry and the kept answer are written in one transaction.
    Raises Refusal, and then nothing is written.
    """
    refusal = refuses(image, context, params, project)
    if refusal is not None:
        raise refusal
    request = Request(Restore.clean(params, NEWEST), NEWEST, settings.IMAGE_METADATA_LIMIT)
    with acting(request_id=context.request_id), transaction.atomic():
        server = new_server(image, request.params["name"], context, owner_of(image, project))
        record = new_record(Restore(), server, request, context)
        record.image = image
        record.save(force_insert=True)
        enqueue(record)
        accepted = Accepted(record, image.pk)
        keep(accepted)
    return accepted


def new_server(image: Image, name: str, context: Context, project_id: str) -> Server:
    """Insert a server of the saved server's size, with an interface on each of its networks; return it.

    The interfaces have new MAC addresses and no IP addresses. Runs in the caller's transaction. Raises
    LookupError when the image is of no server.
    """
    saved = image.server
    if saved is None:
        raise LookupError(f"image {image.pk} is of no server")
    server = Server(
        uuid=uuid4(),
        name=name,
        project_id=project_id,
        user_id=context.user_id,
        task_state=TaskState.SPAWNING.value,
        flavor=saved.flavor,
        flavor_name=saved.flavor_name,
        vcpus=saved.vcpus,
        memory_mb=saved.memory_mb,
        root_gb=saved.root_gb,
        extra_specs=saved.extra_specs,
        image_ref=str(image.pk),
        image_properties=saved.image_properties,
        availability_zone=saved.availability_zone,
    )
    insert_with_number(server)
    for interface in saved.interfaces.all():
        NetworkInterface.objects.create(server=server, mac=new_mac(), network=interface.network)
    return server


def new_mac() -> str:
    """Return a MAC address that no recorded interface has, with QEMU's prefix 52:54:00; reserves nothing."""
    while True:
        mac = "52:54:00:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(3))
        if not NetworkInterface.objects.filter(mac=mac).exists():
            return mac
