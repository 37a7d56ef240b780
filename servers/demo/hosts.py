"""The hosts of the demo with their storage, in the database and in the simulated fleet."""

from __future__ import annotations

from servers import clock
from servers.demo.identifiers import uuid_of
from servers.demo.roster import GIB, HOSTS, INSTANCES, LOCAL_POOL, SHARED_CAPACITY_GB, DemoHost
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
    fleet.add_host(
        demo.name,
        vcpus=demo.vcpus,
        memory_mb=demo.memory_mb,
        disk_gb=demo.disk_gb,
        cpu_model=CPU_MODEL,
        version=HYPERVISOR_VERSION,
        pools=pools(demo),
        bandwidth_bytes_s=demo.bandwidth_bytes_s,
        disk_bytes_s=DISK_BYTES_S,
    )


def pools(demo: DemoHost) -> list[Pool]:
    """Return what the host stores disks in."""
    if demo.mounts_storage:
        instances = Pool(INSTANCES, SHARED_IDENTITY, True, SHARED_CAPACITY_GB * GIB, 0)
    else:
        instances = Pool(INSTANCES, f"{demo.name}:/var/lib/gantry/instances", False, demo.disk_gb * GIB, 0)
    return [instances, Pool(LOCAL_POOL, f"{demo.name}:/var/lib/gantry", False, demo.disk_gb * GIB, 0)]


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
    for pool in pools(demo):
        facts = {"name": pool.name, "shared": pool.shared, "capacity_gb": pool.capacity_bytes // GIB}
        StoragePool.objects.get_or_create(identity=pool.identity, defaults=facts)[0].hosts.add(host)
    return host


def pool_of(name: str, host: Host) -> StoragePool:
    """Return the pool with this name that `host` sees."""
    return StoragePool.objects.get(name=name, hosts=host)
