"""Finding users, projects and credentials by what clients call them: an id, or a name and whose it is."""

from __future__ import annotations

from typing import Any

from servers.api.identity.door import KeystoneError, member, text
from servers.models import ApplicationCredential, Project, User


def find_user(who: Any) -> User | None:
    """Return the user that is named by id, or by name and domain. Raises KeystoneError where nobody is named."""
    users = User.objects.select_related("domain", "default_project__domain")
    if member(who, "id") is not None:
        return users.filter(pk=text(who["id"], "user.id")).first()
    if member(who, "name") is None:
        raise KeystoneError(400, "A user needs an id, or a name and a domain.")
    return users.filter(name=text(who["name"], "user.name"), **in_domain(member(who, "domain"))).first()


def find_project(named: Any) -> Project | None:
    """Return the project that is named by id, or by name and domain. Raises KeystoneError where none is named."""
    projects = Project.objects.select_related("domain")
    if member(named, "id") is not None:
        return projects.filter(pk=text(named["id"], "project.id")).first()
    name = text(member(named, "name"), "project.name")
    return projects.filter(name=name, **in_domain(member(named, "domain"))).first()


def find_credential(given: dict[str, Any]) -> ApplicationCredential | None:
    """Return the credential that is named by id, or by name and user. Raises KeystoneError where none is named."""
    credentials = ApplicationCredential.objects.select_related("user__domain", "project__domain")
    if given.get("id") is not None:
        return credentials.filter(pk=text(given["id"], "application_credential.id")).first()
    user = find_user(member(given, "user"))
    name = text(given.get("name"), "application_credential.name")
    return credentials.filter(user=user, name=name).first() if user else None


def in_domain(domain: Any) -> dict[str, str]:
    """Return the filter for a domain that is named by id or name. Raises KeystoneError where it is not."""
    if member(domain, "id") is not None:
        return {"domain_id": text(domain["id"], "domain.id")}
    if member(domain, "name") is not None:
        return {"domain__name": text(domain["name"], "domain.name")}
    raise KeystoneError(400, "A name needs a domain with an id or a name.")
