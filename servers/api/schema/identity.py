"""The resources of the identity door."""

from __future__ import annotations

from collections.abc import Mapping

from django.views import View

from servers.api.identity import credentials, directory, discovery, tokens
from servers.api.identity.login import METHODS
from servers.api.resources import (
    FLAG,
    NULL,
    OBJECT,
    TEXT,
    TEXT_OR_NULL,
    TEXTS,
    TIME,
    TIME_OR_NULL,
    Field,
    Resource,
    Schema,
    fields,
    list_of,
)
from servers.api.schema.operation import Operation, Reply, shows, wrapped

SELF = Resource("SelfLink", (Field("self", TEXT),))
PAGES = Resource("PageLinks", (Field("self", TEXT), *fields("next previous", TEXT_OR_NULL)))
NAMED = Resource("Named", fields("id name", TEXT))
NAMED_IN_DOMAIN = Resource("NamedInDomain", (*NAMED.fields, Field("domain", NAMED)))

PROJECT = Resource(
    "Project",
    (
        *fields("id name domain_id parent_id", TEXT),
        Field("description", TEXT),
        *fields("enabled is_domain", FLAG),
        Field("tags", list_of(TEXT)),
        Field("options", OBJECT),
        Field("links", SELF),
    ),
)
USER = Resource(
    "User",
    (
        *fields("id name domain_id", TEXT),
        *fields("email default_project_id password_expires_at", TEXT_OR_NULL),
        Field("enabled", FLAG),
        Field("options", OBJECT),
        Field("links", SELF),
    ),
)
DOMAIN = Resource(
    "Domain",
    (
        *fields("id name description", TEXT),
        Field("enabled", FLAG),
        Field("tags", list_of(TEXT)),
        Field("options", OBJECT),
        Field("links", SELF),
    ),
)
ROLE = Resource(
    "Role",
    (
        *fields("id name", TEXT),
        *fields("domain_id description", NULL),
        Field("options", OBJECT),
        Field("links", SELF),
    ),
)
MAYBE_NAMED = Resource("MaybeNamed", (Field("id", TEXT), Field("name", TEXT, optional=True)))
MAYBE_IN_DOMAIN = Resource("MaybeInDomain", (*MAYBE_NAMED.fields, Field("domain", NAMED, optional=True)))
SCOPE = Resource(
    "AssignmentScope",
    (Field("project", MAYBE_IN_DOMAIN, optional=True), Field("system", OBJECT, optional=True)),
)
ASSIGNMENT = Resource(
    "RoleAssignment",
    (
        Field("role", MAYBE_NAMED),
        Field("user", MAYBE_IN_DOMAIN),
        Field("scope", SCOPE),
        Field("links", OBJECT),
    ),
)
CREDENTIAL_FIELDS = (
    *fields("id name project_id", TEXT),
    Field("description", TEXT),
    Field("roles", NAMED, many=True),
    Field("expires_at", TIME_OR_NULL),
    Field("unrestricted", {"const": False}),
    Field("links", SELF),
)
CREDENTIAL = Resource("ApplicationCredential", CREDENTIAL_FIELDS)
NEW_CREDENTIAL = Resource("NewApplicationCredential", (*CREDENTIAL_FIELDS, Field("secret", TEXT)))

ENDPOINT = Resource("Endpoint", fields("id interface region region_id url", TEXT))
SERVICE = Resource("CatalogEntry", (*fields("type name id", TEXT), Field("endpoints", ENDPOINT, many=True)))
TOKEN_USER = Resource(
    "TokenUser", (*NAMED.fields, Field("domain", NAMED), Field("password_expires_at", NULL))
)
TOKEN_CREDENTIAL = Resource("TokenApplicationCredential", (*NAMED.fields, Field("restricted", FLAG)))
TOKEN = Resource(
    "Token",
    (
        Field("methods", list_of(TEXT)),
        Field("user", TOKEN_USER),
        Field("audit_ids", list_of(TEXT)),
        *fields("issued_at expires_at", TIME),
        Field("project", NAMED_IN_DOMAIN, optional=True),
        Field("is_domain", FLAG, optional=True),
        Field("system", OBJECT, optional=True),
        Field("roles", NAMED, optional=True, many=True),
        Field("catalog", SERVICE, optional=True, many=True),
        Field("application_credential", TOKEN_CREDENTIAL, optional=True),
    ),
)
VERSION = Resource(
    "IdentityVersion",
    (
        *fields("id status updated", TEXT),
        Field("links", list_of(TEXTS)),
        Field("media-types", list_of(TEXTS)),
    ),
)
VERSION_LIST = Resource("IdentityVersions", (Field("values", VERSION, many=True),))

