"""A small fleet for tests of the engine: hosts and servers in the database and in the simulation, alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings

from servers import clock
from servers.actions import registry
from servers.clock import VirtualClock
from servers.drivers.base import Pool
from servers.drivers.simulated import Fleet
from servers.engine.accepting.submit import Accepted, submit
from servers.engine.capacity import claims
from servers.engine.execution.queue import run_until_idle
from servers.fleet.drivers import guest_of
from servers.microversions import NEWEST, Microversion
from servers.models import ActionRecord, Allocation, Host, Migration, Project, Server, ServerDisk, StoragePool
from servers.policy import Context, implied_roles
from servers.states import PowerState
from tests.factories import make_host, make_interface, make_project, make_server

GIB = 1024**3
SHARED = Pool("shared", "nfs://store/vms", True, 1000 * GIB, 1000 * GIB)


@contextmanager
def fleet_of(project: Project) -> Iterator[SmallFleet]:
    """Yield a small fleet in virtual time, whose servers belong to the project."""
    with clock.use(VirtualClock()):
        fleet = SmallFleet()
        fleet.project = project
        yield fleet


class SmallFleet:
    """Hosts node1…node3, and servers on node1. Time is virtual; what runs is run by `work`."""

    def __init__(self, hosts: int = 3) -> None:
        self.simulation = Fleet(settings.SIMULATED_FLEET)
        self.project = make_project()
        self.pools = {"shared": self._pool("shared", SHARED.identity, shared=True)}
        for number in range(1, hosts + 1):
            self.add_host(f"node{number}")

    def _pool(self, name: str, identity: str, *, shared: bool) -> StoragePool:
        return StoragePool.objects.get_or_create(
            identity=identity, defaults={"name": name, "shared": shared, "capacity_gb": 1000}
        )[0]

    def add_host(self, name: str, **fields: Any) -> Host:
        """Add a host with a local pool of its own and the shared one."""
        local = Pool("local", f"{name}:/var/lib/libvirt/images", False, 1000 * GIB, 1000 * GIB)
        self.simulation.add_host(name, memory_mb=8192, pools=[local, SHARED])
        host = make_host(name, uri=f"simulated:///{name}", hypervisor_version=9_000_000, **fields)
        host.pools.add(self.pools["shared"], self._pool("local", local.identity, shared=False))
        return host

    def add_server(
        self,
        name: str = "web",
        host: str = "node1",
        *,
        storage: str = "shared",
        agent: bool = True,
        **fields: Any,
    ) -> Server:
        """Add a server that runs on `host`, with a disk in the shared pool or in the host's local one."""
        row = Host.objects.get(name=host)
        server = make_server(self.project, name=name, host=row, **fields)
        if storage != "none":
            pool = row.pools.get(shared=storage == "shared")
            ServerDisk.objects.create(
                server=server, pool=pool, path=f"/vms/{server.uuid}", size_bytes=GIB, used_bytes=GIB // 4
            )
        make_interface(server, "10.0.0.5/24", gateway="10.0.0.1", dns=["10.0.0.2"])
        claims.claim(server.pk, host)
        power = PowerState(server.power_state)
        self.simulation.add_guest(host, guest_of(server), power, agent=agent)
        return server

    def context(self, *roles: str) -> Context:
        """Return the context of somebody with these roles in the project, an admin where none is named."""
        return Context("somebody", self.project.pk, implied_roles(roles or ["admin"]), request_id="req-test")

    def submit(
        self, slug: str, server: Server, /, version: str | Microversion = NEWEST, **params: Any
    ) -> Accepted:
        """Submit an action as an admin."""
        microversion = Microversion.parse(version) if isinstance(version, str) else version
        return submit(registry[slug], str(server.uuid), params, self.context(), microversion)

    def work(self) -> None:
        """Carry out everything that is accepted."""
        run_until_idle()

    def do(
        self, slug: str, server: Server, /, version: str | Microversion = NEWEST, **params: Any
    ) -> ActionRecord:
        """Submit an action, carry it out, and return its record as it is then."""
        record = self.submit(slug, server, version, **params).record
        self.work()
        return ActionRecord.objects.get(pk=record.pk)

    def heartbeat(self) -> None:
        """Let every host have been heard of just now."""
        Host.objects.update(heartbeat_at=clock.now())

    # --------------------------------------------------------------------------------- what is compared

    def state(self, server: Server) -> dict[str, Any]:
        """Return everything about a server that has to be right in the end, from both truths."""
        row = Server.objects.select_related("host").get(pk=server.pk)
        moves = Migration.objects.filter(server=row).order_by("pk")
        charged = Allocation.objects.select_related("host").filter(server=row)
        held = Allocation.objects.select_related("host").filter(migration__server=row)
        return {
            "vm_state": row.vm_state,
            "task_state": row.task_state,
            "host": row.host.name if row.host else None,
            "power_state": row.power_state,
            "migrations": [(m.status, m.source_compute, m.dest_compute) for m in moves],
            "server_charged_on": sorted(a.host.name for a in charged),
            "migration_charged_on": sorted(a.host.name for a in held),
            "actions": [(a.name, a.status) for a in row.actions.order_by("created_at", "name")],
            "open_events": sum(a.events.filter(finished_at=None).count() for a in row.actions.all()),
            "images": sorted((i.name, i.status) for i in row.images.all()),
            "runs_on": self.simulation.running_on(server.uuid),
            "defined_on": self.simulation.defined_on(server.uuid),
        }
