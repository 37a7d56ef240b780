"""The scheduler, called with the fleet as recorded: rows become plain facts, verdicts become JSON data."""

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
    """Return hosts for `server`, best first, with the verdict on every host.

    `requested` is the only host to consider; hosts in `ignore` are left out; `at_most` 0 returns all. Raises
    NoValidHost with the verdicts in its facts. Claims nothing.
    """
    request = move_request(server, requested, ignore)
    return scheduler.select_hosts(request, host_states(), filters=settings.SCHEDULER_FILTERS, count=at_most)


def check_forced(server: Server, host: str) -> None:
    """Check a host that was forced, past the scheduler (Nova contract B.7).

    Raises ComputeHostNotFound when it is not recorded, and the ActionFaults of `scheduler.check_forced`.
    """
    state = next((s for s in host_states() if s.name == host), None)
    if state is None:
        raise ComputeHostNotFound(host=host)
    scheduler.check_forced(move_request(server, host, ()), state)


def explain_hosts(server: Server) -> list[Verdict]:
    """Return the scheduler's verdict on every host for a move of `server`, accepted hosts first."""
    source = server.host.name if server.host else None
    request = move_request(server, None, [source] if source else [])
    return list(scheduler.explain(request, host_states(), filters=settings.SCHEDULER_FILTERS))


def move_request(server: Server, requested: str | None, ignore: Iterable[str]) -> MoveRequest:
    """Return the scheduler's request for one attempt to move the server; never stored (Nova contract F19)."""
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
    """Return the driver of the backup from which the server is restored, "" for any other server."""
    images = Image.objects.filter(actions__server=server, actions__slug=Restore.slug)
    return images.values_list("driver", flat=True).first() or ""


def host_states() -> list[HostState]:
    """Return every recorded host, with its usage, in the form that the scheduler takes."""
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
    """Return verdicts as JSON data, the form in which an event keeps them."""
    return [
        {"host": v.host, "accepted": v.accepted, "reason": v.reason, "code": v.code, "weight": v.weight}
        for v in verdicts
    ]


def verdicts_of(fault: Fault) -> list[dict[str, Any]]:
    """Return the verdicts that a NoValidHost carries, as JSON data; [] when the fault carries none."""
    return as_data(fault.facts.get("verdicts", ()))
