"""The fleet as the engine sees it: which driver speaks to which host, and what is known without asking."""

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
    """Return how to reach `host`."""
    return HostRef(host.name, host.driver, host.uri, host.domain_type)


def new_ref(name: str, driver: str, uri: str, domain_type: str) -> HostRef:
    """Return how to reach a host that is not recorded yet."""
    return HostRef(name, driver, uri, domain_type)


def driver_of(host: HostRef, fence: Fence = LOOKING) -> Driver:
    """Return the driver that speaks to `host`; without a fence it can only look.

    Raises NotSupported where that driver is not installed.
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
    """Ask the host's driver how it is, and write down that it answered. Raises DriverFault when it does not."""
    info = driver_of(ref(host)).describe()
    Host.objects.filter(pk=host.pk).update(
        heartbeat_at=clock.now(),
        hypervisor_type=info.hypervisor_type,
        hypervisor_version=info.hypervisor_version,
        cpu_model=info.cpu_model,
    )


def guest_of(server: Server) -> Guest:
    """Return the guest that a hypervisor has to run for `server`."""
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
    """What can be known of the fleet without asking a hypervisor."""

    def knows(self, host: str) -> bool:
        return Host.objects.filter(name=host).exists()

    def is_up(self, host: str) -> bool:
        found = Host.objects.filter(name=host).first()
        return found is not None and found.is_up

    def migration_source(self, server: UUID) -> str | None:
        migration = finished_migration(server)
        return migration.source_compute if migration else None

    def reset_network_gone(self) -> bool:
        return bool(settings.RESET_NETWORK_GONE)


def finished_migration(server: UUID) -> Migration | None:
    """Return the server's newest migration that waits for its confirmation, or None."""
    return Migration.objects.filter(server_id=server, status=MigrationStatus.FINISHED).order_by("-pk").first()
