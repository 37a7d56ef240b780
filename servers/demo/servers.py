"""The servers of the demo: each as a row, as a guest, and as room on its host."""

from __future__ import annotations

from datetime import timedelta

from servers import clock
from servers.demo.catalogue import BASE_IMAGES, flavors, image_ref
from servers.demo.hosts import pool_of
from servers.demo.identifiers import uuid_of
from servers.demo.people import owner_of, projects
from servers.demo.roster import BOOTING_AGENT, GIB, LOCAL_POOL, NO_AGENT, SERVERS, STRANGER, DemoServer
from servers.drivers.base import Disk, Guest, Nic
from servers.drivers.simulated import Fleet
from servers.engine.capacity.claims import needs
from servers.fleet.drivers import guest_of
from servers.models import (
    Allocation,
    Flavor,
    Host,
    NetworkInterface,
    Project,
    Server,
    ServerDisk,
    ServerGroup,
)

AGE = timedelta(days=30)
USED_OF_DISK = 0.02


def add_servers(fleet: Fleet, hosts: dict[str, Host]) -> None:
    """Make all servers of the demo."""
    sizes, owners = flavors(), projects()
    add_stranger(fleet)
    for number, demo in enumerate(reversed(SERVERS), start=1):
        host = hosts[demo.host] if demo.host else None
        server = _record(demo, number, owners[demo.project], sizes[demo.flavor], host)
        _connect(server, number)
        if host is not None:
            _place(fleet, demo, server, host)


def add_stranger(fleet: Fleet) -> None:
    """Let a guest run that somebody has made by hand."""
    disk = Disk("vda", "old-ldap.qcow2", LOCAL_POOL, 8 * GIB, GIB)
    guest = Guest(
        uuid_of("server", STRANGER), STRANGER, 1, 1024, (disk,), (Nic("52:54:00:00:00:01", "private"),)
    )
    fleet.add_guest("rack1-b", guest)


def _record(demo: DemoServer, number: int, project: Project, flavor: Flavor, host: Host | None) -> Server:
    born_at = clock.now() - AGE + timedelta(hours=number)
    return Server.objects.create(
        uuid=uuid_of("server", demo.name),
        number=number,
        name=demo.name,
        hostname=demo.name,
        description=demo.description or None,
        user_id=owner_of(demo.project),
        project_id=project.pk,
        host=host,
        vm_state=demo.vm_state.value,
        power_state=demo.power,
        flavor=flavor,
        flavor_name=flavor.name,
        vcpus=flavor.vcpus,
        memory_mb=flavor.memory_mb,
        root_gb=flavor.root_gb,
        image_ref="" if demo.volume_backed else image_ref(demo.image),
        image_properties=BASE_IMAGES[demo.image],
        volume_backed=demo.volume_backed,
        tags=list(demo.tags),
        group=_group(demo, project) if demo.group else None,
        reservation_id=f"r-{number:08d}",
        locked_by=demo.locked_by,
        locked_reason=demo.locked_reason,
        created_at=born_at,
        launched_at=born_at + timedelta(minutes=1) if demo.launched else None,
        deleted_at=clock.now() - timedelta(days=3) if demo.deleted else None,
        terminated_at=clock.now() - timedelta(days=3) if demo.deleted else None,
    )


def _group(demo: DemoServer, project: Project) -> ServerGroup:
    group, _ = ServerGroup.objects.get_or_create(
        uuid=uuid_of("group", demo.group),
        defaults={
            "name": demo.group,
            "project_id": project.pk,
            "user_id": owner_of(demo.project),
            "policy": "anti-affinity",
        },
    )
    return group


def _connect(server: Server, number: int) -> None:
    NetworkInterface.objects.create(
        server=server,
        mac=f"fa:16:3e:00:00:{number:02x}",
        addresses=[f"10.0.0.{10 + number}/24"],
        gateway="10.0.0.1",
        routes=[{"destination": "10.1.0.0/16", "gateway": "10.0.0.254"}],
        dns=["10.0.0.2"],
    )


def _place(fleet: Fleet, demo: DemoServer, server: Server, host: Host) -> None:
    """Give the server its disk and its room on the host, and the host its guest."""
    vcpus, memory_mb, disk_gb = needs(server)
    Allocation.objects.create(server=server, host=host, vcpus=vcpus, memory_mb=memory_mb, disk_gb=disk_gb)
    if not server.volume_backed:
        ServerDisk.objects.create(
            server=server,
            pool=pool_of(demo.pool, host),
            path=f"{server.uuid}/disk.qcow2",
            size_bytes=server.root_gb * GIB,
            used_bytes=int(server.root_gb * GIB * USED_OF_DISK),
        )
    fleet.add_guest(
        host.name,
        guest_of(server),
        demo.power,
        agent=demo.agent != NO_AGENT,
        dirty_rate_bytes_s=demo.dirty_bytes_s,
    )
    if demo.agent == BOOTING_AGENT:
        fleet.set_agent(server.uuid, BOOTING_AGENT)
