"""What a token is to be good for: a project, the system, or nothing yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from servers.api.identity.door import KeystoneError, member, unauthorized
from servers.api.identity.login import Proof
from servers.api.identity.lookup import find_project
from servers.models import Membership, Project
from servers.policy import implied_roles


@dataclass(frozen=True)
class Scope:
    """What a token is good for."""

    project: Project | None = None
    system: bool = False
    roles: list[str] = field(default_factory=list)


def scope_of(body: dict[str, Any], proof: Proof) -> Scope:
    """Return the scope that is asked for, or else the user's default. Raises KeystoneError."""
    asked = member(body, "auth", "scope")
    if asked is None:
        return default_scope(proof)
    if asked == "unscoped":  # keystoneauth's way of saying it
        return Scope()
    if not isinstance(asked, dict) or len(asked) != 1:
        raise KeystoneError(400, "auth.scope must name one project, or the system, or be unscoped.")
    [(kind, named)] = asked.items()
    if kind == "project":
        return project_scope(find_project(named), proof)
    if kind == "system" and member(named, "all") is True:
        return system_scope(proof)
    if kind == "unscoped":
        return Scope()
    if kind == "domain":
        raise unauthorized()  # nobody has a role in a domain
    raise KeystoneError(400, "auth.scope must name one project, or the system, or be unscoped.")


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
    if project is None or not project.enabled or not project.domain.enabled:
        return []
    if proof.project is not None and proof.project.pk != project.pk:
        return []
    found = Membership.objects.filter(user=proof.user, project=project).values_list("role", flat=True)
    roles = implied_roles(found)
    if proof.credential is not None:
        roles &= implied_roles(proof.credential.roles)
    return sorted(roles)
