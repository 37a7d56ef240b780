"""`/images/{id}`: where a Location of createBackup leads, until 2.35."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request

from servers.api.answers import empty_answer
from servers.api.compute.door import NovaView, versions
from servers.api.compute.links import Link, links, seconds
from servers.api.idempotency import keeping, once
from servers.api.resources import (
    NUMBER,
    NUMBER_OR_NULL,
    OBJECT,
    TEXT,
    TIME,
    UUID,
    Bodies,
    Field,
    Resource,
    itself,
    one_of,
)
from servers.engine.accepting.identifiers import uuid_of
from servers.engine.images import delete_image
from servers.errors import Missing
from servers.models import Image
from servers.states import ImageStatus

UNTIL = "2.35"
STATUSES = {
    ImageStatus.QUEUED: ("SAVING", 25),
    ImageStatus.SAVING: ("SAVING", 50),
    ImageStatus.ACTIVE: ("ACTIVE", 100),
    ImageStatus.KILLED: ("ERROR", 0),
    ImageStatus.DELETED: ("DELETED", 0),
}
"""Nova's word for a status of Glance, and how much is done, in percent."""


def metadata(image: Image) -> dict[str, Any]:
    """Return the image's properties, and what Nova keeps among them."""
    found = {**image.properties, "image_type": image.image_type}
    if image.backup_type:
        found["backup_type"] = image.backup_type
    if image.instance_uuid:
        found["instance_uuid"] = str(image.instance_uuid)
    return found


def links_of(image: Image, view: NovaView) -> list[Link]:
    """Return Nova's usual two links, and the image's address in the image service."""
    elsewhere = f"{settings.PUBLIC_URL}/image/images/{image.uuid}"
    alternate = Link("alternate", elsewhere, "application/vnd.openstack.image")
    return [*view.links.both("images", image.uuid), alternate]


SERVER_OF_IMAGE = Resource(
    "Linked",
    (
        Field("id", TEXT, lambda image: str(image.instance_uuid)),
        links(lambda image, view: view.links.both("servers", image.instance_uuid)),
    ),
)
IMAGE = Resource(
    "ComputeImage",
    (
        Field("id", UUID, lambda image: str(image.uuid)),
        Field("name", TEXT, "name"),
        Field("status", one_of(*dict(STATUSES.values())), lambda image: STATUSES[image.status][0]),
        Field("progress", NUMBER, lambda image: STATUSES[image.status][1]),
        Field("minDisk", NUMBER, "min_disk"),
        Field("minRam", NUMBER, "min_ram"),
        Field("created", TIME, lambda image: seconds(image.created_at)),
        Field("updated", TIME, lambda image: seconds(image.updated_at or image.created_at)),
        Field("metadata", OBJECT, metadata),
        Field("OS-EXT-IMG-SIZE:size", NUMBER_OR_NULL, "size_bytes"),
        links(links_of),
        Field("server", SERVER_OF_IMAGE, itself, when="instance_uuid"),
    ),
)


class NoSuchImage(Missing):
    """Image not found."""


class ImageProxy(NovaView):
    """`GET` and `DELETE /images/{id}`."""

    def find(self, image_id: str) -> Image:
        """Return an image that the caller may see. Raises NoSuchImage."""
        try:
            image = Image.objects.filter(pk=uuid_of(image_id)).exclude(status=ImageStatus.DELETED).first()
        except ValueError as error:
            raise NoSuchImage from error
        if image is None or not self.sees(image):
            raise NoSuchImage
        return image

    def sees(self, image: Image) -> bool:
        """Return whether the image is the caller's, or shared with the caller's project."""
        return (
            image.project_id == self.context.project_id
            or image.visibility in {"public", "community"}
            or image.properties.get("instance_owner") == self.context.project_id
            or self.is_admin
        )

    @versions(until=UNTIL)
    def get(self, request: Request, image_id: str) -> HttpResponse:
        self.require("get_images")
        return self.answer({"image": Bodies(IMAGE, self)(self.find(image_id))})

    @once(in_transaction=False)
    @versions(until=UNTIL)
    def delete(self, request: Request, image_id: str) -> HttpResponse:
        answer = empty_answer(204)
        delete_image(self.find(image_id), self.context, keeping(self, lambda deleted: answer))
        return answer
