"""`/image/v2/images/{id}/file`: the bytes of an image, whole or in part, never all of them in memory."""

from __future__ import annotations

import re
from base64 import b64encode

from django.http import FileResponse, HttpResponse, HttpResponseBase, StreamingHttpResponse
from rest_framework.request import Request

from servers import policy
from servers.api.image.visibility import ImageView
from servers.engine.images import open_image
from servers.models import Image
from servers.states import ImageStatus

RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
MEDIA_TYPE = "application/octet-stream"


class ImageFile(ImageView):
    """The bytes; there are none before the image is active."""

    def get(self, request: Request, image_id: str) -> HttpResponseBase:
        image = self.find(image_id)
        policy.in_force().require(self.context, "download_image", self.judged_as(image))
        if image.status != ImageStatus.ACTIVE or image.size_bytes is None:
            return HttpResponse(status=204)
        size = image.size_bytes
        part = byte_range(range_header(request, image), size)
        if part is not None and not part:
            return self.unsatisfiable(size)
        asked = range(size) if part is None else part
        chunks = iter(()) if request.method == "HEAD" else open_image(image, asked.start, asked.stop)
        code = 200 if part is None else 206
        is_file = hasattr(chunks, "read")  # the web server sends one without a thread
        kind = FileResponse if is_file else StreamingHttpResponse
        answer = kind(chunks, status=code, content_type=MEDIA_TYPE)
        answer["Content-Length"] = str(len(asked))
        answer["Accept-Ranges"] = "bytes"
        if part is not None:
            answer["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
        if image.sha256:
            answer["ETag"] = etag(image)
            answer["Repr-Digest"] = f"sha-256=:{b64encode(bytes.fromhex(image.sha256)).decode()}:"  # RFC 9530
        return answer

    def unsatisfiable(self, size: int) -> HttpResponse:
        """Return the answer to a range behind the image's end."""
        answer = self.refusal(416, f"The requested range cannot be satisfied: the image has {size} bytes.")
        answer["Content-Range"] = f"bytes */{size}"
        return answer


def etag(image: Image) -> str:
    """Return what stands for the bytes as they are."""
    return f'"{image.sha256}"'


def range_header(request: Request, image: Image) -> str:
    """Return which part is asked for; none when the client has a part of other bytes (RFC 9110, 13.1.5)."""
    if request.headers.get("If-Range", etag(image)) != etag(image):
        return ""
    return request.headers.get("Range", "")


def byte_range(header: str, size: int) -> range | None:
    """Return the bytes that are asked for, an empty range where the image has none of them, None for all.

    A header that makes no sense, or asks for several parts, is passed over (RFC 9110, 14.2).
    """
    match = RANGE.fullmatch(header.strip())
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        return range(max(size - int(match[2]), 0), size)
    first, last = int(match[1]), int(match[2]) if match[2] else size
    if last < first and match[2]:
        return None
    return range(first, min(last + 1, size))
