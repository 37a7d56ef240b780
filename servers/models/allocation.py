"""What a host has promised to whom. Both hosts are charged during a move, so a revert always has room."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from servers import clock
from servers.models.host import Host
from servers.models.migration import Migration
from servers.models.server import Server


class Allocation(models.Model):
    """Room on a host, held by a server or by one of its migrations (Nova contract C.7)."""

    host = models.ForeignKey(Host, on_delete=models.PROTECT, related_name="allocations")
    server = models.ForeignKey(
        Server, null=True, blank=True, on_delete=models.CASCADE, related_name="allocations"
    )
    migration = models.ForeignKey(
        Migration, null=True, blank=True, on_delete=models.CASCADE, related_name="allocations"
    )
    vcpus = models.PositiveIntegerField()
    memory_mb = models.PositiveIntegerField()
    disk_gb = models.PositiveIntegerField()
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(server=None) ^ Q(migration=None), name="allocation_has_one_consumer"
            ),
            models.UniqueConstraint(
                fields=["server"], condition=Q(migration=None), name="server_allocates_on_one_host"
            ),
            models.UniqueConstraint(
                fields=["migration"], condition=Q(server=None), name="migration_allocates_on_one_host"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.vcpus} vCPU, {self.memory_mb} MiB, {self.disk_gb} GiB on {self.host_id}"
