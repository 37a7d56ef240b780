"""Which images a caller sees, and the one that an address names."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce

from servers import policy
from servers.api.image.door import GlanceView
from servers.engine.accepting.identifiers import uuid_of
from servers.errors import ImageMissing
from servers.models import Image
from servers.policy import Context
from servers.states import ImageStatus


class ImageView(GlanceView):
    """An address of one image."""

    def find(self, image_id: str) -> Image:
        """Return an image that the caller may see. Raises ImageMissing."""
        pk = identifier(image_id)
        image = visible(self.context).filter(pk=pk).first() if pk else None
        if image is None:
            raise ImageMissing(image=image_id)
        return image

    def judged_as(self, image: Image) -> str:
        """Return the project whose image it is towards a rule: of one that is not private, everybody's who sees it."""
        return image.project_id if image.visibility == "private" else self.context.project_id


def visible(context: Context) -> QuerySet[Image]:
    """Return the images that the caller may see: its project's, all for an admin; deleted ones never.

    `changed_at` is when the image last changed, as clients are told.
    """
    images = Image.objects.exclude(status=ImageStatus.DELETED)
    images = images.annotate(changed_at=Coalesce("updated_at", "created_at"))
    if policy.in_force().is_admin(context):
        return images
    shared = Q(visibility="shared", properties__instance_owner=context.project_id)
    return images.filter(Q(project_id=context.project_id) | Q(visibility="public") | shared)


def identifier(text: str) -> UUID | None:
    """Return a UUID, None for what is none."""
    try:
        return uuid_of(text)
    except ValueError:
        return None
