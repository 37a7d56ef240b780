"""`/images/{id}`: where a Location of createBackup leads, until 2.35."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request

from servers.api.answers import empty_answer
from servers.api.compute.door import NovaView, versions
from servers.api.compute.links import seconds
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
        return self.answer({"image": self.body_of(self.find(image_id))})

    @versions(until=UNTIL)
    def delete(self, request: Request, image_id: str) -> HttpResponse:
        delete_image(self.find(image_id), self.context)
        return empty_answer(204)

    def body_of(self, image: Image) -> dict[str, Any]:
        """Return an image as Nova shows it."""
        status, progress = STATUSES[ImageStatus(image.status)]
        metadata = {**image.properties, "image_type": image.image_type}
        body: dict[str, Any] = {
            "id": str(image.uuid),
            "name": image.name,
            "status": status,
            "progress": progress,
            "created": seconds(image.created_at),
            "updated": seconds(image.updated_at or image.created_at),
            "minDisk": image.min_disk,
            "minRam": image.min_ram,
            "metadata": metadata,
            "OS-EXT-IMG-SIZE:size": image.size_bytes,
            "links": [
                *self.links.both("images", image.uuid),
                {
                    "rel": "alternate",
                    "type": "application/vnd.openstack.image",
                    "href": f"{settings.PUBLIC_URL}/image/images/{image.uuid}",
                },
            ],
        }
        if image.backup_type:
            metadata["backup_type"] = image.backup_type
        if image.instance_uuid:
            metadata["instance_uuid"] = str(image.instance_uuid)
            server = str(image.instance_uuid)
            body["server"] = {"id": server, "links": self.links.both("servers", server)}
        return body
