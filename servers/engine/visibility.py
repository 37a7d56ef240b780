"""Which rows a caller may see; the REST API, the console and the commands all ask here."""

from __future__ import annotations

from typing import TypeVar

from django.db.models import Model, QuerySet

from servers import policy
from servers.models import Server
from servers.policy import Context

M = TypeVar("M", bound=Model)


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
