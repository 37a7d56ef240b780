"""A small world in which every address of the document has something to show."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from servers import clock
from servers.api.identity.bodies import role_id
from servers.microversions import NEWEST, Microversion
from servers.models import Aggregate, ApplicationCredential, AuditRecord, Host, Server, ServerGroup, Worker
from servers.states import MigrationStatus, TaskState
from tests.conftest import Caller
from tests.factories import make_action, make_event, make_flavor, make_image, make_migration
from tests.small_fleet import SmallFleet

NAMED = re.compile(r"(\w[\w-]*)/{(\w+)}")
UUIDS = Microversion.parse("2.53")
"""Since when services and hypervisors are named by UUID."""
JUDGED = {
    "at": "2026-01-02T03:04:05+00:00",
    "by": {"id": "admin", "name": "admin"},
    "door": "rest",
    "verdict": "look_again",
    "reason": "the switch is mended",
    "dead_hosts": ["node9"],
}


@dataclass
class Stage:
    """Rows, somebody who may see them all, and what stands in an address behind each word."""

    admin: Caller
    server: Server
    """It has a live migration that is going on."""
    idle: Server
    ids: dict[str, Any] = field(default_factory=dict)

    def names(self, template: str, version: Microversion = NEWEST) -> dict[str, str]:
        """Return what exists for each name in an address of the document."""
        known = {**self.ids, **(self.ids["numbers"] if version < UUIDS else {})}
        return {name: str(known.get(name, known.get(word))) for word, name in NAMED.findall(template)}

    def address(self, template: str, version: Microversion = NEWEST) -> str:
        """Return an address of the document with ids that exist."""
        return template.format_map(self.names(template, version))


def build() -> Stage:
    """Return the stage."""
    fleet = SmallFleet(hosts=2)
    flavor = make_flavor(extra_specs={"hw:cpu_policy": "shared"}, description="small", is_public=True)
    group = ServerGroup.objects.create(
        name="apart", project_id=fleet.project.pk, user_id="owner", policy="anti-affinity"
    )
    server = fleet.add_server(flavor=flavor, image_ref="70a599e0", tags=["a"], group=group)
    broken = fleet.add_server(
        "broken", vm_state="error", fault_at=server.created_at, fault_message="No valid host"
    )
    idle = fleet.add_server("idle")
    migration = make_migration(server, memory_total_bytes=2**30)
    make_migration(server, migration_type="migration", status=MigrationStatus.ERROR)
    Server.objects.filter(pk=server.pk).update(task_state=TaskState.MIGRATING)
    action = make_action(server)
    make_event(action, "cold_migrate", result="Error", details="No room", traceback="…")
    make_event(action, "compute_prep_resize", finished_at=None, result="")
    make_action(server, "createBackup", message="Error", status="failed")
    stuck = make_action(
        broken, "migrate", status="unknown", stalled_at=server.created_at, judgements=[JUDGED]
    )
    Worker.objects.create(name="node1-0123", processes=4)
    lease = {"worker": "node1-0123-4567:1", "lease_until": clock.now() + timedelta(minutes=1)}
    make_action(server, status="running", exclusive=False, started_at=clock.now(), **lease)
    image = make_image(fleet.project, instance_uuid=server.uuid, properties={"instance_owner": "x"})
    make_image(fleet.project, status="saving", size_bytes=None, properties={"os": "linux"})
    aggregate = Aggregate.objects.create(name="ssd", availability_zone="nova")
    host = Host.objects.get(name="node1")
    host.aggregates.add(aggregate)
    admin = Caller(fleet.project, "admin")
    credential = ApplicationCredential(
        name="script", user=admin.user, project=fleet.project, roles=["member"]
    )
    credential.set_secret("secret")
    credential.save()
    ids = {
        "servers": server.pk,
        "migrations": migration.pk,
        "os-instance-actions": action.request_id,
        "actions": stuck.pk,
        "os-services": host.service_uuid,
        "os-hypervisors": host.uuid,
        "pattern": "node",
        "os-aggregates": aggregate.pk,
        "os-hosts": host.name,
        "flavors": flavor.flavorid,
        "images": image.pk,
        "versions": "v2.1",
        "audit": AuditRecord.objects.first().pk,  # type: ignore[union-attr]
        "users": admin.user.pk,
        "projects": fleet.project.pk,
        "domains": fleet.project.domain_id,
        "roles": role_id("admin"),
        "application_credentials": credential.pk,
        "schemas": "image",
        "numbers": {"os-services": "disable", "os-hypervisors": host.pk},
    }
    return Stage(admin, server, idle, ids)
