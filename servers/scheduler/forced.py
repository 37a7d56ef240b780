"""What is checked of a host that the scheduler is not asked about (Nova contract B.7)."""

from __future__ import annotations

from servers.errors import (
    ComputeServiceUnavailable,
    DestinationHypervisorTooOld,
    GroupPolicyViolated,
    InvalidHypervisorType,
    MigrationPreCheckError,
    UnableToMigrateToSelf,
)
from servers.scheduler import groups
from servers.scheduler.filters.driver import DriverFilter
from servers.scheduler.request import HostState, MoveRequest


def check_forced(request: MoveRequest, host: HostState) -> None:
    """Check a host that was forced; a disabled one will do, and no filter is asked but the driver's.

    The promise of the server's group holds here as well: Nova's destination looks at it however it was chosen
    (since 23.0.0). It is checked again by the claim that follows, and so is whether the host has room for an
    allocation (Nova contract F20, F21). Raises UnableToMigrateToSelf, ComputeServiceUnavailable,
    MigrationPreCheckError, InvalidHypervisorType, DestinationHypervisorTooOld, GroupPolicyViolated.
    """
    if host.name == request.source:
        raise UnableToMigrateToSelf(instance_id=request.server_uuid, host=host.name)
    if not host.up:
        raise ComputeServiceUnavailable(host=host.name)
    check_memory(request, host)
    other_driver = DriverFilter().refuses(host, request)
    if other_driver is not None:
        reason = f"Unable to migrate {request.server_uuid} to {host.name}: {other_driver}"
        raise MigrationPreCheckError(reason=reason)
    check_hypervisor(request, host)
    against_group = groups.refuses(request.group, host.name) if request.group else None
    if against_group is not None:
        raise GroupPolicyViolated(reason=against_group)


def check_memory(request: MoveRequest, host: HostState) -> None:
    """Check that more memory is free than the server has (nova _check_destination_has_enough_memory)."""
    free = host.total.memory_mb * host.ratios[1] - host.reserved.memory_mb - host.used.memory_mb
    need = request.resources.memory_mb
    if free <= need:
        lack = f"Lack of memory(host:{free} <= instance:{need})"
        reason = f"Unable to migrate {request.server_uuid} to {host.name}: {lack}"
        raise MigrationPreCheckError(reason=reason)


def check_hypervisor(request: MoveRequest, host: HostState) -> None:
    """Check that the hypervisor is of the source's type and not older than it."""
    if host.hypervisor_type != request.hypervisor_type:
        raise InvalidHypervisorType
    if host.hypervisor_version < request.hypervisor_version:
        raise DestinationHypervisorTooOld
