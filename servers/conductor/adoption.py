"""Writing a plan of discovery: hosts, pools, servers and what they hold, all of it or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from django.db import IntegrityError, transaction

from servers import clock
from servers.conductor import claims
from servers.conductor.changes import take_server_edges
from servers.conductor.discovery import ChangeKind, Plan, PlannedChange, make_plan, read_known
from servers.conductor.inventory import GuestFacts, HostFacts, PoolFacts, found_guest, found_host
from servers.conductor.newcomers import save_new
from servers.conductor.survey import HostReport
from servers.conductor.whereabouts import ALIVE
from servers.drivers.base import FoundGuest
from servers.errors import GuestNotFound, Missing, PlanChanged
from servers.models import (
    Flavor,
    Host,
    NetworkInterface,
    Project,
    Server,
    ServerDisk,
    StoragePool,
)
from servers.states import PowerState, VmState

DEFAULT_PROJECT = "admin"

VM_STATES = {
    PowerState.RUNNING: VmState.ACTIVE,
    PowerState.PAUSED: VmState.PAUSED,
    PowerState.SUSPENDED: VmState.SUSPENDED,
    PowerState.SHUTDOWN: VmState.STOPPED,
    PowerState.CRASHED: VmState.STOPPED,
    PowerState.NOSTATE: VmState.STOPPED,
}
"""What an adopted server is, by what its guest was doing."""


@dataclass(frozen=True)
class Owner:
    """To whom adopted servers belong."""

    project_id: str
    user_id: str


def adopt(plan: Plan, owner: Owner) -> list[PlannedChange]:
    """Write the plan and return what was written. Raises PlanChanged where the database no longer is as it was."""
    try:
        with transaction.atomic():
            write(plan, owner)
    except IntegrityError as error:  # somebody has adopted the same host or guest at this moment
        raise PlanChanged from error
    return plan.to_write


def write(plan: Plan, owner: Owner) -> None:
    """Write the plan in the caller's transaction: hosts first, guests need them. Raises PlanChanged."""
    known = read_known(lock=True)
    if make_plan(plan.hosts, plan.found, known, plan.only) != plan:
        raise PlanChanged
    hosts = [c for c in plan.to_write if c.kind in {ChangeKind.HOST_NEW, ChangeKind.HOST_CHANGED}]
    for change in hosts:
        write_host(plan, change)
    for change in (c for c in plan.to_write if c not in hosts):
        server = known.servers.get(change.uuid) if change.uuid else None
        if server is None:
            write_new(plan, change, owner)
        elif change.kind is ChangeKind.GUEST_GONE:
            write_gone(server, change)
        else:
            write_changed(plan, change, server)


def default_owner(project: Project | None, user_id: str) -> Owner:
    """Return the owner in the project; where none is named, the admin's. Raises Missing where there is none."""
    chosen = project or Project.objects.filter(name=DEFAULT_PROJECT, enabled=True).first()
    if chosen is None:
        raise Missing("Say to which project adopted servers are to belong.")
    return Owner(chosen.pk, user_id)


# ------------------------------------------------------------------------------------------------ hosts


def report_of(plan: Plan, host: str) -> HostReport:
    """Return what a host said when the plan was made."""
    report = plan.found[host].value
    if report is None:
        raise LookupError(f"host {host} has said nothing")
    return report


def write_host(plan: Plan, change: PlannedChange) -> None:
    """Write a host as it described itself, with its pools.

    Its row is locked, so that whoever switches it off at this moment is not overruled, and its generation is
    raised: what was counted with its former size is counted again.
    """
    target = next(host for host in plan.hosts if host.name == change.host)
    facts = found_host(target, report_of(plan, change.host))
    known = Host.objects.select_for_update().filter(name=change.host).first()
    host: Any = known or Host(name=change.host)
    fill_host(host, facts)
    host.generation += 1
    host.heartbeat_at = host.updated_at = clock.now()
    host.save()
    host.pools.set([write_pool(pool) for pool in facts.pools])


def fill_host(host: Host, facts: HostFacts) -> None:
    """Give the row what is kept of a host."""
    host.driver, host.uri, host.domain_type = facts.driver, facts.uri, facts.domain_type
    host.hypervisor_hostname = facts.hostname
    host.hypervisor_type, host.hypervisor_version = facts.hypervisor, facts.version
    host.cpu_model = facts.cpu_model
    host.vcpus, host.memory_mb, host.disk_gb = facts.vcpus, facts.memory_mb, facts.disk_gb
    address = urlsplit(facts.uri).hostname or ""
    if is_address(address):
        host.address = address


