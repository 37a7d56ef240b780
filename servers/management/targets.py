"""Who acts from the shell, and on which server and migration."""

from __future__ import annotations

from uuid import UUID

from servers.acting import become
from servers.actions import Action
from servers.engine.accepting.request_context import context_of, local_operator
from servers.engine.accepting.submit import explain, find_server
from servers.engine.visibility import visible_servers
from servers.errors import InstanceMissing, Invalid, Missing, Refusal
from servers.models import Project, User
from servers.policy import Context

DOOR = "command"


def find_context(user_name: str | None, project_name: str | None) -> Context:
    """Return the context of the named user, or of the local operator. Raises Refusal."""
    project = find_project(project_name) if project_name else None
    if user_name is None:
        return local_operator(project)
    user = User.objects.filter(name=user_name).select_related("domain", "default_project").first()
    if user is None or not user.may_log_in:
        raise Missing(f"There is no active user {user_name}.")
    become(on_behalf_of=user.name)
    project = project or user.default_project
    if project is None:
        raise Invalid(f"User {user_name} has no default project: say which one with --project.")
    return context_of(user, project, door=DOOR)


def find_project(name: str) -> Project:
    """Return the project with this name or id. Raises Missing."""
    project = Project.objects.filter(name=name).first() or Project.objects.filter(pk=name).first()
    if project is None:
        raise Missing(f"There is no project {name}.")
    return project


def server_id(text: str, context: Context) -> str:
    """Return the id of the server with this UUID or name. Raises InstanceMissing, Invalid."""
    try:
        return str(UUID(text))
    except ValueError:
        named = visible_servers(context).filter(name=text, deleted_at=None)
    found = [str(uuid) for uuid in named.values_list("uuid", flat=True)]
    if not found:
        raise InstanceMissing(server=text)
    if len(found) > 1:
        raise Invalid(
            f"{len(found)} servers are called {text}. Say which one by its UUID: {', '.join(found)}"
        )
    return found[0]


def running_migration(action: type[Action], server: str, context: Context) -> int:
    """Return the number of the server's live migration that is going on. Raises the Refusal that fits."""
    row = find_server(server, context)
    newest = row.migrations.newest_live_in_progress()
    if newest is None:
        refusal: Refusal | None = explain(action, row, context, {})
        raise refusal or Missing(f"Server {row.uuid} has no live migration that is going on.")
    return newest.pk
