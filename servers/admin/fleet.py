"""What hosts and servers are made of: storage, sizes, groups, aggregates, and promised room."""

from __future__ import annotations

from django.contrib import admin

from servers.admin.base import OperatorAdmin, RecordAdmin
from servers.admin.site import console
from servers.models import Aggregate, Allocation, Flavor, ServerGroup, StoragePool


@admin.register(StoragePool, site=console)
class StoragePoolAdmin(OperatorAdmin):
    """Places for disks, and the hosts that see them."""

    list_display = ("name", "identity", "shared", "capacity_gb")
    list_filter = ("shared",)


@admin.register(Flavor, site=console)
class FlavorAdmin(OperatorAdmin):
    """Sizes of servers."""

    list_display = ("name", "vcpus", "memory_mb", "root_gb", "is_public")
    search_fields = ("name", "flavorid")


@admin.register(ServerGroup, site=console)
class ServerGroupAdmin(RecordAdmin):
    """Servers that are to stay together, or apart."""

    list_display = ("name", "policy", "project_id")
    list_filter = ("policy",)


@admin.register(Aggregate, site=console)
class AggregateAdmin(OperatorAdmin):
    """Named groups of hosts."""

    list_display = ("name", "availability_zone")


@admin.register(Allocation, site=console)
class AllocationAdmin(RecordAdmin):
    """Room that hosts have promised."""

    list_display = ("host", "server", "migration", "vcpus", "memory_mb", "disk_gb")
    list_filter = ("host",)
    list_select_related = ("host", "server", "migration")
    actions = None
