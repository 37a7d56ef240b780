"""Images for Glance's clients: versions, list, show, download, delete."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

from servers import policy
from servers.api.answers import json_answer
from servers.api.image.door import GlanceView, refusal
from servers.api.image.query import page, visible, wanted
from servers.conductor.images import delete_image, open_image
from servers.errors import Conflict, ImageMissing
from servers.models import Image
from servers.states import ImageStatus

RANGE = re.compile(r"^bytes=(\d{0,18})-(\d{0,18})$", re.ASCII)
MEDIA_TYPE = "application/octet-stream"


def versions(request: HttpRequest, **kwargs: Any) -> HttpResponse:
    """Answer `/image`: which versions there are."""
    href = f"{settings.PUBLIC_URL}/image/v2/"
    known = [("v2.9", "CURRENT"), *((f"v2.{n}", "SUPPORTED") for n in range(7, -1, -1))]
    found = [{"id": i, "status": s, "links": [{"rel": "self", "href": href}]} for i, s in known]
    return json_answer({"versions": found}, 300 if not request.path.endswith("/versions") else 200)


def time(moment: Any) -> str | None:
    """Return a time in Glance's form."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


def image_body(image: Image) -> dict[str, Any]:
    """Return an image; what is known of a backup, and every further property, stands at the top."""
    extra = {key: value if isinstance(value, str) else str(value) for key, value in image.properties.items()}
    known = {
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
        "checksum": None,
        "os_hash_algo": "sha256" if image.sha256 else None,
        "os_hash_value": image.sha256 or None,
        "tags": [],
        "created_at": time(image.created_at),
        "updated_at": time(image.updated_at or image.created_at),
        "schema": "/v2/schemas/image",
        "self": f"/v2/images/{image.pk}",
        "file": f"/v2/images/{image.pk}/file",
        "user_id": image.user_id,
        "image_type": image.image_type,
    }
    if image.instance_uuid is not None:
        known |= {"instance_uuid": str(image.instance_uuid), "backup_type": image.backup_type}
    return {**extra, **known}


class ImageView(GlanceView):
    """An address of one image."""

    def find(self, image_id: str) -> Image:
        """Return an image that the caller may see. Raises ImageMissing."""
        try:
            image = visible(self.context).filter(pk=UUID(image_id)).first()
        except ValueError:
            image = None
        if image is None:
            raise ImageMissing(image=image_id)
        return image


class Images(GlanceView):
    """`/image/v2/images`."""

    def get(self, request: HttpRequest) -> HttpResponse:
        policy.in_force().require(self.context, "get_images")
        found, more = page(wanted(visible(self.context), request.GET), request.GET)
        query = request.GET.copy()
        query.pop("marker", None)
        first = "/v2/images" + (f"?{query.urlencode()}" if query else "")
        body = {"images": [image_body(i) for i in found], "first": first, "schema": "/v2/schemas/images"}
        if more and found:
            query["marker"] = str(found[-1].pk)
            body["next"] = f"/v2/images?{query.urlencode()}"
        return json_answer(body)


class OneImage(ImageView):
    """`/image/v2/images/{id}`."""

    def get(self, request: HttpRequest, image_id: str) -> HttpResponse:
        return json_answer(image_body(self.find(image_id)))

    def delete(self, request: HttpRequest, image_id: str) -> HttpResponse:
        image = self.find(image_id)
        if image.status in {ImageStatus.QUEUED, ImageStatus.SAVING}:
            raise Conflict(
                f"Image {image.pk} could not be deleted because it is in use: it is being written."
            )
        delete_image(image, self.context)
        return HttpResponse(status=204)


class ImageFile(ImageView):
    """`/image/v2/images/{id}/file`: the bytes, whole or in part."""

    def get(self, request: HttpRequest, image_id: str) -> HttpResponseBase:
        image = self.find(image_id)
        policy.in_force().require(self.context, "download_image", image.project_id)
        if image.status != ImageStatus.ACTIVE:
            return HttpResponse(status=204)
        size = image.size_bytes or 0
        part = byte_range(request.headers.get("Range", ""), size)
        if part is None:
            answer = refusal(416, f"The requested range cannot be satisfied: the image has {size} bytes.")
            answer["Content-Range"] = f"bytes */{size}"
            return answer
        start, end = part
        partial = (start, end) != (0, size)
        stream = StreamingHttpResponse(
            open_image(image, start, end), status=206 if partial else 200, content_type=MEDIA_TYPE
        )
        stream["Content-Length"] = str(end - start)
        stream["Accept-Ranges"] = "bytes"
        if partial:
            stream["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        return stream


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """Return the first byte and the one behind the last that `header` asks for; None when there are none."""
    match = RANGE.match(header)
    if match is None or match[0] == "bytes=-":
        return 0, size
    first, last = match[1], match[2]
    if not first:
        start, end = max(size - int(last), 0), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
    return (start, end) if start < end else None


class ImageTasks(ImageView):
    """`/image/v2/images/{id}/tasks` and `/members`: there are none."""

    def get(self, request: HttpRequest, image_id: str) -> HttpResponse:
        self.find(image_id)
        return json_answer({request.path.rsplit("/", 1)[1]: []})


class Schema(GlanceView):
    """`/image/v2/schemas/image` and `/images`."""

    def get(self, request: HttpRequest, name: str) -> HttpResponse:
        return json_answer({"name": name, "additionalProperties": {"type": "string"}, "properties": {}})
