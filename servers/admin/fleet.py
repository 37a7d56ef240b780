"""Hosts, their storage, and the sizes and groups of servers."""

from __future__ import annotations

from django.contrib import admin

from servers.models import Aggregate, Flavor, Host, ServerGroup, StoragePool


@admin.register(Host)
class HostAdmin(admin.ModelAdmin[Host]):
    """Machines that run guests."""

    list_display = ("name", "enabled", "up", "maintenance", "driver", "vcpus", "memory_mb", "disk_gb")
    list_filter = ("enabled", "forced_down", "maintenance", "driver", "availability_zone")
    search_fields = ("name", "hypervisor_hostname", "address")
    filter_horizontal = ("aggregates",)
    readonly_fields = ("uuid", "service_uuid", "generation", "heartbeat_at", "created_at", "updated_at")

    @admin.display(boolean=True)
    def up(self, host: Host) -> bool:
        """Return whether the host was heard of lately."""
        return host.is_up


@admin.register(StoragePool)
class StoragePoolAdmin(admin.ModelAdmin[StoragePool]):
    """Places for disks, and the hosts that see them."""

    list_display = ("name", "identity", "shared", "capacity_gb")
    list_filter = ("shared",)
    filter_horizontal = ("hosts",)


@admin.register(Flavor)
class FlavorAdmin(admin.ModelAdmin[Flavor]):
    """Sizes of servers."""

    list_display = ("name", "vcpus", "memory_mb", "root_gb", "is_public")
    search_fields = ("name", "flavorid")


@admin.register(ServerGroup)
class ServerGroupAdmin(admin.ModelAdmin[ServerGroup]):
    """Servers that are to stay together, or apart."""

    list_display = ("name", "policy", "project_id")
    list_filter = ("policy",)


@admin.register(Aggregate)
class AggregateAdmin(admin.ModelAdmin[Aggregate]):
    """Named groups of hosts."""

    list_display = ("name", "availability_zone")
