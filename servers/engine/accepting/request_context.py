"""The policy context of a caller, made from memberships in the same way at every entry point."""

from __future__ import annotations

from uuid import uuid4

from servers.models import Membership, Project, User
from servers.policy import Context, implied_roles

LOCAL_USER_ID = "local-operator"
REQUEST_ID = "REQUEST_ID"
"""Where a request of HTTP has its id, in `HttpRequest.META`; a client's header would begin with HTTP_."""


def new_request_id() -> str:
    """Return a new request id in OpenStack's form: `req-` and a UUID."""
    return f"req-{uuid4()}"


def roles_of(user: User, project_id: str | None) -> frozenset[str]:
    """Return the user's roles in the project, with all roles that they imply; None is the system scope."""
    found = Membership.objects.filter(user=user, project_id=project_id).values_list("role", flat=True)
    return implied_roles(found)


def context_of(user: User, project: Project | None, *, door: str, request_id: str | None = None) -> Context:
    """Return the context in which `user` acts for `project`; None is the system scope.

    `door` is the entry point that the action record names, for example "console". Without `request_id` a new
    one is made.
    """
    return Context(
        user_id=user.pk,
        user_name=user.name,
        project_id=project.pk if project else "",
        project_name=project.name if project else "",
        roles=roles_of(user, project.pk if project else None),
        system_scope=None if project else "all",
        request_id=request_id or new_request_id(),
        door=door,
    )


def local_operator(project: Project | None = None) -> Context:
    """Return the context of an operator with a shell on the machine: an admin, recorded as LOCAL_USER_ID."""
    return Context(
        user_id=LOCAL_USER_ID,
        user_name=LOCAL_USER_ID,
        project_id=project.pk if project else "",
        project_name=project.name if project else "",
        roles=implied_roles(["admin"]),
        request_id=new_request_id(),
        door="command",
    )
