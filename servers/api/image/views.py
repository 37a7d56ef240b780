"""Images for Glance's clients: list, show, change, delete."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from servers import policy
from servers.api.answers import json_answer
from servers.api.bodies import media_type
from servers.api.faults import MediaTypeUnknown
from servers.api.image.bodies import image_body
from servers.api.image.changes import MEDIA_TYPE, change
from servers.api.image.door import GlanceView
from servers.api.image.paging import page
from servers.api.image.visibility import ImageView
from servers.engine.images import delete_image
from servers.errors import Conflict
from servers.states import ImageStatus


class Images(GlanceView):
    """`/image/v2/images`."""

    def get(self, request: Request) -> HttpResponse:
        policy.in_force().require(self.context, "get_images")
        found, more = page(self.context, request.GET)
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

    def negotiate(self, request: Request) -> None:
        if request.method == "PATCH" and media_type(request).lower() != MEDIA_TYPE:
            raise MediaTypeUnknown(f"The Content-Type must be {MEDIA_TYPE}.")

    def get(self, request: Request, image_id: str) -> HttpResponse:
        image = self.find(image_id)
        policy.in_force().require(self.context, "get_images", self.judged_as(image))
        return json_answer(image_body(image))

    def patch(self, request: Request, image_id: str) -> HttpResponse:
        image = self.find(image_id)
        policy.in_force().require(self.context, "modify_image", image.project_id)
        change(image, self.body)
        return json_answer(image_body(image))

    def delete(self, request: Request, image_id: str) -> HttpResponse:
        image = self.find(image_id)
        policy.in_force().require(self.context, "delete_image", image.project_id)
        if image.status in {ImageStatus.QUEUED, ImageStatus.SAVING}:
            raise Conflict(
                f"Image {image.pk} could not be deleted because it is in use: it is being written."
            )
        delete_image(image, self.context)
        return HttpResponse(status=204)


class ImageTasks(ImageView):
    """`/image/v2/images/{id}/tasks`: there are none."""

    def get(self, request: Request, image_id: str) -> HttpResponse:
        self.find(image_id)
        return json_answer({"tasks": []})


class ImageMembers(ImageView):
    """`/image/v2/images/{id}/members`: there are none."""

    def get(self, request: Request, image_id: str) -> HttpResponse:
        self.find(image_id)
        return json_answer({"members": [], "schema": "/v2/schemas/members"})
