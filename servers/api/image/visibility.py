"""Which images a caller sees, and the one that an address names."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Coalesce

from servers.api.image.door import GlanceView
from servers.engine.accepting.identifiers import uuid_of
from servers.engine.visibility import judged_as, visible_images
from servers.errors import ImageMissing
from servers.models import Image
from servers.policy import Context


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
        """Return the project whose image it is towards a rule."""
        return judged_as(image, self.context)


def visible(context: Context) -> QuerySet[Image]:
    """Return the images that the caller may see; `changed_at` is when one last changed, as clients are told."""
    return visible_images(context).annotate(changed_at=Coalesce("updated_at", "created_at"))


def identifier(text: str) -> UUID | None:
    """Return a UUID, None for what is none."""
    try:
        return uuid_of(text)
    except ValueError:
        return None
