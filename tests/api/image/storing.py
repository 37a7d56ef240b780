"""An image with bytes."""

from __future__ import annotations

import hashlib
from typing import Any

from django.conf import settings

from servers.engine.images import facts_of
from servers.images.local import LocalImageStore
from servers.models import Image, Project
from tests.factories import make_image

CONTENT = bytes(range(256)) * 4


def stored(project: Project, **fields: Any) -> Image:
    """Return an image whose bytes are in the store."""
    image = make_image(project, size_bytes=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest(), **fields)
    store = LocalImageStore(settings.IMAGE_DIR)
    store.place(image.pk).write_bytes(CONTENT)
    store.commit(facts_of(image), image.sha256)
    return image
