"""The hosts of the demo with their storage, in the database and in the simulated fleet."""

from __future__ import annotations

from servers import clock
from servers.demo.identifiers import uuid_of
from servers.demo.roster import GIB, HOSTS, LOCAL_POOL, SHARED_CAPACITY_GB, SHARED_POOL, DemoHost
from servers.drivers.base import Pool
from servers.drivers.simulated import Fleet
from servers.models import Host, StoragePool

CPU_MODEL = "Cascadelake-Server"
HYPERVISOR_VERSION = 9_000_000
SHARED_IDENTITY = "nfs://storage.example.org/servers"
DISK_BYTES_S = 1 * GIB


def add_hosts(fleet: Fleet) -> dict[str, Host]:
    """Make all hosts of the demo; return them by name."""
    for demo in HOSTS:
        _simulate(fleet, demo)
    return {demo.name: _record(demo) for demo in HOSTS}


def _simulate(fleet: Fleet, demo: DemoHost) -> None:
    shared = Pool(SHARED_POOL, SHARED_IDENTITY, True, SHARED_CAPACITY_GB * GIB, 0)
    local = Pool(LOCAL_POOL, local_identity(demo), False, demo.disk_gb * GIB, 0)
    fleet.add_host(
        demo.name,
        vcpus=demo.vcpus,
        memory_mb=demo.memory_mb,
        disk_gb=demo.disk_gb,
        cpu_model=CPU_MODEL,
        version=HYPERVISOR_VERSION,
        pools=[shared, local],
        bandwidth_bytes_s=demo.bandwidth_bytes_s,
        disk_bytes_s=DISK_BYTES_S,
    )


def _record(demo: DemoHost) -> Host:
    host = Host.objects.create(
        name=demo.name,
        uuid=uuid_of("host", demo.name),
        service_uuid=uuid_of("service", demo.name),
        hypervisor_hostname=demo.name,
        address=demo.address,
        uri=f"simulated:///{demo.name}",
        hypervisor_version=HYPERVISOR_VERSION,
        cpu_model=CPU_MODEL,
        enabled=not demo.disabled_reason,
        disabled_reason=demo.disabled_reason,
        availability_zone=demo.zone,
        vcpus=demo.vcpus,
        memory_mb=demo.memory_mb,
        disk_gb=demo.disk_gb,
        heartbeat_at=clock.now(),
    )
    shared, _ = StoragePool.objects.get_or_create(
        identity=SHARED_IDENTITY,
        defaults={"name": SHARED_POOL, "shared": True, "capacity_gb": SHARED_CAPACITY_GB},
    )
    local = StoragePool.objects.create(
        identity=local_identity(demo), name=LOCAL_POOL, capacity_gb=demo.disk_gb
    )
    shared.hosts.add(host)
    local.hosts.add(host)
    return host


def local_identity(demo: DemoHost) -> str:
    """Return what tells the host's local pool from every other one."""
    return f"{demo.name}:/var/lib/gantry"


def pool_of(name: str, host: Host) -> StoragePool:
    """Return the pool with this name that `host` sees."""
    return StoragePool.objects.get(name=name, hosts=host)
