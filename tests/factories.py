"""Rows for tests, each valid by itself. What a test cares about it says; the rest is as it mostly is."""

from __future__ import annotations

from itertools import count
from typing import Any

from servers import clock
from servers.actions import definitions
from servers.engine.accepting.request_context import roles_of
from servers.models import (
    ActionEvent,
    ActionRecord,
    Allocation,
    Domain,
    Flavor,
    Host,
    Image,
    Membership,
    Migration,
    NetworkInterface,
    Project,
    Server,
    Token,
    User,
)
from servers.policy import Context, implied_roles
from servers.states import MigrationStatus, MigrationType, PowerState, VmState

_numbers = count(1)


def make_domain() -> Domain:
    """Return the domain that there always is."""
    return Domain.objects.get_or_create(id="default", defaults={"name": "Default"})[0]


def make_project(**fields: Any) -> Project:
    """Return a new project."""
    return Project.objects.create(**{"name": f"project-{next(_numbers)}", "domain": make_domain(), **fields})


def make_user(role: str | None = None, project: Project | None = None, **fields: Any) -> User:
    """Return a new user, with a role in the project when one is named."""
    user = User.objects.create(**{"name": f"user-{next(_numbers)}", "domain": make_domain(), **fields})
    if role is not None:
        Membership.objects.create(user=user, project=project, role=role)
    return user


def make_token(user: User, project: Project | None, roles: list[str], **fields: Any) -> str:
    """Return the secret of a new token of somebody who has these roles."""
    for role in set(roles) - roles_of(user, project.pk if project else None):
        Membership.objects.create(user=user, project=project, role=role)
    _, secret = Token.issue(user, 3600, project=project, roles=roles, methods=["password"], **fields)
    return secret


def make_context(project: Project, *roles: str, **fields: Any) -> Context:
    """Return the context of somebody with these roles in the project."""
    names = {"user_id": "somebody", "request_id": f"req-{next(_numbers)}", **fields}
    return Context(project_id=project.pk, roles=implied_roles(roles), **names)


def make_host(name: str | None = None, **fields: Any) -> Host:
    """Return a new host with room for ten servers, up and enabled."""
    name = name or f"host-{next(_numbers)}"
    defaults = {
        "hypervisor_hostname": name,
        "vcpus": 10,
        "memory_mb": 8192,
        "disk_gb": 1028,
        "cpu_ratio": 1.0,
        "reserved_memory_mb": 0,
        "heartbeat_at": clock.now(),
    }
    return Host.objects.create(name=name, **{**defaults, **fields})


def make_flavor(**fields: Any) -> Flavor:
    """Return a new flavor."""
    number = next(_numbers)
    defaults = {
        "name": f"flavor-{number}",
        "flavorid": str(number),
        "vcpus": 1,
        "memory_mb": 512,
        "root_gb": 1,
    }
    return Flavor.objects.create(**{**defaults, **fields})


def make_server(project: Project | None = None, **fields: Any) -> Server:
    """Return a new server, active and running on a host of its own unless `host` says otherwise."""
    number = next(_numbers)
    project = project or make_project()
    defaults: dict[str, Any] = {
        "name": f"server-{number}",
        "number": number,
        "user_id": "owner",
        "project_id": project.pk,
        "vm_state": VmState.ACTIVE.value,
        "power_state": PowerState.RUNNING,
        "vcpus": 1,
        "memory_mb": 512,
        "root_gb": 1,
        "flavor_name": "m1.tiny",
        "launched_at": clock.now(),
    }
    if "host" not in fields:
        defaults["host"] = make_host()
    return Server.objects.create(**{**defaults, **fields})


def make_interface(server: Server, *addresses: str, **fields: Any) -> NetworkInterface:
    """Return a new network interface of the server."""
    mac = f"fa:16:3e:00:{next(_numbers) // 256:02x}:{next(_numbers) % 256:02x}"
    return NetworkInterface.objects.create(server=server, addresses=list(addresses), **{"mac": mac, **fields})


def make_allocation(server: Server, host: Host | None = None, **fields: Any) -> Allocation:
    """Return the room that the server has on its host, or on another one."""
    sizes = {"vcpus": server.vcpus, "memory_mb": server.memory_mb, "disk_gb": server.root_gb}
    return Allocation.objects.create(server=server, host=host or server.host, **{**sizes, **fields})


def make_migration(server: Server, **fields: Any) -> Migration:
    """Return a new migration of the server, a running live migration to host2 unless something else is said."""
    source = server.host.name if server.host else "host1"
    defaults: dict[str, Any] = {
        "migration_type": MigrationType.LIVE.value,
        "status": MigrationStatus.RUNNING.value,
        "user_id": "admin",
        "project_id": server.project_id,
        "source_compute": source,
        "source_node": source,
        "dest_compute": "host2",
        "dest_node": "host2",
        "dest_host": "10.0.0.2",
        "updated_at": clock.now(),
    }
    return Migration.objects.create(server=server, **{**defaults, **fields})


def make_action(server: Server, name: str = "migrate", **fields: Any) -> ActionRecord:
    """Return a record of an action that has succeeded."""
    defaults: dict[str, Any] = {
        "request_id": f"req-{next(_numbers)}",
        "slug": name,
        "name": name,
        "user_id": "admin",
        "project_id": server.project_id,
        "microversion": "2.1",
        "status": "succeeded",
    }
    slug = fields.get("slug", name)
    if slug in definitions:
        defaults["queue_class"] = definitions[slug].queue_class
    return ActionRecord.objects.create(server=server, **{**defaults, **fields})


def make_event(action: ActionRecord, name: str, **fields: Any) -> ActionEvent:
    """Return an event of the action that has ended well."""
    defaults = {"result": "Success", "host": "host1", "finished_at": clock.now()}
    return ActionEvent.objects.create(action=action, name=name, **{**defaults, **fields})


def make_image(project: Project, **fields: Any) -> Image:
    """Return a record of a finished backup."""
    defaults = {
        "name": "backup",
        "user_id": "owner",
        "backup_type": "daily",
        "status": "active",
        "size_bytes": 1,
    }
    return Image.objects.create(project_id=project.pk, **{**defaults, **fields})
