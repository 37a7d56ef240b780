"""The first account: the admin, in a project of the same name, and what a client needs to log in as him."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from servers.management.private_files import kept_password, write_private
from servers.models import Domain, Membership, MembershipRole, Project, User

ADMIN = "admin"
DEFAULT_DOMAIN = "default"


@dataclass(frozen=True)
class Admin:
    """The admin's account. `password` is empty when it is no longer the one that is kept."""

    user: User
    project: Project
    password: str


def password_file() -> Path:
    """Return where the admin's password is kept."""
    return Path(settings.DATA_DIR) / "admin_password"


def ensure_admin() -> Admin:
    """Return the admin's account; make it at the first start. ADMIN_PASSWORD changes the password.

    Raises CommandError for an ADMIN_PASSWORD that nobody may set.
    """
    domain, _ = Domain.objects.get_or_create(id=DEFAULT_DOMAIN, defaults={"name": "Default"})
    project, _ = Project.objects.get_or_create(name=ADMIN, domain=domain)
    if settings.ADMIN_PASSWORD:
        require_good(settings.ADMIN_PASSWORD)
    password = kept_password(password_file(), settings.ADMIN_PASSWORD)
    user = User.objects.filter(name=ADMIN).first()
    if user is None:
        user = User.objects.create_superuser(ADMIN, password, default_project=project)
        Membership.objects.create(user=user, project=project, role=MembershipRole.ADMIN)
    elif not user.check_password(password):
        if not settings.ADMIN_PASSWORD:
            return Admin(user, project, "")
        user.set_password(password)
        user.save(update_fields=["password"])
    return Admin(user, project, password)


def require_good(password: str) -> None:
    """Do nothing for an ADMIN_PASSWORD that anybody could set in the console. Raises CommandError."""
    try:
        validate_password(password, User(name=ADMIN))
    except ValidationError as error:
        raise CommandError(f"ADMIN_PASSWORD: {' '.join(error.messages)}") from error


def write_openrc(admin: Admin, auth_url: str) -> Path:
    """Write what the openstack client reads from its environment; return where it stands."""
    values = {
        "OS_AUTH_URL": auth_url,
        "OS_IDENTITY_API_VERSION": "3",
        "OS_USERNAME": admin.user.name,
        "OS_PASSWORD": admin.password,
        "OS_PROJECT_NAME": admin.project.name,
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default",
        "OS_REGION_NAME": "RegionOne",
    }
    path = Path(settings.DATA_DIR) / "openrc"
    write_private(path, "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items()))
    return path


def write_login(admin: Admin) -> Path:
    """Write the body of a login as the admin, so that no command line has the password; return where it stands."""
    user = {"name": admin.user.name, "domain": {"id": DEFAULT_DOMAIN}, "password": admin.password}
    login = {
        "auth": {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": {"name": admin.project.name, "domain": {"id": DEFAULT_DOMAIN}}},
        }
    }
    path = Path(settings.DATA_DIR) / "login.json"
    write_private(path, json.dumps(login))
    return path