# ------------------------------------------------------------------------------------ what is asked

NAME_IN_DOMAIN: Schema = {
    "type": "object",
    "description": "an id, or a name and its domain's id or name",
    "properties": {
        "id": TEXT,
        "name": TEXT,
        "domain": {"type": "object", "properties": {"id": TEXT, "name": TEXT}},
    },
    "anyOf": [{"required": ["id"]}, {"required": ["name", "domain"]}],
}
PROOFS: Mapping[str, Schema] = {
    "password": {
        "type": "object",
        "properties": {
            "user": {
                **NAME_IN_DOMAIN,
                "properties": {**NAME_IN_DOMAIN["properties"], "password": TEXT},
                "required": ["password"],
            }
        },
        "required": ["user"],
    },
    "token": {"type": "object", "properties": {"id": TEXT}, "required": ["id"]},
    "application_credential": {
        "type": "object",
        "properties": {"id": TEXT, "name": TEXT, "user": NAME_IN_DOMAIN, "secret": TEXT},
        "required": ["secret"],
        "anyOf": [{"required": ["id"]}, {"required": ["name", "user"]}],
    },
}
LOGIN: Schema = {
    "type": "object",
    "properties": {
        "auth": {
            "type": "object",
            "properties": {
                "identity": {
                    "type": "object",
                    "properties": {
                        "methods": {
                            "type": "array",
                            "items": {"enum": list(METHODS)},
                            "minItems": 1,
                            "maxItems": 1,
                        },
                        **PROOFS,
                    },
                    "required": ["methods"],
                },
                "scope": {
                    "anyOf": [
                        {
                            "type": "object",
                            "properties": {"project": NAME_IN_DOMAIN},
                            "required": ["project"],
                        },
                        {
                            "type": "object",
                            "properties": {"system": {"const": {"all": True}}},
                            "required": ["system"],
                        },
                        {"const": "unscoped"},
                    ]
                },
            },
            "required": ["identity"],
        }
    },
    "required": ["auth"],
}
CREDENTIAL_REQUEST: Schema = {
    "type": "object",
    "properties": {
        "application_credential": {
            "type": "object",
            "properties": {
                "name": {"type": "string", "minLength": 1, "maxLength": 255},
                "description": TEXT_OR_NULL,
                "secret": TEXT_OR_NULL,
                "roles": {
                    "type": ["array", "null"],
                    "items": {"type": "object", "properties": {"id": TEXT, "name": TEXT}},
                },
                "expires_at": {"type": ["string", "null"], "format": "date-time"},
                "unrestricted": {"enum": [False, None]},
            },
            "required": ["name"],
        }
    },
    "required": ["application_credential"],
}
SUBJECT: Mapping[str, Schema] = {"X-Subject-Token": {**TEXT, "description": "the token in question"}}
NO_CATALOG: Mapping[str, Schema] = {"nocatalog": {"description": "leave the catalog out", **TEXT}}
ABOUT = "It is told to its owner, and to an admin."

# --------------------------------------------------------------------------------------- operations


def filters(collection: type[directory.Collection]) -> dict[str, Schema]:
    """Return the query of a list."""
    return dict.fromkeys(collection.filters, TEXT)


def lists(
    summary: str, key: str, shape: Resource, query: Mapping[str, Schema], links: Resource = PAGES
) -> Operation:
    """Return the operation that shows a list, or, where the address ends with an id, one thing."""
    return Operation(
        summary, (Reply(200, wrapped(key, shape, Field("links", links), many=True)),), query=query
    )


