"""Preconditions become rows, and guests of the simulated fleet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings

from servers import clock
from servers.drivers.base import Pool
from servers.drivers.simulated import Fleet
from servers.fleet.drivers import guest_of
from servers.models import (
    ActionEvent,
    ActionRecord,
    Allocation,
    Flavor,
    Host,
    Migration,
    Project,
    Server,
    ServerDisk,
    StoragePool,
    User,
)
from servers.states import PowerState
from tests.factories import make_domain, make_token

PROJECT, OTHER_PROJECT = "6f70656e737461636b20342065766572", "fa4e0000000000000000000000000001"
SERVER, SERVER2 = "c1b5a7a4-97b8-4e22-9d8c-3a0ff4d7a001", "c1b5a7a4-97b8-4e22-9d8c-3a0ff4d7a002"
MISSING = "11111111-2222-4333-8444-555555555555"
GIB = 1024**3
HOSTS = ("host1", "host2", "host3")
SIZE = {"vcpus": 1, "memory_mb": 512, "disk_gb": 1}
SHARED = Pool("shared", "nfs://wire", True, 1028 * GIB, 1028 * GIB)

ROLES = {  # role of the contract: project, roles, user
    "admin": (PROJECT, ["admin", "manager", "member", "reader"], "admin"),
    "admin_other": (OTHER_PROJECT, ["admin", "manager", "member", "reader"], "admin"),
    "manager": (PROJECT, ["manager", "member", "reader"], "manager"),
    "member": (PROJECT, ["member", "reader"], "member"),
    "reader": (PROJECT, ["reader"], "reader"),
    "other": (OTHER_PROJECT, ["manager", "member", "reader"], "other"),
    "norole": (PROJECT, ["unrelated"], "norole"),
}
POLICY_SETTINGS = {
    "migrate_max_retries": "MIGRATE_MAX_RETRIES",
    "max_attempts": "MAX_ATTEMPTS",
    "max_concurrent_live_migrations": "MAX_CONCURRENT_LIVE_MIGRATIONS",
    "RESET_NETWORK_GONE": "RESET_NETWORK_GONE",
}


def storage_for(requests: list[Any]) -> str:
    """Return the storage that suits the requests: the contract names none, and the driver it was measured with
    had none. Disks that are to be copied lie on local storage, all others on a shared one."""
    wanted = [
        body["os-migrateLive"].get("block_migration")
        for body in requests
        if isinstance(body, Mapping) and isinstance(body.get("os-migrateLive"), Mapping)
    ]
    return "local" if any(str(word).lower() in {"true", "1", "on", "yes"} for word in wanted) else "shared"


class World:
    """What a row or a flow starts from, and what its placeholders mean."""

    def __init__(self, given: Mapping[str, Any], requests: list[Any], apply: Any) -> None:
        for name, value in (given.get("settings") or {}).items():
            setattr(apply, POLICY_SETTINGS[name], value)
        self.simulation = Fleet(settings.SIMULATED_FLEET)
        self.known: dict[str, Any] = {
            "server_id": SERVER,
            "server2_id": SERVER2,
            "missing_id": MISSING,
            "project_id": PROJECT,
            "other_project_id": OTHER_PROJECT,
            "endpoint": settings.PUBLIC_URL,
            "www_authenticate_uri": f"{settings.PUBLIC_URL}/identity",
        }
        self.domain = make_domain()
        for project in (PROJECT, OTHER_PROJECT):
            Project.objects.create(pk=project, name=project, domain=self.domain)
        self.flavor = Flavor.objects.create(name="tiny", vcpus=1, memory_mb=512, root_gb=1)
        self.known["flavor_db_id"] = self.flavor.pk
        shared = StoragePool.objects.create(name="shared", identity=SHARED.identity, shared=True)
        for name in HOSTS:
            self.add_host(name, (given.get("hosts") or {}).get(name, {}), shared)
        storage = storage_for(requests)
        self.server = self.add_server(SERVER, given["server"], storage)
        for number, facts in enumerate((given.get("other_servers") or {}).values()):
            self.add_server(str(UUID(int=UUID(SERVER2).int + number)), facts, storage)
        if given.get("migration"):
            self.add_migration(given["migration"])
        for action in given.get("actions") or []:
            self.add_action(action)
        self.actions = self.count_actions()
        for hold in given.get("holds") or []:
            self.simulation.set_hold(hold["verb"], hold["host"], hold["until"])

    def add_host(self, name: str, facts: Mapping[str, Any], shared: StoragePool) -> None:
        local = Pool("local", f"{name}:/var/lib/libvirt/images", False, 1028 * GIB, 1028 * GIB)
        self.simulation.add_host(name, vcpus=10, memory_mb=8192, disk_gb=1028, pools=[local, SHARED])
        host = Host.objects.create(
            name=name,
            hypervisor_hostname=name,
            address=f"10.0.0.{name[-1]}",
            uri=f"simulated:///{name}",
            hypervisor_version=9_000_000,
            enabled=not facts.get("disabled"),
            vcpus=10,
            memory_mb=8192,
            disk_gb=1028,
            cpu_ratio=1.0,
            reserved_memory_mb=0,
            heartbeat_at=clock.now(),
        )
        host.pools.add(shared, StoragePool.objects.create(name="local", identity=local.identity))

    def add_server(self, uuid: str, facts: Mapping[str, Any], storage: str) -> Server:
        host = Host.objects.get(name=facts["host"]) if facts["host"] else None
        if facts.get("source_compute_service_down"):
            Host.objects.filter(name="host1").update(forced_down=True)
        server = Server.objects.create(
            uuid=uuid,
            name="wire",
            number=Server.objects.count()
            + 1,  # each has one of its own, and so a name of its own for its guest
            user_id="member",
            project_id=PROJECT,
            host=host,
            vm_state=facts["vm_state"],
            task_state=facts["task_state"] or "",
            power_state=facts["power_state"],
            locked_by=facts["locked_by"] or "",
            volume_backed=bool(facts.get("volume_backed")),
            launched_at=None if facts.get("launched_at_null") else clock.now(),
            deleted_at=clock.now() if facts.get("deleted") else None,
            flavor=self.flavor,
            flavor_name=self.flavor.name,
            vcpus=1,
            memory_mb=512,
            root_gb=1,
        )
        if host is not None:
            self.place(server, host, storage)
        return server

    def place(self, server: Server, host: Host, storage: str) -> None:
        """Let the server's guest stand on the host, with its room charged."""
        if not server.volume_backed:
            pool = host.pools.get(shared=storage == "shared")
            ServerDisk.objects.create(
                server=server, pool=pool, path=f"/vms/{server.uuid}", size_bytes=GIB, used_bytes=GIB // 4
            )
        Allocation.objects.create(server=server, host=host, **SIZE)
        power = PowerState(server.power_state)
        self.simulation.add_guest(host.name, guest_of(server), power, agent=True)

    def add_migration(self, facts: Mapping[str, Any]) -> None:
        progress = {f"{k}_bytes": v for k, v in (facts.get("progress") or {}).items()}
        migration = Migration.objects.create(
            server=self.server,
            migration_type=facts["type"],
            status=facts["status"],
            statuses=[facts["status"]],
            user_id="admin",
            project_id=PROJECT,
            source_compute=facts["source_compute"],
            source_node=facts["source_compute"],
            dest_compute=facts["dest_compute"] or "",
            dest_node=facts["dest_compute"] or "",
            dest_host=facts["dest_host"] or "",
            hidden=facts.get("hidden", False),
            old_flavor=self.flavor.pk,
            new_flavor=self.flavor.pk,
            updated_at=clock.now(),
            **progress,
        )
        self.known |= {"migration_id": migration.pk, "migration_uuid": str(migration.uuid)}

    def add_action(self, facts: Mapping[str, Any]) -> None:
        request_id = f"req-{uuid4()}"
        if facts.get("request_id") == "{request_id}":
            self.known["request_id"] = request_id
        clock.sleep(0.01)
        action = ActionRecord.objects.create(
            server=self.server,
            slug=facts["action"],
            name=facts["action"],
            request_id=request_id,
            user_id=facts["user_id"],
            project_id=PROJECT,
            microversion="2.1",
            message=facts["message"] or "",
            status="failed" if facts["message"] else "succeeded",
            created_at=clock.now(),
        )
        for event in facts.get("events", []):
            ActionEvent.objects.create(
                action=action,
                name=event["event"],
                host="conductor" if event["host"] == "{conductor}" else event["host"],
                result=event["result"],
                details=event["details"] or "",
                traceback="Traceback" if event["result"] == "Error" else "",
                finished_at=clock.now(),
            )

    def count_actions(self) -> int:
        """Return how many actions the server under test has."""
        return ActionRecord.objects.filter(server=self.server).count()

    def token(self, role: str | None) -> str | None:
        """Return the secret of a token of the role, or None where the request carries none."""
        if role not in ROLES:
            return None
        project, roles, name = ROLES[role]
        user, _ = User.objects.get_or_create(pk=name, defaults={"name": name, "domain": self.domain})
        return make_token(user, Project.objects.get(pk=project), roles)
