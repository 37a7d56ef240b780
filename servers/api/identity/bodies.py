"""Tokens, users and projects as Keystone's clients see them."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from django.conf import settings

from servers.models import ApplicationCredential, Domain, MembershipRole, Project, Token, User

REGION = "RegionOne"
SERVICES = (
    ("identity", "keystone", "/identity"),
    ("compute", "nova", "/v2.1"),
    ("image", "glance", "/image"),
)


def stable_id(*parts: str) -> str:
    """Return an identifier that is the same at every start."""
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:32]


def time(moment: datetime | None) -> str | None:
    """Return a time in Keystone's form."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if moment else None


def link(*path: str) -> dict[str, str]:
    """Return the link to a resource."""
    return {"self": "/".join([settings.PUBLIC_URL, "identity/v3", *path])}


def catalog() -> list[dict[str, Any]]:
    """Return where each service is."""
    return [
        {
            "type": kind,
            "name": name,
            "id": stable_id("service", kind),
            "endpoints": [
                {
                    "id": stable_id("endpoint", kind, interface),
                    "interface": interface,
                    "region": REGION,
                    "region_id": REGION,
                    "url": f"{settings.PUBLIC_URL}{path}",
                }
                for interface in ("public", "internal", "admin")
            ],
        }
        for kind, name, path in SERVICES
    ]


def domain_of(domain: Domain) -> dict[str, str]:
    """Return a domain as it stands in other bodies."""
    return {"id": domain.pk, "name": domain.name}


def role_id(role: str) -> str:
    """Return the id of a role."""
    return stable_id("role", role)


def role_body(role: str) -> dict[str, Any]:
    """Return a role."""
    return {
        "id": role_id(role),
        "name": role,
        "domain_id": None,
        "description": None,
        "options": {},
        "links": link("roles", role_id(role)),
    }


ROLES = [role.value for role in MembershipRole]


def token_body(token: Token, *, with_catalog: bool) -> dict[str, Any]:
    """Return what a token says; never the token itself."""
    user = token.user
    body: dict[str, Any] = {
        "methods": list(dict.fromkeys(token.methods)),
        "user": {
            "id": user.pk,
            "name": user.name,
            "domain": domain_of(user.domain),
            "password_expires_at": None,
        },
        "audit_ids": [token.audit_id],
        "issued_at": time(token.issued_at),
        "expires_at": time(token.expires_at),
    }
    if token.project is not None:
        project = token.project
        body["project"] = {"id": project.pk, "name": project.name, "domain": domain_of(project.domain)}
        body["is_domain"] = False
    if token.system_scope:
        body["system"] = {"all": True}
    if token.project is not None or token.system_scope:
        body["roles"] = [{"id": role_id(role), "name": role} for role in token.roles]
        if with_catalog:
            body["catalog"] = catalog()
    if token.application_credential is not None:
        credential = token.application_credential
        body["application_credential"] = {
            "id": credential.pk,
            "name": credential.name,
            "restricted": True,
        }
    return body


def project_body(project: Project) -> dict[str, Any]:
    """Return a project."""
    return {
        "id": project.pk,
        "name": project.name,
        "domain_id": project.domain_id,
        "parent_id": project.domain_id,
        "description": project.description,
        "enabled": project.enabled,
        "is_domain": False,
        "tags": [],
        "options": {},
        "links": link("projects", project.pk),
    }


def user_body(user: User) -> dict[str, Any]:
    """Return a user."""
    return {
        "id": user.pk,
        "name": user.name,
        "domain_id": user.domain_id,
        "email": user.email or None,
        "default_project_id": user.default_project_id,
        "enabled": user.is_active,
        "password_expires_at": None,
        "options": {},
        "links": link("users", user.pk),
    }


def domain_body(domain: Domain) -> dict[str, Any]:
    """Return a domain."""
    return {
        "id": domain.pk,
        "name": domain.name,
        "description": "",
        "enabled": domain.enabled,
        "tags": [],
        "options": {},
        "links": link("domains", domain.pk),
    }


def credential_body(credential: ApplicationCredential) -> dict[str, Any]:
    """Return an application credential, without its secret."""
    return {
        "id": credential.pk,
        "name": credential.name,
        "description": credential.description,
        "project_id": credential.project_id,
        "roles": [{"id": role_id(role), "name": role} for role in credential.roles],
        "expires_at": time(credential.expires_at),
        "unrestricted": False,
        "links": link("users", credential.user_id, "application_credentials", credential.pk),
    }
