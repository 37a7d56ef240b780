"""How what was done to a server looks, and the events that are part of it (Nova contract A.4)."""

from __future__ import annotations

import hashlib

from servers.api.compute.links import microseconds
from servers.api.resources import (
    TEXT,
    TEXT_OR_NULL,
    TIME,
    TIME_OR_NULL,
    UUID,
    Field,
    Resource,
    fields,
    or_null,
)
from servers.engine.visibility import EVENT_DETAILS, EVENT_HOST
from servers.models import ActionEvent, ActionRecord


def host_digest(event: ActionEvent) -> str:
    """Return what stands for the event's host towards users: sha224 of project and host name."""
    owner = event.action.server.project_id
    return hashlib.sha224(f"{owner}{event.host}".encode()).hexdigest() if event.host else ""


def newest_first(record: ActionRecord) -> list[ActionEvent]:
    """Return the events of an action."""
    return list(record.events.order_by("-id"))


EVENT = Resource(
    "InstanceActionEvent",
    (
        Field("event", TEXT, "name"),
        Field("start_time", TIME, lambda event: microseconds(event.started_at)),
        Field("finish_time", TIME_OR_NULL, lambda event: microseconds(event.finished_at)),
        Field("result", {"enum": ["Success", "Error", None]}, or_null("result")),
        Field("traceback", TEXT_OR_NULL, or_null("traceback"), rule=EVENT_HOST),
        Field("host", TEXT_OR_NULL, or_null("host"), since="2.62", rule=EVENT_HOST),
        Field("hostId", TEXT, host_digest, since="2.62"),
        Field("details", TEXT_OR_NULL, or_null("details"), since="2.84", rule=EVENT_DETAILS),
    ),
    project="action.server.project_id",
)
INSTANCE_ACTION_BRIEF = Resource(
    "InstanceActionBrief",
    (
        Field("action", TEXT, "name"),
        Field("instance_uuid", UUID, lambda record: str(record.server_id)),
        *fields("request_id user_id project_id", TEXT),
        Field("start_time", TIME, lambda record: microseconds(record.created_at)),
        Field("message", {"enum": ["Error", None]}, or_null("message")),
        Field("updated_at", TIME, lambda record: microseconds(record.updated_at), since="2.58"),
    ),
)
INSTANCE_ACTION = Resource(
    "InstanceAction",
    (
        *INSTANCE_ACTION_BRIEF.fields,
        Field("events", EVENT, newest_first, until="2.50", rule=EVENT_HOST, many=True),
        Field("events", EVENT, newest_first, since="2.51", many=True),
    ),
    project="server.project_id",
)
