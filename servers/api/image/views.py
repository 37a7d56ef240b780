"""Images for Glance's clients: list, show, change, delete."""

from __future__ import annotations

from typing import NamedTuple

from django.http import HttpResponse, QueryDict
from rest_framework.request import Request

from servers import policy
from servers.api.answers import json_answer
from servers.api.bodies import media_type
from servers.api.faults import MediaTypeUnknown
from servers.api.idempotency import keeping, once
from servers.api.image.bodies import IMAGE
from servers.api.image.changes import MEDIA_TYPE, PATCH, change
from servers.api.image.door import GlanceView
from servers.api.image.paging import page
from servers.api.image.visibility import ImageView
from servers.api.resources import OBJECT, TEXT, Bodies, Field, Resource, fields, fixed, list_of
from servers.engine.images import delete_image
from servers.errors import Conflict
from servers.models import Image
from servers.states import ImageStatus


class Page(NamedTuple):
    """A page of a list of images, and the addresses of the first one and of the next, if any."""

    images: list[Image]
    first: str
    next: str = ""


IMAGES = Resource(
    "ImageList",
    (
        Field("images", IMAGE, "images", many=True),
        *fields("first", TEXT),
        Field("schema", TEXT, fixed("/v2/schemas/images")),
        *fields("next", TEXT, when=lambda page: page.next),
    ),
)
TASKS = Resource("ImageTasks", (Field("tasks", list_of(OBJECT), fixed([])),))
MEMBERS = Resource(
    "ImageMembers",
    (Field("members", list_of(OBJECT), fixed([])), Field("schema", TEXT, fixed("/v2/schemas/members"))),
)


def address(query: QueryDict) -> str:
    """Return the address of a list, as Glance writes it."""
    return "/v2/images" + (f"?{query.urlencode()}" if query else "")


class Images(GlanceView):
    """`/image/v2/images`."""

    def get(self, request: Request) -> HttpResponse:
        policy.in_force().require(self.context, "get_images")
        found, more = page(self.context, request.GET)
        query = request.GET.copy()
        query.pop("marker", None)
        shown = Page(found, address(query))
        if more and found:
            query["marker"] = str(found[-1].pk)
            shown = shown._replace(next=address(query))
        return json_answer(Bodies(IMAGES)(shown))


class OneImage(ImageView):
    """`/image/v2/images/{id}`."""

    bodies = {"patch": PATCH}

    def negotiate(self, request: Request) -> None:
        if request.method == "PATCH" and media_type(request).lower() != MEDIA_TYPE:
            raise MediaTypeUnknown(f"The Content-Type must be {MEDIA_TYPE}.")

    def get(self, request: Request, image_id: str) -> HttpResponse:
        image = self.find(image_id)
        policy.in_force().require(self.context, "get_images", self.judged_as(image))
        return json_answer(Bodies(IMAGE)(image))

    @once
    def patch(self, request: Request, image_id: str) -> HttpResponse:
        image = self.find(image_id)
        policy.in_force().require(self.context, "modify_image", image.project_id)
        change(image, self.body)
        return json_answer(Bodies(IMAGE)(image))

    @once(in_transaction=False)
    def delete(self, request: Request, image_id: str) -> HttpResponse:
        image = self.find(image_id)
        policy.in_force().require(self.context, "delete_image", image.project_id)
        if image.status in {ImageStatus.QUEUED, ImageStatus.SAVING}:
            raise Conflict(
                f"Image {image.pk} could not be deleted because it is in use: it is being written."
            )
        answer = HttpResponse(status=204)
        delete_image(image, self.context, keeping(self, lambda deleted: answer))
        return answer


class ImageTasks(ImageView):
    """`/image/v2/images/{id}/tasks`: there are none."""

    def get(self, request: Request, image_id: str) -> HttpResponse:
        self.find(image_id)
        return json_answer(Bodies(TASKS)(None))


class ImageMembers(ImageView):
    """`/image/v2/images/{id}/members`: there are none."""

    def get(self, request: Request, image_id: str) -> HttpResponse:
        self.find(image_id)
        return json_answer(Bodies(MEMBERS)(None))
