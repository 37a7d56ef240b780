"""Machines that run guests, and the storage that they see."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.db import models

from servers import clock
from servers.capacity import allocatable


class Aggregate(models.Model):
    """A named group of hosts with metadata, as Nova has them."""

    uuid = models.UUIDField(default=uuid4, unique=True, editable=False)
    name = models.CharField(max_length=255, unique=True)
    availability_zone = models.CharField(max_length=255, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    def __str__(self) -> str:
        return self.name


class StoragePool(models.Model):
    """A place for disks. `identity` tells whether two hosts see the same one: a path, an export, a volume group."""

    name = models.CharField(max_length=255)
    identity = models.CharField(max_length=255, unique=True)
    shared = models.BooleanField(default=False)
    capacity_gb = models.PositiveIntegerField(default=0)
    hosts: models.ManyToManyField[Host, Any] = models.ManyToManyField(
        "Host", related_name="pools", blank=True
    )

    def __str__(self) -> str:
        return f"{self.name} ({'shared' if self.shared else 'local'})"


class Host(models.Model):
    """A hypervisor. It is a compute service and a hypervisor in Nova's API, with one identity for both."""

    uuid = models.UUIDField(default=uuid4, unique=True, editable=False)
    service_uuid = models.UUIDField(default=uuid4, unique=True, editable=False)
    name = models.CharField(max_length=255, unique=True, help_text="Name of the compute service.")
    hypervisor_hostname = models.CharField(max_length=255, unique=True)
    address = models.GenericIPAddressField(default="127.0.0.1")
    driver = models.CharField(max_length=32, default="simulated")
    uri = models.CharField(max_length=255, blank=True, help_text="Connection URI of the driver.")
    domain_type = models.CharField(max_length=16, default="kvm", help_text="kvm or qemu; never guessed.")
    hypervisor_type = models.CharField(max_length=32, default="QEMU")
    hypervisor_version = models.PositiveIntegerField(default=0)
    cpu_model = models.CharField(max_length=255, blank=True)
    capabilities = models.JSONField(default=dict, blank=True)

    enabled = models.BooleanField(default=True)
    disabled_reason = models.CharField(max_length=255, blank=True)
    forced_down = models.BooleanField(default=False)
    maintenance = models.BooleanField(default=False)
    heartbeat_at = models.DateTimeField(null=True, blank=True, editable=False)
    availability_zone = models.CharField(max_length=255, default="nova")
    aggregates = models.ManyToManyField(Aggregate, related_name="hosts", blank=True)

    vcpus = models.PositiveIntegerField(default=0)
    memory_mb = models.PositiveIntegerField(default=0)
    disk_gb = models.PositiveIntegerField(default=0)
    cpu_ratio = models.FloatField(default=4.0)
    memory_ratio = models.FloatField(default=1.0)
    disk_ratio = models.FloatField(default=1.0)
    reserved_vcpus = models.PositiveIntegerField(default=0)
    reserved_memory_mb = models.PositiveIntegerField(default=512)
    reserved_disk_gb = models.PositiveIntegerField(default=0)
    generation = models.PositiveBigIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    updated_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def is_up(self) -> bool:
        """Return whether the host's driver answered lately and nobody has forced it down."""
        if self.forced_down or self.heartbeat_at is None:
            return False
        return clock.now() - self.heartbeat_at <= timedelta(seconds=settings.HEARTBEAT_LIMIT_S)

    def capacity(self) -> tuple[int, int, int]:
        """Return how many vCPUs, MiB and GiB may be allocated in all."""
        return (
            allocatable(self.vcpus, self.reserved_vcpus, self.cpu_ratio),
            allocatable(self.memory_mb, self.reserved_memory_mb, self.memory_ratio),
            allocatable(self.disk_gb, self.reserved_disk_gb, self.disk_ratio),
        )
