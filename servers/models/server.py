"""Servers: virtual machines as their owners know them."""

from __future__ import annotations

import hashlib
from uuid import uuid4

from django.db import models

from servers import clock
from servers.models.host import Host, StoragePool
from servers.models.machine import ServerMachine
from servers.states import PowerState, TaskState, VmState, server_status


class Flavor(models.Model):
    """A size. A server keeps a copy, because a flavor may go, and an adopted guest fits none."""

    flavorid = models.CharField(max_length=255, unique=True, default=uuid4)
    name = models.CharField(max_length=255, unique=True)
    vcpus = models.PositiveIntegerField()
    memory_mb = models.PositiveIntegerField()
    root_gb = models.PositiveIntegerField()
    ephemeral_gb = models.PositiveIntegerField(default=0)
    swap_mb = models.PositiveIntegerField(default=0)
    is_public = models.BooleanField(default=True)
    description = models.TextField(null=True, blank=True)
    extra_specs = models.JSONField(default=dict, blank=True)

    def __str__(self) -> str:
        return self.name


class ServerGroup(models.Model):
    """Servers that are to stay together, or apart."""

    POLICIES = [(p, p) for p in ("affinity", "anti-affinity", "soft-affinity", "soft-anti-affinity")]
    uuid = models.UUIDField(default=uuid4, unique=True, editable=False)
    name = models.CharField(max_length=255)
    project_id = models.CharField(max_length=64, db_index=True)
    user_id = models.CharField(max_length=64)
    policy = models.CharField(max_length=32, choices=POLICIES)
    max_server_per_host = models.PositiveIntegerField(default=1)

    def __str__(self) -> str:
        return f"{self.name} ({self.policy})"


class Server(ServerMachine):
    """A virtual machine. `vm_state` and `task_state` change by their edges alone; `power_state` is what was seen."""

    uuid = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    name = models.CharField(max_length=255, db_index=True)
    hostname = models.CharField(max_length=255, blank=True)
    description = models.TextField(null=True, blank=True)
    user_id = models.CharField(max_length=64)
    project_id = models.CharField(max_length=64, db_index=True)
    host = models.ForeignKey(Host, null=True, blank=True, on_delete=models.PROTECT, related_name="servers")
    power_state = models.PositiveSmallIntegerField(
        default=PowerState.NOSTATE, choices=[(p.value, p.word) for p in PowerState]
    )
    progress = models.PositiveSmallIntegerField(default=0)

    flavor = models.ForeignKey(
        Flavor, null=True, blank=True, on_delete=models.SET_NULL, related_name="servers"
    )
    flavor_name = models.CharField(max_length=255, blank=True)
    vcpus = models.PositiveIntegerField()
    memory_mb = models.PositiveIntegerField()
    root_gb = models.PositiveIntegerField(default=0)
    ephemeral_gb = models.PositiveIntegerField(default=0)
    swap_mb = models.PositiveIntegerField(default=0)
    extra_specs = models.JSONField(default=dict, blank=True)

    image_ref = models.CharField(max_length=64, blank=True)
    image_properties = models.JSONField(default=dict, blank=True)
    volume_backed = models.BooleanField(default=False)
    metadata = models.JSONField(default=dict, blank=True)
    tags = models.JSONField(default=list, blank=True)
    key_name = models.CharField(max_length=255, blank=True)
    group = models.ForeignKey(
        ServerGroup, null=True, blank=True, on_delete=models.SET_NULL, related_name="servers"
    )
    availability_zone = models.CharField(max_length=255, default="nova")
    reservation_id = models.CharField(max_length=32, blank=True)
    number = models.PositiveBigIntegerField(default=0, help_text="Nova's internal number, in its names.")
    guest_name = models.CharField(
        max_length=255, blank=True, help_text="Name on the hypervisor, where it was there before its server."
    )

    locked_by = models.CharField(max_length=8, blank=True, choices=[("owner", "owner"), ("admin", "admin")])
    locked_reason = models.CharField(max_length=255, blank=True)
    fault_code = models.CharField(max_length=64, blank=True)
    fault_message = models.TextField(blank=True)
    fault_details = models.TextField(blank=True)
    fault_at = models.DateTimeField(null=True, blank=True)
    seen_at = models.DateTimeField(null=True, blank=True, help_text="When the hypervisor was last asked.")

    created_at = models.DateTimeField(default=clock.now, db_index=True)
    launched_at = models.DateTimeField(null=True, blank=True)
    terminated_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True, db_index=True)

    class Meta:
        ordering = ["-created_at", "uuid"]
        constraints = [
            models.UniqueConstraint(
                fields=["number"], condition=models.Q(number__gt=0), name="number_is_unique"
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def status(self) -> str:
        """Return Nova's `status` word."""
        return server_status(VmState(self.vm_state), TaskState(self.task_state))

    @property
    def instance_name(self) -> str:
        """Return the guest's name on the hypervisor."""
        return self.guest_name or f"instance-{self.number:08x}"

    @property
    def zone(self) -> str:
        """Return the availability zone in which the server is; without a host the one that was asked for."""
        return (self.host or self).availability_zone

    @property
    def host_digest(self) -> str:
        """Return what stands for the host towards its users: sha224 of project and host name."""
        if self.host is None:
            return ""
        return hashlib.sha224(f"{self.project_id}{self.host.name}".encode()).hexdigest()


class ServerDisk(models.Model):
    """A disk of a server, in a storage pool."""

    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="disks")
    pool = models.ForeignKey(StoragePool, on_delete=models.PROTECT, related_name="disks")
    device = models.CharField(max_length=32, default="vda")
    path = models.CharField(max_length=1024)
    format = models.CharField(max_length=16, default="qcow2")
    size_bytes = models.PositiveBigIntegerField()
    used_bytes = models.PositiveBigIntegerField(default=0)

    class Meta:
        ordering = ["device"]
        constraints = [models.UniqueConstraint(fields=["server", "device"], name="disk_device_once")]

    def __str__(self) -> str:
        return f"{self.device} of {self.server_id}"


class NetworkInterface(models.Model):
    """A network interface with everything that the guest has to be told."""

    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="interfaces")
    mac = models.CharField(max_length=17)
    network = models.CharField(max_length=255, default="private")
    addresses = models.JSONField(default=list, help_text='In CIDR form: ["10.0.0.5/24"].')
    gateway = models.CharField(max_length=64, blank=True)
    routes = models.JSONField(
        default=list, blank=True, help_text='[{"destination": CIDR, "gateway": address}]'
    )
    dns = models.JSONField(default=list, blank=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.mac} on {self.network}"