def is_address(text: str) -> bool:
    """Return whether the text is an IP address: names are not resolved here, that may take long."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def write_pool(facts: PoolFacts) -> StoragePool:
    """Return the row of a pool as it was found."""
    values = {"shared": facts.shared, "capacity_gb": facts.capacity_gb}
    pool, _ = StoragePool.objects.update_or_create(
        identity=facts.identity, defaults=values, create_defaults={"name": facts.name, **values}
    )
    return pool


# ---------------------------------------------------------------------------------------------- servers


def facts_of(plan: Plan, change: PlannedChange) -> tuple[FoundGuest, GuestFacts]:
    """Return a guest as it was found when the plan was made."""
    report = report_of(plan, change.host)
    guest = next(g for g in report.guests if g.uuid == change.uuid)
    return guest, found_guest(guest, change.host, report.info)


def write_new(plan: Plan, change: PlannedChange, owner: Owner) -> None:
    """Make the server that stands for a guest, and charge its host for it."""
    guest, facts = facts_of(plan, change)
    server = Server(
        uuid=guest.uuid,
        name=guest.name,
        guest_name=guest.name,
        project_id=owner.project_id,
        user_id=owner.user_id,
        host=Host.objects.get(name=change.host),
        vm_state=VM_STATES[guest.power_state].value,
        power_state=guest.power_state,
        seen_at=clock.now(),
        launched_at=clock.now(),
        vcpus=facts.vcpus,
        memory_mb=facts.memory_mb,
    )
    fill_size(server, facts)
    save_new(server)
    write_parts(server, facts)
    claims.charge(server)


def write_changed(plan: Plan, change: PlannedChange, server: Server) -> None:
    """Let the server be where and as its guest was found. One that was missed is what its guest is."""
    guest, facts = facts_of(plan, change)
    fields = ["guest_name", "host", "seen_at", "power_state"]
    if change.kind is ChangeKind.GUEST_BACK:
        edges = ("reset_active",) if guest.power_state in ALIVE else ("reset_active", "resume_stopped")
        fields += take_server_edges(server, edges)
        server.fault_code = server.fault_message = ""
        fields += ["fault_code", "fault_message"]
    server.host = Host.objects.get(name=change.host)
    server.power_state, server.seen_at = guest.power_state, clock.now()
    if server.instance_name != guest.name:
        server.guest_name = guest.name
    fields += fill_size(server, facts)
    server.store(*dict.fromkeys(fields))
    write_parts(server, facts)
    claims.charge(server)


def write_gone(server: Server, change: PlannedChange) -> None:
    """Put the server of a lost guest into error, with a fault that says so; nothing is deleted."""
    fault = GuestNotFound(guest=server.instance_name, host=change.host)
    fields = take_server_edges(server, ("set_error",))
    server.fault_code, server.fault_message, server.fault_at = fault.code, str(fault), clock.now()
    server.power_state = PowerState.NOSTATE
    server.store(*fields, "fault_code", "fault_message", "fault_at", "power_state")


def fill_size(server: Server, facts: GuestFacts) -> list[str]:
    """Give the server the size of its guest, and the flavor that fits; return the fields that have changed."""
    server.vcpus, server.memory_mb = facts.vcpus, facts.memory_mb
    if facts.disks:
        server.root_gb, server.ephemeral_gb = facts.root_gb, facts.ephemeral_gb
    if not fits(server.flavor, server):
        server.flavor = flavor_for(server)
        server.flavor_name = server.flavor.name
    return ["vcpus", "memory_mb", "root_gb", "ephemeral_gb", "flavor", "flavor_name"]


def fits(flavor: Flavor | None, server: Server) -> bool:
    """Return whether the flavor has the server's size."""
    names = ("vcpus", "memory_mb", "root_gb", "ephemeral_gb")
    return flavor is not None and all(getattr(flavor, name) == getattr(server, name) for name in names)


def flavor_for(server: Server) -> Flavor:
    """Return a flavor of exactly the server's size; one is made where there is none."""
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
    """Let the server's disks and interfaces be those of its guest; what is known of an interface stays."""
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
    """Return the pool of a disk, even where its host was left out of the plan."""
    return StoragePool.objects.filter(identity=facts.identity).first() or write_pool(facts)
