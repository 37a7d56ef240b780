"""A real Keystone, with a few projects and people."""

from __future__ import annotations

import getpass
import grp
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keystoneauth1.identity import v3
from keystoneauth1.session import Session

from tests.openstack.service import Service

CONFIGURATION = """
[DEFAULT]
log_file = {folder}/keystone.log
[database]
connection = sqlite:///{folder}/keystone.db
[token]
provider = fernet
[fernet_tokens]
key_repository = {folder}/fernet
[fernet_receipts]
key_repository = {folder}/fernet
[credential]
key_repository = {folder}/credential
[identity]
password_hash_rounds = 4
[cache]
enabled = true
backend = dogpile.cache.memory
[oslo_messaging_notifications]
driver = noop
"""
ADMIN = "admin"
GANTRY = "http://testserver/v2.1"
SERVICE_USERS = {"gantry": ["admin", "service"], "glance": ["service"], "nova": ["service"]}
PEOPLE = {
    "alice": ("demo", "member"),
    "mandy": ("demo", "manager"),
    "rita": ("demo", "reader"),
    "oscar": ("other", "member"),
    "jürgen": ("Bücher & mehr", "member"),
}


def password(name: str) -> str:
    """Return somebody's password; it is worth nothing anywhere else."""
    return f"{name}'s password"


@dataclass
class Keystone:
    """The service, and what a test does there as its admin."""

    service: Service

    @property
    def url(self) -> str:
        return f"{self.service.url}/v3"

    @property
    def admin(self) -> Session:
        return self.session(ADMIN, ADMIN)

    def session(self, name: str, project: str | None, **scope: Any) -> Session:
        """Return the session of somebody in a project, or with another scope."""
        if project is not None:
            scope |= {"project_name": project, "project_domain_id": "default"}
        return Session(
            v3.Password(self.url, username=name, password=password(name), user_domain_id="default", **scope)
        )

    def token(self, name: str, project: str | None = None, **scope: Any) -> str:
        """Return a new token of somebody, for the project in which they have a role unless something else is said."""
        if project is None and not scope:
            project = PEOPLE[name][0] if name in PEOPLE else ADMIN if name == ADMIN else "service"
        return str(self.session(name, project, **scope).get_token())

    def project_id(self, name: str) -> str:
        return str(self.one("projects", name)["id"])

    def one(self, many: str, name: str, **body: Any) -> dict[str, Any]:
        """Return what has this name; make it where there is none."""
        admin, kind = self.admin, many.removesuffix("s")
        found: list[dict[str, Any]] = admin.get(f"{self.url}/{many}", params={"name": name}).json()[many]
        if found:
            return found[0]
        made: dict[str, Any] = admin.post(f"{self.url}/{many}", json={kind: {"name": name, **body}}).json()
        return dict(made[kind])

    def give(self, user: str, project: str, role: str) -> None:
        """Give a user a role in a project; make what there is not."""
        who = self.one("users", user, password=password(user), domain_id="default")["id"]
        where = self.one("projects", project, domain_id="default")["id"]
        what = self.one("roles", role)["id"]
        self.admin.put(f"{self.url}/projects/{where}/users/{who}/roles/{what}")

    def offer(self, kind: str, url: str, region: str = "RegionOne") -> None:
        """Say in the catalogue where a service is."""
        self.admin.post(f"{self.url}/regions", json={"region": {"id": region}}, raise_exc=False)  # 409: known
        service = self.one("services", kind, type=kind)["id"]
        where = {"service_id": service, "interface": "public", "region_id": region, "url": url}
        self.admin.post(f"{self.url}/endpoints", json={"endpoint": where})

    def revoke(self, token: str) -> None:
        """Revoke somebody's token."""
        self.admin.delete(f"{self.url}/auth/tokens", headers={"X-Subject-Token": token})

    def revoke_all(self, user: str) -> None:
        """Revoke all tokens of a user: their password is set once more."""
        who = self.one("users", user)["id"]
        self.admin.patch(f"{self.url}/users/{who}", json={"user": {"password": password(user)}})
        time.sleep(1.1)  # what is issued within the same second counts as older


def started(folder: Path) -> Keystone:
    """Return a new Keystone, with its people."""
    service = Service("keystone", folder)
    for name in ("fernet", "credential"):
        (folder / name).mkdir(mode=0o700)
    (folder / "keystone.conf").write_text(CONFIGURATION.format(folder=folder))
    owner = ["--keystone-user", getpass.getuser(), "--keystone-group", grp.getgrgid(os.getgid()).gr_name]
    service.manage("db_sync")
    service.manage("fernet_setup", *owner)
    service.manage("credential_setup", *owner)
    urls = [f"--bootstrap-{kind}-url={service.url}/v3" for kind in ("admin", "internal", "public")]
    service.manage(
        "bootstrap", "--bootstrap-password", password(ADMIN), "--bootstrap-region-id", "RegionOne", *urls
    )
    service.start()
    keystone = Keystone(service)
    keystone.offer("compute", GANTRY)
    for user, roles in SERVICE_USERS.items():
        for role in roles:
            keystone.give(user, "service", role)
    for user, (project, role) in PEOPLE.items():
        keystone.give(user, project, role)
    return keystone
