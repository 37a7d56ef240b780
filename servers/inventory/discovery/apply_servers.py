"""Writing servers as their guests were found: size, host, disks, interfaces, allocation."""

from __future__ import annotations

from dataclasses import dataclass

from servers import clock
from servers.drivers.base import FoundGuest
from servers.engine.capacity import claims
from servers.engine.records.changes import take_server_edges
from servers.engine.records.numbering import insert_with_number
from servers.errors import GuestNotFound
from servers.fleet.guest_location import ALIVE
from servers.inventory.discovery.apply_hosts import write_pool
from servers.inventory.discovery.facts import GuestFacts, PoolFacts
from servers.models import Flavor, Host, NetworkInterface, Server, ServerDisk, StoragePool
from servers.states import PowerState, VmState

VM_STATES = {
    PowerState.RUNNING: VmState.ACTIVE,
    PowerState.PAUSED: VmState.PAUSED,
    PowerState.SUSPENDED: VmState.SUSPENDED,
    PowerState.SHUTDOWN: VmState.STOPPED,
    PowerState.CRASHED: VmState.STOPPED,
    PowerState.NOSTATE: VmState.STOPPED,
}
"""The vm_state of an adopted server, by the power state of its guest."""


@dataclass(frozen=True)
class Owner:
    """The project and the user to which adopted servers belong."""

    project_id: str
    user_id: str


def write_new(guest: FoundGuest, facts: GuestFacts, host: Host, owner: Owner) -> None:
    """Insert the server of a guest, with disks, interfaces and the allocation on its host.

    In the caller's transaction. Raises IntegrityError when a server with the guest's UUID exists.
    """
    server = Server(
        uuid=guest.uuid,
        name=guest.name,
        guest_name=guest.name,
        project_id=owner.project_id,
        user_id=owner.user_id,
        host=host,
        vm_state=VM_STATES[guest.power_state].value,
        power_state=guest.power_state,
        seen_at=clock.now(),
        launched_at=clock.now(),
        vcpus=facts.vcpus,
        memory_mb=facts.memory_mb,
    )
    fill_size(server, facts)
    insert_with_number(server)
    write_parts(server, facts)
    claims.allocate(server)


def write_changed(server: Server, guest: FoundGuest, facts: GuestFacts, host: Host, *, back: bool) -> None:
    """Write where and how the guest of a server was found, with its allocation; in the caller's transaction.

    `vm_state` stays, unless the guest is `back` after it was missing: then the fault is cleared, and the
    state is active or stopped, as the guest is.
    """
    fields = ["guest_name", "host", "seen_at", "power_state"]
    if back:
        edges = ("reset_active",) if guest.power_state in ALIVE else ("reset_active", "resume_stopped")
        fields += take_server_edges(server, edges)
        server.fault_code = server.fault_message = ""
        fields += ["fault_code", "fault_message"]
    server.host = host
    server.power_state, server.seen_at = guest.power_state, clock.now()
    if server.instance_name != guest.name:
        server.guest_name = guest.name
    fields += fill_size(server, facts)
    server.store(*dict.fromkeys(fields))
    write_parts(server, facts)
    claims.allocate(server)


def write_gone(server: Server, host: Host) -> None:
    """Set the server of a guest that no host has to vm_state error, with the fault GuestNotFound.

    In the caller's transaction. Nothing is deleted: disks, interfaces and allocation stay.
    """
    fault = GuestNotFound(guest=server.instance_name, host=host.name)
    fields = take_server_edges(server, ("set_error",))
    server.fault_code, server.fault_message, server.fault_at = fault.code, str(fault), clock.now()
    server.power_state = PowerState.NOSTATE
    server.store(*fields, "fault_code", "fault_message", "fault_at", "power_state")


def fill_size(server: Server, facts: GuestFacts) -> list[str]:
    """Set the server's size, and a flavor of that size, in memory; return the names of the fields to store.

    Root and ephemeral disk stay when no disk of the guest is known.
    """
    server.vcpus, server.memory_mb = facts.vcpus, facts.memory_mb
    if facts.disks:
        server.root_gb, server.ephemeral_gb = facts.root_gb, facts.ephemeral_gb
    if not fits(server.flavor, server):
        server.flavor = flavor_for(server)
        server.flavor_name = server.flavor.name
    return ["vcpus", "memory_mb", "root_gb", "ephemeral_gb", "flavor", "flavor_name"]


def fits(flavor: Flavor | None, server: Server) -> bool:
    """Return whether the flavor has exactly the server's vCPUs, memory, root disk and ephemeral disk."""
    names = ("vcpus", "memory_mb", "root_gb", "ephemeral_gb")
    return flavor is not None and all(getattr(flavor, name) == getattr(server, name) for name in names)


def flavor_for(server: Server) -> Flavor:
    """Return a flavor of exactly the server's size, without swap and extra specs.

    One named adopted-… is inserted when there is none.
    """
    size = {
        "vcpus": server.vcpus,
        "memory_mb": server.memory_mb,
        "root_gb": server.root_gb,
        "ephemeral_gb": server.ephemeral_gb,
    }
    found = Flavor.objects.filter(**size, swap_mb=0, extra_specs={}).order_by("pk").first()
    if found is not None:
        return found
    name = "adopted-{vcpus}-{memory_mb}-{root_gb}-{ephemeral_gb}".format(**size)
    made, _ = Flavor.objects.get_or_create(
        name=name, defaults={"flavorid": name, "description": "The size of an adopted guest.", **size}
    )
    return made


def write_parts(server: Server, facts: GuestFacts) -> None:
    """Let the server's disks and interfaces be those of its guest.

    Others are deleted. An interface that is known keeps its addresses, which no hypervisor knows.
    """
    server.disks.exclude(device__in=[disk.device for disk in facts.disks]).delete()
    for disk in facts.disks:
        ServerDisk.objects.update_or_create(
            server=server,
            device=disk.device,
            defaults={
                "pool": find_pool(disk.pool),
                "path": disk.path,
                "format": disk.format,
                "size_bytes": disk.size_bytes,
                "used_bytes": disk.used_bytes,
            },
        )
    known = {interface.mac.lower(): interface for interface in server.interfaces.all()}
    for mac, network in facts.nics:
        interface = known.pop(mac, None) or NetworkInterface(server=server, mac=mac)
        interface.network = network
        interface.save()
    for interface in known.values():
        interface.delete()


def find_pool(facts: PoolFacts) -> StoragePool:
    """Return the pool of a disk; it is inserted when its host was left out of the plan."""
    return StoragePool.objects.filter(identity=facts.identity).first() or write_pool(facts)
