"""Writing hosts as they describe themselves, with the storage pools that they see."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction

from servers import clock
from servers.drivers.base import HostRef
from servers.engine.records.batches import in_batches
from servers.inventory.discovery.facts import HostFacts, PoolFacts
from servers.isolation import apart, words
from servers.models import Host, StoragePool

POOLS_AT_ONCE = 50


def write_host(target: HostRef, facts: HostFacts) -> Host:
    """Write a host as it described itself, without pools, and return its row; in the caller's transaction.

    The row is locked and read again, so that a change by an operator at the same time is not lost.
    `generation` is raised, so that a claim which was counted with the former size is counted again.
    """
    known = Host.objects.select_for_update().filter(name=target.name).first()
    host: Host = known or Host(name=target.name)
    fill_host(host, facts)
    host.generation += 1
    host.heartbeat_at = host.updated_at = clock.now()
    host.save()
    return host


def write_pools(host: Any, pools: Sequence[PoolFacts]) -> list[str]:
    """Let the host have exactly these pools; return identity and error of each that could not be written.

    POOLS_AT_ONCE pools are written in one transaction. The host loses each pool that it has no more; a pool that
    could not be written stays with the host as it was known.
    """
    found: list[StoragePool | Exception] = []
    in_order = sorted(pools, key=lambda pool: pool.identity)
    for batch in in_batches(in_order, POOLS_AT_ONCE):
        with transaction.atomic():
            written = [apart(partial(write_pool, facts), "adoption.odd_pool") for facts in batch]
            host.pools.add(*(pool for pool in written if isinstance(pool, StoragePool)))
        found += written
    held = [facts.identity for facts in pools]
    for former in in_batches(list(host.pools.exclude(identity__in=held)), POOLS_AT_ONCE):
        host.pools.remove(*former)
    pairs = zip(in_order, found, strict=True)
    return [f"{facts.identity} ({words(error)})" for facts, error in pairs if isinstance(error, Exception)]


def fill_host(host: Host, facts: HostFacts) -> None:
    """Set the row's fields in memory from what the host said of itself.

    `address` is set only when the host's URI has an IP address.
    """
    host.driver, host.uri, host.domain_type = facts.driver, facts.uri, facts.domain_type
    host.hypervisor_hostname = facts.hostname
    host.hypervisor_type, host.hypervisor_version = facts.hypervisor, facts.version
    host.cpu_model = facts.cpu_model
    host.vcpus, host.memory_mb, host.disk_gb = facts.vcpus, facts.memory_mb, facts.disk_gb
    address = urlsplit(facts.uri).hostname or ""
    if is_address(address):
        host.address = address


def is_address(text: str) -> bool:
    """Return whether the text is an IP address. Names are not resolved here, because that can take long."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def write_pool(facts: PoolFacts) -> StoragePool:
    """Insert or update the pool with this identity, and return it. A pool that is known keeps its name."""
    values = {"shared": facts.shared, "capacity_gb": facts.capacity_gb}
    pool, _ = StoragePool.objects.update_or_create(
        identity=facts.identity, defaults=values, create_defaults={"name": facts.name, **values}
    )
    return pool
