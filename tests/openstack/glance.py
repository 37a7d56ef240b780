"""A real Glance that keeps its images in a folder."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keystoneauth1.session import Session

from tests.openstack.installing import environment
from tests.openstack.keystone import Keystone, password
from tests.openstack.service import Service

PATIENCE_S = 30.0

CONFIGURATION = """
[DEFAULT]
log_file = {folder}/glance.log
enabled_backends = files:file
enabled_import_methods = []
public_endpoint = {url}
[database]
connection = sqlite:///{folder}/glance.db
[glance_store]
default_backend = files
[files]
filesystem_store_datadir = {folder}/images
[os_glance_staging_store]
filesystem_store_datadir = {folder}/staging
[os_glance_tasks_store]
filesystem_store_datadir = {folder}/tasks
[oslo_concurrency]
lock_path = {folder}/locks
[oslo_messaging_notifications]
driver = noop
[paste_deploy]
config_file = {folder}/paste.ini
flavor = keystone
[keystone_authtoken]
auth_type = password
auth_url = {keystone}
www_authenticate_uri = {keystone}
username = glance
password = {password}
project_name = service
user_domain_id = default
project_domain_id = default
token_cache_time = -1
"""


@dataclass
class Glance:
    """The service, and what a test asks it."""

    service: Service

    @property
    def url(self) -> str:
        return self.service.url

    def show(self, who: Session, image: object) -> dict[str, Any] | None:
        """Return an image as somebody sees it, None where they do not."""
        answer = who.get(f"{self.url}/v2/images/{image}", raise_exc=False)
        return dict(answer.json()) if answer.status_code == 200 else None

    def listed(self, who: Session, **filters: str) -> list[dict[str, Any]]:
        """Return the images that somebody sees."""
        return list(who.get(f"{self.url}/v2/images", params=filters).json()["images"])

    def change(self, who: Session, image: object, name: str, value: object) -> None:
        """Change an image as somebody may."""
        media_type = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
        change = [{"op": "replace", "path": f"/{name}", "value": value}]
        who.patch(f"{self.url}/v2/images/{image}", json=change, headers=media_type)

    def wait_until(self, image: object, status: str, who: Session) -> None:
        """Wait until an image has this status. Raises TimeoutError."""
        limit = time.monotonic() + PATIENCE_S
        while (self.show(who, image) or {}).get("status") != status:
            if time.monotonic() > limit:
                raise TimeoutError(f"image {image} is not {status} after {PATIENCE_S:g} s")
            time.sleep(0.05)

    def files(self) -> set[str]:
        """Return the names of the files that Glance keeps; each is an image's id."""
        return {path.name for path in (self.service.folder / "images").iterdir()}


def started(folder: Path, keystone: Keystone) -> Glance:
    """Return a new Glance that asks this Keystone."""
    service = Service("glance", folder)
    for name in ("images", "staging", "tasks", "locks"):
        (folder / name).mkdir()
    shutil.copy(environment("glance") / "etc" / "glance" / "glance-api-paste.ini", folder / "paste.ini")
    text = CONFIGURATION.format(
        folder=folder, url=service.url, keystone=keystone.url, password=password("glance")
    )
    (folder / "glance-api.conf").write_text(text)
    service.manage("db_sync")
    service.start()
    return Glance(service)
