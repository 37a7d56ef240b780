"""Proving who one is: by password, by a token that one has, or by an application credential."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from axes.handlers.proxy import AxesProxyHandler
from django.contrib.auth import authenticate as check_password
from django.contrib.auth.hashers import make_password
from django.contrib.auth.signals import user_login_failed
from django.http import HttpRequest

from servers.api.identity.door import KeystoneError, member, text, unauthorized
from servers.models import ApplicationCredential, Membership, Project, Token, User
from servers.policy import implied_roles

METHODS = ("password", "token", "application_credential")


@dataclass(frozen=True)
class Proof:
    """Who somebody has proven to be, and what that proof is good for."""

    user: User
    methods: list[str]
    project: Project | None = None
    """The only project that the proof is good for, None where any will do."""
    credential: ApplicationCredential | None = None
    token: Token | None = None


@dataclass(frozen=True)
class Scope:
    """What a token is good for."""

    project: Project | None = None
    system: bool = False
    roles: list[str] = field(default_factory=list)


def prove(request: HttpRequest, body: dict[str, Any]) -> Proof:
    """Return who the caller is. Raises KeystoneError, which never says what was wrong."""
    identity = member(body, "auth", "identity")
    methods = member(identity, "methods")
    if not isinstance(methods, list) or len(methods) != 1 or methods[0] not in METHODS:
        raise KeystoneError(400, f"auth.identity.methods must be a list of one of {', '.join(METHODS)}.")
    given = member(identity, methods[0])
    if not isinstance(given, dict):
        raise KeystoneError(400, f"auth.identity.{methods[0]} must be an object.")
    if methods[0] == "password":
        return by_password(request, given)
    if methods[0] == "token":
        return by_token(given)
    return by_credential(request, given)


def by_password(request: HttpRequest, given: dict[str, Any]) -> Proof:
    """Return the proof of somebody who knows a password; failures are counted and slowed down by axes."""
    who = member(given, "user")
    password = text(member(who, "password"), "auth.identity.password.user.password")
    user = find_user(who)
    name = user.name if user else text(member(who, "name") or member(who, "id") or "", "user")
    found = check_password(request, username=name, password=password)
    if getattr(request, "axes_locked_out", False):
        request.axes_locked_out = False  # type: ignore[attr-defined]  # or its middleware answers with a page
        raise unauthorized("There were too many failed logins; try again later.")
    if user is None or found is None or found.pk != user.pk or not user.domain.enabled:
        raise unauthorized()
    return Proof(user, ["password"])


def find_user(who: Any) -> User | None:
    """Return the user that is named by id, or by name and domain."""
    users = User.objects.select_related("domain", "default_project")
    if member(who, "id") is not None:
        return users.filter(pk=text(who["id"], "user.id")).first()
    if member(who, "name") is None:
        raise KeystoneError(400, "auth.identity.password.user needs an id, or a name and a domain.")
    return users.filter(name=text(who["name"], "user.name"), **in_domain(member(who, "domain"))).first()


def in_domain(domain: Any) -> dict[str, str]:
    """Return the filter for a domain that is named by id or name. Raises KeystoneError where it is not."""
    if member(domain, "id") is not None:
        return {"domain_id": text(domain["id"], "domain.id")}
    if member(domain, "name") is not None:
        return {"domain__name": text(domain["name"], "domain.name")}
    raise KeystoneError(400, "A name needs a domain with an id or a name.")


def by_token(given: dict[str, Any]) -> Proof:
    """Return the proof of somebody who has a token; what restricted that one restricts the next one."""
    token = Token.find(text(member(given, "id"), "auth.identity.token.id"))
    if token is None:
        raise unauthorized()
    credential = token.application_credential
    project = credential.project if credential else None
    return Proof(token.user, [*token.methods, "token"], project, credential, token)


def by_credential(request: HttpRequest, given: dict[str, Any]) -> Proof:
    """Return the proof of a program that has an application credential."""
    secret = text(member(given, "secret"), "auth.identity.application_credential.secret")
    credential = find_credential(given)
    named = {"username": f"application credential {credential.pk if credential else member(given, 'id')}"}
    if not AxesProxyHandler.is_allowed(request, named):
        raise unauthorized("There were too many failed logins; try again later.")
    if credential is None:
        make_password(secret)  # the same work as for one that exists
    if (
        credential is None
        or not credential.check_secret(secret)
        or not credential.user.is_active
        or not credential.user.domain.enabled
    ):
        user_login_failed.send(sender=__name__, credentials=named, request=request)
        raise unauthorized()
    return Proof(credential.user, ["application_credential"], credential.project, credential)


def find_credential(given: dict[str, Any]) -> ApplicationCredential | None:
    """Return the credential that is named by id, or by name and user."""
    credentials = ApplicationCredential.objects.select_related("user__domain", "project__domain")
    if given.get("id") is not None:
        return credentials.filter(pk=text(given["id"], "application_credential.id")).first()
    user = find_user(member(given, "user"))
    name = text(given.get("name"), "application_credential.name")
    return credentials.filter(user=user, name=name).first() if user else None


def scope_of(body: dict[str, Any], proof: Proof) -> Scope:
    """Return what the token is to be good for: what was asked, or the user's default project, or nothing."""
    asked = member(body, "auth", "scope")
    if member(asked, "system") is not None:
        return system_scope(proof)
    if member(asked, "project") is not None:
        return project_scope(find_project(asked["project"]), proof)
    if asked not in (None, "unscoped", {}) and member(asked, "domain") is None:
        raise KeystoneError(400, "auth.scope must name a project or the system.")
    if asked is not None:
        return Scope()
    if proof.token is not None:
        return Scope(proof.token.project, proof.token.system_scope, list(proof.token.roles))
    project = proof.project or proof.user.default_project
    return project_scope(project, proof) if project else Scope()


def system_scope(proof: Proof) -> Scope:
    """Return the system as a scope. Raises KeystoneError for a user without a role there."""
    roles = Membership.objects.filter(user=proof.user, project=None).values_list("role", flat=True)
    if not roles or proof.project is not None:
        raise unauthorized()
    return Scope(system=True, roles=sorted(implied_roles(roles)))


def find_project(named: Any) -> Project | None:
    """Return the project that is named by id, or by name and domain."""
    projects = Project.objects.select_related("domain")
    if member(named, "id") is not None:
        return projects.filter(pk=text(named["id"], "project.id")).first()
    name = text(member(named, "name"), "project.name")
    return projects.filter(name=name, **in_domain(member(named, "domain"))).first()


def project_scope(project: Project | None, proof: Proof) -> Scope:
    """Return a project as a scope. Raises KeystoneError for a user without a role there."""
    if project is None or not project.enabled or not project.domain.enabled:
        raise unauthorized()
    if proof.project is not None and proof.project.pk != project.pk:
        raise unauthorized()
    roles = implied_roles(
        Membership.objects.filter(user=proof.user, project=project).values_list("role", flat=True)
    )
    if proof.credential is not None:
        roles &= implied_roles(proof.credential.roles)
    if not roles:
        raise unauthorized()
    return Scope(project, roles=sorted(roles))
