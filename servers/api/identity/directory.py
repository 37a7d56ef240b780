"""Projects, users, roles, domains and role assignments, to read; everybody sees themselves, an admin everything."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpResponse
from rest_framework.request import Request

from servers.api.answers import json_answer
from servers.api.identity.bodies import DOMAIN, NAMED, PROJECT, ROLE, ROLES, USER, listed, role_id
from servers.api.identity.door import KeystoneView, missing
from servers.api.resources import OBJECT, TEXT, Bodies, Field, Resource, fields, fixed, itself
from servers.models import Domain, Membership, Project, User

WORDS = {"true": True, "1": True, "false": False, "0": False}


class Collection(KeystoneView):
    """A list with filters by field, and single things by id."""

    one, many = "", ""
    resource: ClassVar[Resource]
    filters: ClassVar[dict[str, str]]
    """The field of the model for each key of the query."""

    def visible(self) -> QuerySet[Any]:
        """Return what the caller may see."""
        raise NotImplementedError

    def get(self, request: Request, pk: str | None = None) -> HttpResponse:
        if pk is not None:
            found = self.visible().filter(pk=pk).first()
            if found is None:
                raise missing(self.one, pk)
            return json_answer({self.one: Bodies(self.resource)(found)})
        wanted: dict[str, Any] = {}
        for key, field in self.filters.items():
            if key in request.GET:
                value = request.GET[key]
                wanted[field] = WORDS.get(value.lower(), True) if key == "enabled" else value
        found = self.visible().filter(**wanted)
        return json_answer(listed(self.many, self.resource, found, self.many))


class Projects(Collection):
    """`/v3/projects`."""

    one, many = "project", "projects"
    resource = PROJECT
    filters = {"name": "name", "domain_id": "domain_id", "enabled": "enabled"}

    def visible(self) -> QuerySet[Project]:
        if self.is_admin:
            return Project.objects.all()
        return Project.objects.filter(memberships__user_id=self.context.user_id).distinct()


class Users(Collection):
    """`/v3/users`."""

    one, many = "user", "users"
    resource = USER
    filters = {"name": "name", "domain_id": "domain_id", "enabled": "is_active"}

    def visible(self) -> QuerySet[User]:
        return User.objects.all() if self.is_admin else User.objects.filter(pk=self.context.user_id)


class Domains(Collection):
    """`/v3/domains`."""

    one, many = "domain", "domains"
    resource = DOMAIN
    filters = {"name": "name", "enabled": "enabled"}

    def visible(self) -> QuerySet[Domain]:
        domains = Domain.objects.all()
        return domains if self.is_admin else domains.filter(users=self.context.user_id)


class Roles(KeystoneView):
    """`/v3/roles`."""

    def get(self, request: Request, pk: str | None = None) -> HttpResponse:
        if pk is not None:
            role = next((r for r in ROLES if role_id(r) == pk), None)
            if role is None:
                raise missing("role", pk)
            return json_answer({"role": Bodies(ROLE)(role)})
        found = [r for r in ROLES if request.GET.get("name", r) == r]
        return json_answer(listed("roles", ROLE, found, "roles"))


def assignments(*, with_names: bool) -> Resource:
    """Return the table of who has which role where; names are shown to those who have asked for them."""
    asked = fixed(with_names)
    role = Resource("MaybeNamed", (Field("id", TEXT, role_id), Field("name", TEXT, itself, when=asked)))
    one = Resource(
        "MaybeInDomain",
        (
            *fields("id", TEXT),
            *fields("name", TEXT, when=asked),
            *fields("domain", NAMED, when=asked),
        ),
    )
    scope = Resource(
        "AssignmentScope",
        (
            Field("project", one, "project", when=lambda membership: membership.project),
            Field("system", OBJECT, fixed({"all": True}), when=lambda membership: not membership.project),
        ),
    )
    return Resource(
        "RoleAssignment",
        (
            Field("role", role, "role"),
            Field("user", one, "user"),
            Field("scope", scope, itself),
            Field("links", OBJECT, fixed({})),
        ),
    )


class RoleAssignments(KeystoneView):
    """`/v3/role_assignments`."""

    def get(self, request: Request) -> HttpResponse:
        found = Membership.objects.select_related("user__domain", "project__domain")
        if not self.is_admin:
            found = found.filter(user_id=self.context.user_id)
        if "user.id" in request.GET:
            found = found.filter(user_id=request.GET["user.id"])
        if "scope.project.id" in request.GET:
            found = found.filter(project_id=request.GET["scope.project.id"])
        if "scope.system" in request.GET:
            found = found.filter(project=None)
        if "group.id" in request.GET:
            found = found.none()
        if "role.id" in request.GET:
            found = found.filter(role__in=[r for r in ROLES if role_id(r) == request.GET["role.id"]])
        names = request.GET.get("include_names", "false").lower() in {"true", "1", ""}
        row = assignments(with_names=names)
        return json_answer(listed("role_assignments", row, found, "role_assignments"))
