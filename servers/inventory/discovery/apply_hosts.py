"""Writing hosts as they describe themselves, with the pools that they see."""

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
    """Write a host as it described itself; its pools come afterwards. In the caller's transaction.

    Its row is locked, so that whoever switches it off at this moment is not overruled, and its generation is
    raised: what was counted with its former size is counted again.
    """
    known = Host.objects.select_for_update().filter(name=target.name).first()
    host: Host = known or Host(name=target.name)
    fill_host(host, facts)
    host.generation += 1
    host.heartbeat_at = host.updated_at = clock.now()
    host.save()
    return host


def write_pools(host: Any, pools: Sequence[PoolFacts]) -> list[str]:
    """Let the host have these pools and no others; return those of which it says something that cannot be kept."""
    found: list[StoragePool | Exception] = []
    in_order = sorted(pools, key=lambda pool: pool.identity)
    for batch in in_batches(in_order, POOLS_AT_ONCE):
        with transaction.atomic():
            written = [apart(partial(write_pool, facts), "adoption.odd_pool") for facts in batch]
            host.pools.add(*(pool for pool in written if isinstance(pool, StoragePool)))
        found += written
    held = [pool.pk for pool in found if isinstance(pool, StoragePool)]
    for former in in_batches(list(host.pools.exclude(pk__in=held)), POOLS_AT_ONCE):
        host.pools.remove(*former)
    pairs = zip(in_order, found, strict=True)
    return [f"{facts.identity} ({words(error)})" for facts, error in pairs if isinstance(error, Exception)]


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
