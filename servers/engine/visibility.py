"""What a caller may see: what belongs to its project, or everything for an admin. One rule for every way in."""

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
    """Return those of `rows` that `context` may see. `owner` is the lookup of the owning project's id.

    `all_projects` is for a list, where even an admin asks for all projects by name and a rule of its own permits it;
    None lets the policy's `context_is_admin` decide.
    """
    everything = policy.in_force().is_admin(context) if all_projects is None else all_projects
    return rows if everything else rows.filter(**{owner: context.project_id})


def visible_servers(context: Context, *, all_projects: bool | None = None) -> QuerySet[Server]:
    """Return the servers that `context` may see, deleted ones too."""
    return visible(Server.objects.all(), context, all_projects=all_projects)