OPERATIONS: dict[tuple[type[View], str], Operation] = {
    (discovery.Versions, "get"): Operation(
        "List the versions of the identity service",
        (Reply(300, wrapped("versions", VERSION_LIST), headers=("Location",)),),
        public=True,
    ),
    (discovery.Version, "get"): Operation(
        "Show the version of the identity service", (Reply(200, wrapped("version", VERSION)),), public=True
    ),
    (tokens.Tokens, "post"): Operation(
        "Log in",
        (Reply(201, wrapped("token", TOKEN), headers=("X-Subject-Token",)),),
        "With a password, another token, or an application credential. Failures are counted.",
        body=LOGIN,
        query=NO_CATALOG,
        refusals=(401,),
        examples={
            "password": {
                "auth": {
                    "identity": {
                        "methods": ["password"],
                        "password": {"user": {"name": "admin", "domain": {"id": "default"}, "password": "…"}},
                    },
                    "scope": {"project": {"name": "admin", "domain": {"id": "default"}}},
                }
            }
        },
        public=True,
    ),
    (tokens.Tokens, "get"): Operation(
        "Show what a token is good for",
        (Reply(200, wrapped("token", TOKEN), headers=("X-Subject-Token",)),),
        ABOUT,
        query=NO_CATALOG,
        headers=SUBJECT,
    ),
    (tokens.Tokens, "head"): Operation(
        "Ask whether a token is valid", (Reply(200, headers=("X-Subject-Token",)),), ABOUT, headers=SUBJECT
    ),
    (tokens.Tokens, "delete"): Operation("Revoke a token", (Reply(204),), ABOUT, headers=SUBJECT),
    (tokens.OwnProjects, "get"): lists(
        "List the projects that a user may log in to", "projects", PROJECT, {}
    ),
    (tokens.OwnCatalog, "get"): lists("Show where the services are", "catalog", SERVICE, {}, SELF),
    (tokens.OwnSystem, "get"): Operation(
        "Say whether the caller may log in to the system",
        (Reply(200, Resource("OwnSystem", (Field("system", list_of(OBJECT)), Field("links", SELF)))),),
    ),
    (directory.Projects, "get"): lists("List projects", "projects", PROJECT, filters(directory.Projects)),
    (directory.Users, "get"): lists("List users", "users", USER, filters(directory.Users)),
    (directory.Domains, "get"): lists("List domains", "domains", DOMAIN, filters(directory.Domains)),
    (directory.Roles, "get"): lists("List roles", "roles", ROLE, {"name": TEXT}),
    (directory.RoleAssignments, "get"): lists(
        "List who has which role where",
        "role_assignments",
        ASSIGNMENT,
        dict.fromkeys(
            ("user.id", "scope.project.id", "scope.system", "group.id", "role.id", "include_names"), TEXT
        ),
    ),
    (credentials.Credentials, "get"): lists(
        "List a user's application credentials",
        "application_credentials",
        CREDENTIAL,
        {"name": TEXT},
        SELF,
    ),
    (credentials.Credentials, "post"): Operation(
        "Make an application credential",
        (Reply(201, wrapped("application_credential", NEW_CREDENTIAL)),),
        "The secret is shown this once.",
        body=CREDENTIAL_REQUEST,
        refusals=(409,),
        examples={
            "for a script": {"application_credential": {"name": "nightly", "roles": [{"name": "member"}]}}
        },
    ),
    (credentials.OneCredential, "get"): shows(
        "Show an application credential", "application_credential", CREDENTIAL
    ),
    (credentials.OneCredential, "delete"): Operation("Delete an application credential", (Reply(204),)),
}

ONE: dict[tuple[type[View], str], Operation] = {
    (directory.Projects, "get"): shows("Show a project", "project", PROJECT),
    (directory.Users, "get"): shows("Show a user", "user", USER),
    (directory.Domains, "get"): shows("Show a domain", "domain", DOMAIN),
    (directory.Roles, "get"): shows("Show a role", "role", ROLE),
}
"""What views of two addresses do at the one that ends with an id."""

REFUSALS = (400, 401, 403, 404, 413, 503)
