"""The resources of the image door."""

from __future__ import annotations

from collections.abc import Mapping

from django.views import View

from servers.api.image import discovery, download, schemas, views
from servers.api.image.bodies import IMAGE
from servers.api.image.changes import MEDIA_TYPE
from servers.api.image.paging import SORT_KEYS
from servers.api.image.query import COLUMNS, FLAGS, IDENTIFIERS, NUMBERS, TIMES
from servers.api.resources import OBJECT, TEXT, Field, Resource, Schema, one_of
from servers.api.schema.operation import Operation, Reply

JSON_SCHEMA = Resource("ImageSchema", (Field("name", TEXT), Field("properties", OBJECT)), rest=True)

QUERY: Mapping[str, Schema] = {
    **dict.fromkeys((*COLUMNS, *IDENTIFIERS, "tag", "marker"), TEXT),
    **{name: {"type": "integer", "minimum": 0} for name in (*NUMBERS, "limit")},
    **{
        name: {**TEXT, "description": "a time in ISO 8601, after gt:, gte:, lt:, lte:, eq: or neq:"}
        for name in TIMES
    },
    **dict.fromkeys(("protected", "os_hidden"), one_of(*FLAGS)),
    "sort_key": one_of(*SORT_KEYS),
    "sort_dir": one_of("asc", "desc"),
    "sort": {**TEXT, "description": "several of KEY:asc or KEY:desc, with commas between them"},
}
BYTES = (download.MEDIA_TYPE,)

OPERATIONS: dict[tuple[type[View], str], Operation] = {
    (discovery.Versions, "get"): Operation(
        "List the versions of the image service",
        (Reply(200, discovery.VERSIONS), Reply(300, discovery.VERSIONS)),
        public=True,
    ),
    (views.Images, "get"): Operation(
        "List images",
        (Reply(200, views.IMAGES),),
        "Any other key of the query is the name of a further property.",
        query=QUERY,
    ),
    (views.OneImage, "get"): Operation("Show an image", (Reply(200, IMAGE),)),
    (views.OneImage, "patch"): Operation(
        "Change an image's name, protection or further properties",
        (Reply(200, IMAGE),),
        media_type=MEDIA_TYPE,
        refusals=(409, 415),
        examples={"keep it": [{"op": "replace", "path": "/protected", "value": True}]},  # type: ignore[dict-item]
    ),
    (views.OneImage, "delete"): Operation("Delete an image", (Reply(204),), refusals=(409,)),
    (download.ImageFile, "get"): Operation(
        "Download an image, whole or in part",
        (
            Reply(200, None, BYTES, ("ETag", "Repr-Digest", "Accept-Ranges")),
            Reply(204, text="There are no bytes yet."),
            Reply(206, None, BYTES, ("ETag", "Repr-Digest", "Accept-Ranges", "Content-Range")),
        ),
        headers={"Range": TEXT, "If-Range": TEXT},
        refusals=(416,),
    ),
    (views.ImageTasks, "get"): Operation("List an image's tasks: there are none", (Reply(200, views.TASKS),)),
    (views.ImageMembers, "get"): Operation(
        "List an image's members: there are none", (Reply(200, views.MEMBERS),)
    ),
    (schemas.Schema, "get"): Operation(
        "Show the JSON schema of an image, a member, or a list of either", (Reply(200, JSON_SCHEMA),)
    ),
}

REFUSALS = (400, 401, 403, 404, 503)
