"""In whose name somebody acts in the console: in one project at a time, chosen among his memberships."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

from django.http import HttpRequest
from structlog.contextvars import bind_contextvars

from servers import policy
from servers.acting import become
from servers.engine.accepting.request_context import REQUEST_ID, context_of
from servers.models import Membership, Project, User
from servers.policy import Context

DOOR = "console"
SESSION_KEY = "project"
SYSTEM = "system"
"""What stands for the whole system where a project could stand."""

OPERATORS = "gantry:audit"
"""The rule of pages that only operators see."""
IDENTITY = "gantry:identity"
"""The rule of changing who there is, and what he may do."""
FLEET = "gantry:fleet"
"""The rule of changing what is kept of the fleet by hand: flavors, aggregates, storage pools."""


@dataclass(frozen=True)
class Choice:
    """A project, or the system, in whose name somebody may act."""

    key: str
    name: str
    roles: tuple[str, ...]
    project: Project | None


@dataclass(frozen=True)
class Caller:
    """Who asks, what he has chosen, and what else he could choose."""

    context: Context
    chosen: Choice | None
    choices: tuple[Choice, ...]

    @property
    def is_operator(self) -> bool:
        """Return whether he acts on every project."""
        return policy.in_force().is_admin(self.context)


_known: WeakKeyDictionary[HttpRequest, Caller] = WeakKeyDictionary()


def caller_of(request: HttpRequest) -> Caller:
    """Return who asks; once found, the answer holds for the whole request."""
    caller = _known.get(request)
    if caller is None:
        caller = _known[request] = _find(request)
    return caller


def context_for(request: HttpRequest) -> Context:
    """Return the context in which the request is made."""
    return caller_of(request).context


def allows(request: HttpRequest, rule: str, project_id: str | None = None) -> bool:
    """Return whether the policy lets the caller do what `rule` names, on what `project_id` owns."""
    return policy.in_force().allows(context_for(request), rule, project_id)


def choices_of(user: User) -> tuple[Choice, ...]:
    """Return what the user may choose, projects by name and the system last."""
    found: dict[str, Choice] = {}
    rows = Membership.objects.filter(user=user).select_related("project__domain")
    for row in rows.order_by("project__name", "role"):
        if row.project is not None and not row.project.is_usable:
            continue
        key, name = (row.project.pk, row.project.name) if row.project else (SYSTEM, "the whole system")
        roles = found[key].roles if key in found else ()
        found[key] = Choice(key, name, (*roles, row.role), row.project)
    return tuple(sorted(found.values(), key=lambda choice: (choice.project is None, choice.name)))


def _find(request: HttpRequest) -> Caller:
    user = request.user
    if not isinstance(user, User):
        return Caller(Context("", "", frozenset(), door=DOOR), None, ())
    become(who=user.name, who_id=user.pk)
    bind_contextvars(user=user.name)
    choices = choices_of(user)
    by_key = {choice.key: choice for choice in choices}
    wanted = (request.session.get(SESSION_KEY), user.default_project_id)
    chosen = next((by_key[key] for key in wanted if key in by_key), choices[0] if choices else None)
    if chosen is None:
        return Caller(Context(user.pk, "", frozenset(), user.name, door=DOOR), None, ())
    context = context_of(user, chosen.project, door=DOOR, request_id=request.META.get(REQUEST_ID))
    return Caller(context, chosen, choices)
