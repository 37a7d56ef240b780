"""Tokens, users and projects as Keystone's clients see them: a table each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from django.conf import settings

from servers.api.resources import (
    FLAG,
    NULL,
    OBJECT,
    TEXT,
    TEXT_OR_NULL,
    TIME,
    Bodies,
    Body,
    Field,
    Resource,
    fields,
    fixed,
    itself,
    list_of,
)
from servers.models import MembershipRole, Token

REGION = "RegionOne"
ROLES = [role.value for role in MembershipRole]


def stable_id(*parts: str) -> str:
    """Return an identifier that is the same at every start."""
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:32]


def role_id(role: str) -> str:
    """Return the id of a role."""
    return stable_id("role", role)


def time(moment: datetime | None) -> str | None:
    """Return a time in Keystone's form."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if moment else None


# -------------------------------------------------------------------------------------------- links


def address(*path: str) -> str:
    """Return the address of a resource."""
    return "/".join([settings.PUBLIC_URL, "identity/v3", *path])


SELF = Resource("SelfLink", (Field("self", TEXT, itself),))
"""The links of what has this address."""
PAGES = Resource("PageLinks", (*SELF.fields, *fields("next previous", TEXT_OR_NULL, fixed(None))))
"""The links of a list with this address, which has but one page."""


def listed(key: str, row: Resource, things: Iterable[Any], *path: str, links: Resource = PAGES) -> Body:
    """Return the body of a list: each thing as `row` says, and the links of the list's own address."""
    make = Bodies(row)
    return {key: [make(thing) for thing in things], "links": Bodies(links)(address(*path))}


# ------------------------------------------------------------------------------- projects and people

NAMED = Resource("Named", fields("id name", TEXT))
NAMED_IN_DOMAIN = Resource("NamedInDomain", (*NAMED.fields, Field("domain", NAMED, "domain")))
NAMED_ROLE = Resource("Named", (Field("id", TEXT, role_id), Field("name", TEXT, itself)))
NO_TAGS = Field("tags", list_of(TEXT), fixed([]))
NO_OPTIONS = Field("options", OBJECT, fixed({}))

PROJECT = Resource(
    "Project",
    (
        *fields("id name domain_id", TEXT),
        Field("parent_id", TEXT, "domain_id"),
        *fields("description", TEXT),
        *fields("enabled", FLAG),
        Field("is_domain", FLAG, fixed(False)),
        NO_TAGS,
        NO_OPTIONS,
        Field("links", SELF, lambda project: address("projects", project.pk)),
    ),
)
USER = Resource(
    "User",
    (
        *fields("id name domain_id", TEXT),
        Field("email", TEXT_OR_NULL, lambda user: user.email or None),
        *fields("default_project_id", TEXT_OR_NULL),
        Field("password_expires_at", TEXT_OR_NULL, fixed(None)),
        Field("enabled", FLAG, "is_active"),
        NO_OPTIONS,
        Field("links", SELF, lambda user: address("users", user.pk)),
    ),
)
DOMAIN = Resource(
    "Domain",
    (
        *fields("id name", TEXT),
        Field("description", TEXT, fixed("")),
        *fields("enabled", FLAG),
        NO_TAGS,
        NO_OPTIONS,
        Field("links", SELF, lambda domain: address("domains", domain.pk)),
    ),
)
ROLE = Resource(
    "Role",
    (
        *NAMED_ROLE.fields,
        *fields("domain_id description", NULL, fixed(None)),
        NO_OPTIONS,
        Field("links", SELF, lambda role: address("roles", role_id(role))),
    ),
)
"""A role is its name."""

# ------------------------------------------------------------------------------------------ catalog


class Service(NamedTuple):
    """A service, and the path of its address."""

    type: str
    name: str
    path: str


class Endpoint(NamedTuple):
    """A service, as it is reached by some of its clients."""

    service: Service
    interface: str


SERVICES = (
    Service("identity", "keystone", "/identity"),
    Service("compute", "nova", "/v2.1"),
    Service("image", "glance", "/image"),
)
ENDPOINT = Resource(
    "Endpoint",
    (
        Field("id", TEXT, lambda endpoint: stable_id("endpoint", endpoint.service.type, endpoint.interface)),
        *fields("interface", TEXT),
        *fields("region region_id", TEXT, fixed(REGION)),
        Field("url", TEXT, lambda endpoint: f"{settings.PUBLIC_URL}{endpoint.service.path}"),
    ),
)
SERVICE = Resource(
    "CatalogEntry",
    (
        *fields("type name", TEXT),
        Field("id", TEXT, lambda service: stable_id("service", service.type)),
        Field(
            "endpoints",
            ENDPOINT,
            lambda service: [Endpoint(service, interface) for interface in ("public", "internal", "admin")],
            many=True,
        ),
    ),
)

# ------------------------------------------------------------------------------------------- tokens


def is_scoped(token: Token) -> bool:
    """Return whether a token is good for a project or the system."""
    return not token.is_unscoped


TOKEN_USER = Resource("TokenUser", (*NAMED_IN_DOMAIN.fields, Field("password_expires_at", NULL, fixed(None))))
TOKEN_CREDENTIAL = Resource(
    "TokenApplicationCredential", (*NAMED.fields, Field("restricted", FLAG, fixed(True)))
)
TOKEN = Resource(
    "Token",
    (
        Field("methods", list_of(TEXT), lambda token: list(dict.fromkeys(token.methods))),
        Field("user", TOKEN_USER, "user"),
        Field("audit_ids", list_of(TEXT), lambda token: [token.audit_id]),
        Field("issued_at", TIME, lambda token: time(token.issued_at)),
        Field("expires_at", TIME, lambda token: time(token.expires_at)),
        Field("project", NAMED_IN_DOMAIN, "project", when=lambda token: token.project),
        Field("is_domain", FLAG, fixed(False), when=lambda token: token.project),
        Field("system", OBJECT, fixed({"all": True}), when=lambda token: token.system_scope),
        Field("roles", NAMED_ROLE, "roles", when=is_scoped, many=True),
        Field("catalog", SERVICE, fixed(SERVICES), when=is_scoped, many=True),
        Field(
            "application_credential",
            TOKEN_CREDENTIAL,
            "application_credential",
            when=lambda token: token.application_credential,
        ),
    ),
)
"""What a token says; never the token itself."""
