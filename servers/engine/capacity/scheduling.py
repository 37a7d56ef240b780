"""The scheduler, given the fleet as it stands: rows become plain facts, and its verdicts are kept as data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings

from servers import scheduler
from servers.actions.restore import Restore
from servers.engine.capacity import groups
from servers.engine.capacity.claims import needs
from servers.engine.capacity.usage import Usage, usage_by_host
from servers.errors import ComputeHostNotFound, Fault
from servers.models import Host, Image, Server
from servers.scheduler import Decision, HostState, MoveRequest, Resources, Verdict


def select_hosts(
    server: Server, *, requested: str | None = None, ignore: Iterable[str] = (), at_most: int = 0
) -> Decision:
    """Return hosts for `server`, best first, with everybody's verdict. Raises NoValidHost, with the verdicts."""
    request = move_request(server, requested, ignore)
    return scheduler.select_hosts(
        request, host_states(server), filters=settings.SCHEDULER_FILTERS, count=at_most
    )


def check_forced(server: Server, host: str) -> None:
    """Check a host that the scheduler is not asked about (CONTRACT B.7). Raises ActionFault."""
    state = next((s for s in host_states(server) if s.name == host), None)
    if state is None:
        raise ComputeHostNotFound(host=host)
    scheduler.check_forced(move_request(server, host, ()), state)


def explain_hosts(server: Server) -> list[Verdict]:
    """Return the scheduler's opinion of every host for a move of `server`, without choosing."""
    source = server.host.name if server.host else None
    request = move_request(server, None, [source] if source else [])
    return list(scheduler.explain(request, host_states(server), filters=settings.SCHEDULER_FILTERS))


def move_request(server: Server, requested: str | None, ignore: Iterable[str]) -> MoveRequest:
    """Return what the scheduler has to know of the move. Nothing of it outlives the attempt (CONTRACT F19)."""
    vcpus, memory_mb, disk_gb = needs(server)
    host = server.host
    return MoveRequest(
        server_uuid=str(server.uuid),
        resources=Resources(vcpus, memory_mb, disk_gb),
        source=host.name if host else None,
        driver=host.driver if host else driver_of_image(server),
        hypervisor_type=host.hypervisor_type if host else "",
        hypervisor_version=host.hypervisor_version if host else 0,
        requested_host=requested,
        ignore_hosts=frozenset(ignore),
        extra_specs=server.extra_specs,
        image_properties=server.image_properties,
        group=groups.facts(server),
    )


def driver_of_image(server: Server) -> str:
    """Return by which driver the backup was made out of which a server is to be, empty where there is none."""
    images = Image.objects.filter(actions__server=server, actions__slug=Restore.slug)
    return images.values_list("driver", flat=True).first() or ""


def host_states(server: Server) -> list[HostState]:
    """Return every host as the scheduler sees it."""
    hosts = list(Host.objects.prefetch_related("aggregates"))
    usages = usage_by_host(hosts)
    return [_state(host, usages[host.pk]) for host in hosts]


def _state(host: Host, usage: Usage) -> HostState:
    return HostState(
        name=host.name,
        hypervisor_hostname=host.hypervisor_hostname,
        driver=host.driver,
        hypervisor_type=host.hypervisor_type,
        hypervisor_version=host.hypervisor_version,
        enabled=host.enabled,
        disabled_reason=host.disabled_reason,
        up=host.is_up,
        maintenance=host.maintenance,
        forced_down=host.forced_down,
        availability_zone=host.availability_zone,
        capabilities=host.capabilities,
        supported=tuple(tuple(s) for s in host.capabilities.get("supported_instances", [])),
        aggregates=tuple(a.metadata for a in host.aggregates.all()),
        total=Resources(host.vcpus, host.memory_mb, host.disk_gb),
        reserved=Resources(host.reserved_vcpus, host.reserved_memory_mb, host.reserved_disk_gb),
        ratios=(host.cpu_ratio, host.memory_ratio, host.disk_ratio),
        used=Resources(*usage.resources),
        num_instances=usage.servers,
        io_ops=usage.keep_disks_busy,
    )


def as_data(verdicts: Iterable[Verdict]) -> list[dict[str, Any]]:
    """Return verdicts in the form in which they are kept with an event."""
    return [
        {"host": v.host, "accepted": v.accepted, "reason": v.reason, "code": v.code, "weight": v.weight}
        for v in verdicts
    ]


def verdicts_of(fault: Fault) -> list[dict[str, Any]]:
    """Return the verdicts that a refusal of the scheduler carries, or none."""
    return as_data(fault.facts.get("verdicts", ()))
