"""Accepting a new server that is made of a backup: server, record and queue entry in one transaction."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.db import transaction

from servers import policy
from servers.actions.base import Request
from servers.actions.restore import Restore
from servers.engine import images
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
    """Return the image with this UUID, or this name where only one has it. Raises ImageMissing.

    One that the caller may not read is as missing.
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
    """Return why no server can be made of the image, or None."""
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
    """Return the project to which the new server will belong: the image's, where none is named."""
    return project.pk if project else image.project_id


def restore(
    image: Image, params: Mapping[str, Any], context: Context, project: Project | None = None
) -> Accepted:
    """Accept a new server and return the record of its making. Raises Refusal, and then nothing was written."""
    refusal = refuses(image, context, params, project)
    if refusal is not None:
        raise refusal
    request = Request(Restore.clean(params, NEWEST), NEWEST, settings.IMAGE_METADATA_LIMIT)
    with transaction.atomic():
        server = new_server(image, request.params["name"], context, owner_of(image, project))
        record = new_record(Restore(), server, request, context)
        record.image = image
        record.save(force_insert=True)
        enqueue(record)
    return Accepted(record, image.pk)


def new_server(image: Image, name: str, context: Context, project_id: str) -> Server:
    """Make the record of a server as large as the saved one, with its networks and hardware addresses of its own."""
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
    """Return a hardware address that nobody has: the prefix is the one of QEMU's guests."""
    while True:
        mac = "52:54:00:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(3))
        if not NetworkInterface.objects.filter(mac=mac).exists():
            return mac
