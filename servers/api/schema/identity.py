"""The resources of the identity door."""

from __future__ import annotations

from collections.abc import Mapping

from django.views import View

from servers.api.identity import credentials, directory, discovery, tokens
from servers.api.identity.bodies import PAGES, PROJECT, ROLE, SELF, SERVICE, TOKEN
from servers.api.resources import TEXT, Field, Resource, Schema
from servers.api.schema.operation import Operation, Reply, shows, wrapped

SUBJECT: Mapping[str, Schema] = {"X-Subject-Token": {**TEXT, "description": "the token in question"}}
NO_CATALOG: Mapping[str, Schema] = {"nocatalog": {"description": "leave the catalog out", **TEXT}}
ABOUT = "It is told to its owner, and to an admin."


def lists(
    summary: str, key: str, shape: Resource, query: Mapping[str, Schema], links: Resource = PAGES
) -> Operation:
    """Return the operation that shows a list."""
    return Operation(
        summary, (Reply(200, wrapped(key, shape, Field("links", links), many=True)),), query=query
    )


def collection(view: type[directory.Collection]) -> Operation:
    """Return the operation that lists a collection."""
    return lists(f"List {view.many}", view.many, view.resource, dict.fromkeys(view.filters, TEXT))


def one_of(view: type[directory.Collection]) -> Operation:
    """Return the operation that shows one thing of a collection."""
    return shows(f"Show a {view.one}", view.one, view.resource)


OPERATIONS: dict[tuple[type[View], str], Operation] = {
    (discovery.Versions, "get"): Operation(
        "List the versions of the identity service",
        (Reply(300, wrapped("versions", discovery.VERSION_LIST), headers=("Location",)),),
        public=True,
    ),
    (discovery.Version, "get"): Operation(
        "Show the version of the identity service",
        (Reply(200, wrapped("version", discovery.VERSION)),),
        public=True,
    ),
    (tokens.Tokens, "post"): Operation(
        "Log in",
        (Reply(201, wrapped("token", TOKEN), headers=("X-Subject-Token",)),),
        "With a password, another token, or an application credential. Failures are counted; after too many of a name "
        "from an address, from an address, or in all, a login is refused unchecked until Retry-After.",
        query=NO_CATALOG,
        refusals=(401, 429),
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
        (Reply(200, tokens.SYSTEM),),
    ),
    (directory.Projects, "get"): collection(directory.Projects),
    (directory.Users, "get"): collection(directory.Users),
    (directory.Domains, "get"): collection(directory.Domains),
    (directory.Roles, "get"): lists("List roles", "roles", ROLE, {"name": TEXT}),
    (directory.RoleAssignments, "get"): lists(
        "List who has which role where",
        "role_assignments",
        directory.assignments(with_names=True),
        dict.fromkeys(
            ("user.id", "scope.project.id", "scope.system", "group.id", "role.id", "include_names"), TEXT
        ),
    ),
    (credentials.Credentials, "get"): lists(
        "List a user's application credentials",
        "application_credentials",
        credentials.CREDENTIAL,
        {"name": TEXT},
        SELF,
    ),
    (credentials.Credentials, "post"): Operation(
        "Make an application credential",
        (Reply(201, wrapped("application_credential", credentials.with_secret())),),
        "The secret is shown this once.",
        refusals=(409,),
        examples={
            "for a script": {"application_credential": {"name": "nightly", "roles": [{"name": "member"}]}}
        },
    ),
    (credentials.OneCredential, "get"): shows(
        "Show an application credential", "application_credential", credentials.CREDENTIAL
    ),
    (credentials.OneCredential, "delete"): Operation("Delete an application credential", (Reply(204),)),
}

ONE: dict[tuple[type[View], str], Operation] = {
    (directory.Projects, "get"): one_of(directory.Projects),
    (directory.Users, "get"): one_of(directory.Users),
    (directory.Domains, "get"): one_of(directory.Domains),
    (directory.Roles, "get"): shows("Show a role", "role", ROLE),
}
"""What views of two addresses do at the one that ends with an id."""

REFUSALS = (400, 401, 403, 404, 503)
