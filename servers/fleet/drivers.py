"""The fleet as the engine sees it: the driver of each host, and what is known without a call to one."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings

from servers import clock
from servers.drivers.base import LOOKING, Disk, Driver, Fence, Guest, HostRef, Nic, Route
from servers.drivers.simulated import Fleet as SimulatedFleet
from servers.errors import NotSupported
from servers.models import Host, Migration, NetworkInterface, Server, ServerDisk
from servers.states import MigrationStatus

LIBVIRT_EXTRA = frozenset({"libvirt", "libvirtmod", "lxml"})
LIBVIRT_MISSING = "libvirt-python is not installed; apt-get install libvirt-dev pkg-config gcc, then pip install 'gantry[libvirt]'"


def ref(host: Host) -> HostRef:
    """Return how a driver reaches a recorded host."""
    return HostRef(host.name, host.driver, host.uri, host.domain_type)


def new_ref(name: str, driver: str, uri: str, domain_type: str) -> HostRef:
    """Return how a driver reaches a host that is not recorded yet."""
    return HostRef(name, driver, uri, domain_type)


def driver_of(host: HostRef, fence: Fence = LOOKING) -> Driver:
    """Return the driver of `host`; without a fence the driver can only read.

    The host is not contacted. Raises NotSupported when there is no such driver, or when it is not installed.
    """
    if host.driver == "simulated":
        return SimulatedFleet(settings.SIMULATED_FLEET).driver(host, fence)
    if host.driver == "libvirt":
        return _libvirt_driver(host, fence)
    raise NotSupported(host=host.name, verb=f"be reached: there is no driver {host.driver!r}")


def _libvirt_driver(host: HostRef, fence: Fence) -> Driver:
    """Return libvirt's driver of `host`. Raises NotSupported where the extra is not installed."""
    try:
        from servers.drivers.libvirt import LibvirtDriver, Settings  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        if error.name not in LIBVIRT_EXTRA:
            raise
        raise NotSupported(host=host.name, verb=f"be reached: {LIBVIRT_MISSING}") from error
    return LibvirtDriver(
        host,
        fence,
        Settings(
            timeout_s=settings.LIBVIRT_TIMEOUT_S,
            shutdown_s=settings.LIBVIRT_SHUTDOWN_TIMEOUT_S,
            knows=lambda uri: Host.objects.filter(driver=host.driver, uri=uri).exists(),
            shared_pools=frozenset(settings.LIBVIRT_SHARED_POOLS),
        ),
    )


def refresh_host(host: Host) -> None:
    """Ask the host's driver what the host is, and write the answer with the time of the heartbeat.

    Raises DriverFault when the host does not answer; then nothing is written.
    """
    info = driver_of(ref(host)).describe()
    Host.objects.filter(pk=host.pk).update(
        heartbeat_at=clock.now(),
        hypervisor_type=info.hypervisor_type,
        hypervisor_version=info.hypervisor_version,
        cpu_model=info.cpu_model,
    )


def guest_of(server: Server) -> Guest:
    """Return the guest that a hypervisor has to run for `server`, as its records describe it."""
    return Guest(
        uuid=server.uuid,
        name=server.instance_name,
        vcpus=server.vcpus,
        memory_mb=server.memory_mb,
        disks=tuple(_disk(disk) for disk in server.disks.select_related("pool")),
        nics=tuple(_nic(interface) for interface in server.interfaces.all()),
    )


def _disk(disk: ServerDisk) -> Disk:
    return Disk(disk.device, disk.path, disk.pool.name, disk.size_bytes, disk.used_bytes, disk.format)


def _nic(interface: NetworkInterface) -> Nic:
    routes = tuple(Route(r["destination"], r["gateway"]) for r in interface.routes)
    return Nic(
        interface.mac,
        interface.network,
        tuple(interface.addresses),
        interface.gateway,
        routes,
        tuple(interface.dns),
    )


class KnownFleet:
    """What the database says of the fleet, without a call to a hypervisor (implements FleetFacts)."""

    def knows(self, host: str) -> bool:
        """Return whether a host of this name is recorded."""
        return Host.objects.filter(name=host).exists()

    def is_up(self, host: str) -> bool:
        """Return whether the host is recorded, not forced down, and answered within HEARTBEAT_LIMIT."""
        found = Host.objects.filter(name=host).first()
        return found is not None and found.is_up

    def migration_source(self, server: UUID) -> str | None:
        """Return the source host of the migration that waits to be confirmed or reverted, or None."""
        migration = finished_migration(server)
        return migration.source_compute if migration else None

    def reset_network_gone(self) -> bool:
        """Return whether resetNetwork is answered with 410, as by Nova since 23.0.0."""
        return bool(settings.RESET_NETWORK_GONE)


def finished_migration(server: UUID) -> Migration | None:
    """Return the server's newest migration that waits to be confirmed or reverted, or None."""
    return Migration.objects.filter(server_id=server, status=MigrationStatus.FINISHED).order_by("-pk").first()
