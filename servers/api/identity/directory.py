"""Projects, users, roles, domains and role assignments, to read; everybody sees themselves, an admin everything."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from rest_framework.request import Request

from servers.api.answers import json_answer
from servers.api.identity.bodies import (
    ROLES,
    domain_body,
    domain_of,
    link,
    project_body,
    role_body,
    role_id,
    user_body,
)
from servers.api.identity.door import KeystoneView, missing
from servers.models import Domain, Membership, Project, User

WORDS = {"true": True, "1": True, "false": False, "0": False}


class Collection(KeystoneView):
    """A list with filters by field, and single things by id."""

    one, many = "", ""
    filters: dict[str, str]

    def visible(self) -> QuerySet[Any]:
        """Return what the caller may see."""
        raise NotImplementedError

    def body(self, thing: Any) -> dict[str, Any]:
        """Return a thing as clients see it."""
        raise NotImplementedError

    def get(self, request: Request, pk: str | None = None) -> HttpResponse:
        if pk is not None:
            found = self.visible().filter(pk=pk).first()
            if found is None:
                raise missing(self.one, pk)
            return json_answer({self.one: self.body(found)})
        wanted: dict[str, Any] = {}
        for key, field in self.filters.items():
            if key in request.GET:
                value = request.GET[key]
                wanted[field] = WORDS.get(value.lower(), True) if key == "enabled" else value
        things = [self.body(thing) for thing in self.visible().filter(**wanted)]
        links = {**link(self.many), "next": None, "previous": None}
        return json_answer({self.many: things, "links": links})


class Projects(Collection):
    """`/v3/projects`."""

    one, many = "project", "projects"
    filters = {"name": "name", "domain_id": "domain_id", "enabled": "enabled"}

    def visible(self) -> QuerySet[Project]:
        if self.is_admin:
            return Project.objects.all()
        return Project.objects.filter(memberships__user_id=self.context.user_id).distinct()

    def body(self, thing: Any) -> dict[str, Any]:
        return project_body(thing)


class Users(Collection):
    """`/v3/users`."""

    one, many = "user", "users"
    filters = {"name": "name", "domain_id": "domain_id", "enabled": "is_active"}

    def visible(self) -> QuerySet[User]:
        return User.objects.all() if self.is_admin else User.objects.filter(pk=self.context.user_id)

    def body(self, thing: Any) -> dict[str, Any]:
        return user_body(thing)


class Domains(Collection):
    """`/v3/domains`."""

    one, many = "domain", "domains"
    filters = {"name": "name", "enabled": "enabled"}

    def visible(self) -> QuerySet[Domain]:
        domains = Domain.objects.all()
        return domains if self.is_admin else domains.filter(users=self.context.user_id)

    def body(self, thing: Any) -> dict[str, Any]:
        return domain_body(thing)


class Roles(KeystoneView):
    """`/v3/roles`."""

    def get(self, request: Request, pk: str | None = None) -> HttpResponse:
        if pk is not None:
            role = next((r for r in ROLES if role_id(r) == pk), None)
            if role is None:
                raise missing("role", pk)
            return json_answer({"role": role_body(role)})
        names = [r for r in ROLES if request.GET.get("name", r) == r]
        links = {**link("roles"), "next": None, "previous": None}
        return json_answer({"roles": [role_body(r) for r in names], "links": links})


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
        bodies = [assignment_body(membership, names) for membership in found]
        links = {**link("role_assignments"), "next": None, "previous": None}
        return json_answer({"role_assignments": bodies, "links": links})


def assignment_body(membership: Membership, names: bool) -> dict[str, Any]:
    """Return who has which role where, with names where they are asked for."""
    role: dict[str, Any] = {"id": role_id(membership.role)}
    user: dict[str, Any] = {"id": membership.user_id}
    scope: dict[str, Any] = {"system": {"all": True}}
    if names:
        role["name"] = membership.role
        user |= {"name": membership.user.name, "domain": domain_of(membership.user.domain)}
    if membership.project is not None:
        project = membership.project
        known = {"name": project.name, "domain": domain_of(project.domain)} if names else {}
        scope = {"project": {"id": project.pk, **known}}
    return {"role": role, "user": user, "scope": scope, "links": {}}
