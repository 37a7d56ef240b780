"""What a token is to be good for: a project, the system, or nothing yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from servers.api.identity.door import unauthorized
from servers.api.identity.login import Proof
from servers.api.identity.lookup import NAME_IN_DOMAIN, find_project
from servers.api.resources import OBJECT, Schema, an_object
from servers.models import Membership, Project
from servers.policy import implied_roles

SCOPE: Schema = {
    "description": "an object with a project, or with the system, or unscoped",
    "anyOf": [
        an_object({"project": NAME_IN_DOMAIN}, additionalProperties=False),
        an_object({"system": {"const": {"all": True}}}, additionalProperties=False),
        an_object({"domain": OBJECT}, additionalProperties=False),
        an_object({"unscoped": OBJECT}, additionalProperties=False),
        {"const": "unscoped"},  # keystoneauth's way of saying it
    ],
}


@dataclass(frozen=True)
class Scope:
    """What a token is good for."""

    project: Project | None = None
    system: bool = False
    roles: list[str] = field(default_factory=list)


def scope_of(asked: dict[str, Any] | str | None, proof: Proof) -> Scope:
    """Return the scope that is asked for as SCOPE says, or else the user's default. Raises KeystoneError."""
    if asked is None:
        return default_scope(proof)
    if isinstance(asked, str) or "unscoped" in asked:
        return Scope()
    if "project" in asked:
        return project_scope(find_project(asked["project"]), proof)
    if "system" in asked:
        return system_scope(proof)
    raise unauthorized()  # nobody has a role in a domain


def default_scope(proof: Proof) -> Scope:
    """Return the credential's project, or the user's default one if that can be used, or nothing, as Keystone does."""
    if proof.project is not None:
        return project_scope(proof.project, proof)
    project = proof.user.default_project
    roles = roles_in(project, proof)
    return Scope(project, roles=roles) if roles else Scope()


def project_scope(project: Project | None, proof: Proof) -> Scope:
    """Return a project as a scope. Raises KeystoneError for a user without a role there."""
    roles = roles_in(project, proof)
    if not roles:
        raise unauthorized()
    return Scope(project, roles=roles)


def system_scope(proof: Proof) -> Scope:
    """Return the system as a scope. Raises KeystoneError for a user without a role there."""
    found = Membership.objects.filter(user=proof.user, project=None).values_list("role", flat=True)
    roles = sorted(implied_roles(found))
    if not roles or proof.project is not None:
        raise unauthorized()
    return Scope(system=True, roles=roles)


def roles_in(project: Project | None, proof: Proof) -> list[str]:
    """Return the roles that the proof gives in a project; none where it is disabled, or not the credential's."""
    if project is None or not project.is_usable:
        return []
    if proof.project is not None and proof.project.pk != project.pk:
        return []
    found = Membership.objects.filter(user=proof.user, project=project)
    if proof.credential is None:
        return sorted(implied_roles(found.values_list("role", flat=True)))
    left = found.filter(pk__in=proof.credential.memberships).values_list("role", flat=True)
    return sorted(implied_roles(left) & implied_roles(proof.credential.roles))
