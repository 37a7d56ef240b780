"""Finding users, projects and credentials by what clients call them: an id, or a name and whose it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from servers.api.resources import Schema, an_object
from servers.api.validation import bounded_text
from servers.models import ApplicationCredential, Project, User

LIMITED_TEXT = bounded_text(4096)
"""Any text of a request: longer than a secret or a name ever is."""
NAME = bounded_text(4096, shortest=1)
DOMAIN = an_object(
    {},
    {"id": NAME, "name": NAME},
    description="an object with the id or the name of a domain",
    anyOf=[{"required": ["id"]}, {"required": ["name"]}],
)
NAMES: Mapping[str, Schema] = {"id": NAME, "name": NAME, "domain": DOMAIN}
NAMED: Mapping[str, Any] = {
    "description": "an object with an id, or with a name and its domain",
    "anyOf": [{"required": ["id"]}, {"required": ["name", "domain"]}],
}
NAME_IN_DOMAIN = an_object({}, NAMES, **NAMED)


def find_user(named: dict[str, Any]) -> User | None:
    """Return the user that is named as NAME_IN_DOMAIN says, or None."""
    users = User.objects.select_related("domain", "default_project__domain")
    return users.filter(**called(named)).first()


def find_project(named: dict[str, Any]) -> Project | None:
    """Return the project that is named as NAME_IN_DOMAIN says, or None."""
    return Project.objects.select_related("domain").filter(**called(named)).first()


def find_credential(given: dict[str, Any]) -> ApplicationCredential | None:
    """Return the credential that is named by id, or by name and user, or None."""
    credentials = ApplicationCredential.objects.select_related("user__domain", "project__domain")
    if "id" in given:
        return credentials.filter(pk=given["id"]).first()
    user = find_user(given["user"])
    return credentials.filter(user=user, name=given["name"]).first() if user else None


def called(named: dict[str, Any]) -> dict[str, str]:
    """Return the filter for what is named as NAME_IN_DOMAIN says; an id comes before a name."""
    if "id" in named:
        return {"pk": named["id"]}
    domain = named["domain"]
    owner = {"domain_id": domain["id"]} if "id" in domain else {"domain__name": domain["name"]}
    return {"name": named["name"], **owner}
