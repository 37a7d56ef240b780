"""Which rows a caller may see, and what of a row; the REST API, the console and the commands all ask here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

from django.db.models import Model, Q, QuerySet

from servers import policy
from servers.models import ActionEvent, ActionRecord, Image, Migration, Server, ServerDisk
from servers.policy import Context
from servers.states import ImageStatus

M = TypeVar("M", bound=Model)

SERVER_HOST = "os_compute_api:os-extended-server-attributes"
"""The rule for a server's host, and for what the server is called there."""
EVENT_HOST = "os_compute_api:os-instance-actions:events"
"""The rule for where an action was carried out, and for tracebacks."""
EVENT_DETAILS = "os_compute_api:os-instance-actions:events:details"
"""The rule for why an action failed, and for what the hypervisor said."""
MIGRATION_HOST = "os_compute_api:os-migrations:index:host"
"""The rule for the route of a migration."""
HYPERVISORS = "os_compute_api:os-hypervisors:list-detail"
"""The rule for all hosts, with what is free on them and why one takes no servers."""


# ------------------------------------------------------------------------------------------------ rows


def visible(
    rows: QuerySet[M], context: Context, owner: str = "project_id", *, all_projects: bool | None = None
) -> QuerySet[M]:
    """Return those of `rows` that `context` may see.

    `owner` is the lookup from a row to the id of its project. None for `all_projects` lets the policy rule
    `context_is_admin` decide; a list passes True or False, because there even an admin has to request all
    projects, and a rule of its own permits it.
    """
    everything = policy.in_force().is_admin(context) if all_projects is None else all_projects
    return rows if everything else rows.filter(**{owner: context.project_id})


def visible_servers(context: Context, *, all_projects: bool | None = None) -> QuerySet[Server]:
    """Return the servers that `context` may see, deleted ones included; `all_projects` as in `visible`."""
    return visible(Server.objects.all(), context, all_projects=all_projects)


def visible_images(context: Context) -> QuerySet[Image]:
    """Return the images that `context` may see, never a deleted one.

    These are its project's, those that are public or shared with it, and all for an admin.
    """
    images = Image.objects.exclude(status=ImageStatus.DELETED)
    if policy.in_force().is_admin(context):
        return images
    shared = Q(visibility="shared", properties__instance_owner=context.project_id)
    return images.filter(Q(project_id=context.project_id) | Q(visibility="public") | shared)


def judged_as(image: Image, context: Context) -> str:
    """Return the project whose image it is towards a rule: of one that is not private, everybody's who sees it."""
    return image.project_id if image.visibility == "private" else context.project_id


FAULT_STATUSES = frozenset({"ERROR", "DELETED"})


def shows_fault(server: Server) -> bool:
    """Return whether a server is in a state in which its last fault is shown."""
    return server.fault_at is not None and server.status in FAULT_STATUSES


# ------------------------------------------------------------------------------------- columns of a row

Guards = Mapping[str, str]
"""Names of a model's fields, each with the policy rule without which nobody sees it."""

GUARDED: Mapping[type[Model], Guards] = {
    Server: {"host": SERVER_HOST, "guest_name": SERVER_HOST, "reservation_id": SERVER_HOST},
    ServerDisk: {"path": SERVER_HOST, "pool": SERVER_HOST},
    ActionRecord: {
        **dict.fromkeys(("source_host", "waits_for_host", "left_on", "worker", "memo"), EVENT_HOST),
        **dict.fromkeys(("error_text", "result", "verdict"), EVENT_DETAILS),
    },
    ActionEvent: {
        **dict.fromkeys(("host", "traceback", "facts"), EVENT_HOST),
        "details": EVENT_DETAILS,
    },
    Migration: dict.fromkeys(
        ("source_compute", "source_node", "dest_compute", "dest_node", "dest_host"), MIGRATION_HOST
    ),
    Image: {},
}
"""What not everybody sees who sees the row. REST has the same rules for what it shows of these fields."""

PROJECT: Mapping[type[Model], Callable[[Any], str | None]] = {
    Server: attrgetter("project_id"),
    ServerDisk: attrgetter("server.project_id"),
    ActionRecord: attrgetter("server.project_id"),
    ActionEvent: attrgetter("action.server.project_id"),
    Migration: lambda migration: None,  # Nova asks for the caller's own project, whosever the server is
}
"""In which project the rules of a row are asked; None is the caller's own."""


class Sight:
    """What one caller sees of rows: `shown` empties the fields that the policy hides. A rule is asked once a project."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.allows = cache(lambda rule, project: policy.in_force().allows(context, rule, project))
        self._copies: dict[int, tuple[Model, Model]] = {}
        """Rows, and their copies, by the rows' ids: rows that were read together know each other."""

    def sees(self, row: Model, name: str) -> bool:
        """Return whether the caller may see a field of a row."""
        rule = GUARDED.get(type(row), {}).get(name)
        return rule is None or self.allows(rule, PROJECT[type(row)](row))

    def shown(self, row: M) -> M:
        """Return a row as the caller may see it: a copy, for showing alone, whose hidden fields are empty.

        The rows that were read with it are shown so too, but for the server of somebody else. A row of which nothing is ever hidden is returned itself.
        """
        if type(row) not in GUARDED:
            return row
        if id(row) not in self._copies:
            seen = copy(row)
            self._copies[id(row)] = (row, seen)
            for name in GUARDED[type(row)]:
                if not self.sees(row, name):
                    empty(seen, name)
            self._show_what_was_read_with(seen)
        return self._copies[id(row)][1]  # type: ignore[return-value]

    def _related(self, row: Model | None) -> Model | None:
        if row is None or (isinstance(row, Server) and not self.sees_server(row)):
            return None
        return self.shown(row)

    def sees_server(self, server: Server) -> bool:
        """Return whether it is one of the caller's, as `visible_servers` says."""
        return server.project_id == self.context.project_id or policy.in_force().is_admin(self.context)

    def _show_what_was_read_with(self, seen: Model) -> None:
        related = seen._state.fields_cache
        seen._state.fields_cache = {name: self._related(row) for name, row in related.items()}
        read = vars(seen).get("_prefetched_objects_cache", {})
        vars(seen)["_prefetched_objects_cache"] = {
            name: [self.shown(row) for row in rows] for name, rows in read.items()
        }


def empty(row: Model, name: str) -> None:
    """Empty a field in memory, as a row has it that was just made; protected fields too."""
    field = row._meta.get_field(name)
    vars(row)[field.attname] = field.get_default()  # type: ignore[union-attr]
    if field.is_relation:
        row._state.fields_cache[name] = None
