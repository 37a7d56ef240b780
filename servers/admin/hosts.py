"""Hosts: what they have promised, what is used, and whether they take servers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from servers.admin import badges
from servers.admin.action_form_view import SeeOther
from servers.admin.caller import allows, context_for
from servers.admin.discover import RULE as DISCOVER
from servers.admin.discover import discover_page
from servers.admin.idempotency import kept
from servers.admin.pages import PageAdmin
from servers.admin.site import console
from servers.admin.times import moment
from servers.engine.capacity.usage import allocations_by_host
from servers.engine.hosts import set_service
from servers.engine.visibility import HYPERVISORS
from servers.models import Host, Migration
from servers.states import MIGRATION_OVER

UPDATE = "os_compute_api:os-services:update"


@dataclass(frozen=True)
class HostResource:
    """What is taken of one resource of a host. `capacity` is what may be allocated; the rest are parts of it."""

    unit: str
    capacity: int
    allocated: int
    used: int
    reserved: int
    total: int

    @property
    def percent(self) -> int:
        """Return how much of the capacity is allocated, in percent."""
        return round(100 * self.allocated / self.capacity) if self.capacity > 0 else 0

    @property
    def used_percent(self) -> int:
        """Return how much of the capacity the servers that are here use, in percent."""
        return round(100 * self.used / self.capacity) if self.capacity > 0 else 0

    @property
    def text(self) -> str:
        return f"{self.allocated} of {self.capacity} {self.unit} allocated ({self.percent} %)"

    @property
    def words(self) -> str:
        """Return all numbers in a sentence."""
        return f"{self.used} used by servers here, {self.reserved} of {self.total} reserved for the host"


def usages_of(host: Any) -> dict[str, HostResource]:
    """Return the usage of each resource of a host that carries its sums."""
    cpu, memory, disk = host.capacity()
    return {
        "CPU": HostResource(
            "vCPU", cpu, host.allocated_vcpus, host.used_vcpus, host.reserved_vcpus, host.vcpus
        ),
        "Memory": HostResource(
            "MiB", memory, host.allocated_memory, host.used_memory, host.reserved_memory_mb, host.memory_mb
        ),
        "Disk": HostResource(
            "GiB", disk, host.allocated_disk, host.used_disk, host.reserved_disk_gb, host.disk_gb
        ),
    }


class SwitchForm(forms.Form):
    """Whether the scheduler may choose the host, and why not."""

    enabled = forms.TypedChoiceField(
        choices=[("yes", "enable"), ("no", "disable")], coerce=lambda w: w == "yes"
    )
    reason = forms.CharField(max_length=255, required=False)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("enabled") is False and not cleaned.get("reason"):
            self.add_error("reason", "Say why, for whoever finds the host disabled.")
        return cleaned


@admin.register(Host, site=console)
class HostAdmin(PageAdmin):
    """Machines that run guests."""

    read_rule = HYPERVISORS
    show_rule = "os_compute_api:os-hypervisors:show"
    page_name = "host"
    list_display = ("name", "state", "servers_here", "cpu", "memory", "disk", "zone", "heard")
    list_filter = ("enabled", "forced_down", "maintenance", "driver", "availability_zone")
    search_fields = ("name", "hypervisor_hostname", "address")
    search_help_text = "name, address"
    ordering = ("name",)
    actions = None
    change_list_template = "admin/servers/host_list.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        here = {"servers__deleted_at": None}
        counted = Host.objects.annotate(
            servers_count=Count("servers", filter=Q(**here)),
            used_vcpus=Sum("servers__vcpus", filter=Q(**here), default=0),
            used_memory=Sum("servers__memory_mb", filter=Q(**here), default=0),
            used_disk=Sum("servers__root_gb", filter=Q(**here), default=0),
        )
        return counted.order_by("name")

    def get_urls(self) -> list[URLPattern]:
        switch = path(
            "<int:host_id>/switch/", self.admin_site.admin_view(self.switch), name="servers_host_switch"
        )
        discover = path("discover/", self.admin_site.admin_view(self.discover), name="servers_host_discover")
        return [switch, discover, *super().get_urls()]

    def discover(self, request: HttpRequest) -> HttpResponse:
        """Show what hypervisors have that is not recorded, or write it."""
        return discover_page(request, self.admin_site)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        shown = {"may_discover": allows(request, DISCOVER), **(extra_context or {})}
        return super().changelist_view(request, shown)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        listed = super().get_changelist_instance(request)
        add_allocations(listed.result_list)
        return listed

    def switch(self, request: HttpRequest, host_id: int) -> HttpResponse:
        """Enable or disable a host."""
        if not allows(request, UPDATE):
            raise PermissionDenied(f"Policy doesn't allow {UPDATE} to be performed.")
        host = get_object_or_404(self.get_queryset(request), pk=host_id)
        if request.method != "POST":
            return self.show(request, host)
        form = SwitchForm(request.POST)
        if not form.is_valid():
            return self.show(request, host, 400, form=form)
        row = Host.objects.get(pk=host.pk)
        wanted = form.cleaned_data
        with transaction.atomic():
            set_service(row, context_for(request), enabled=wanted["enabled"], reason=wanted["reason"])
            said = "Enabled." if row.enabled else f"Disabled: {row.disabled_reason}"
            self.log_change(request, row, said)
            response = kept(request, SeeOther(reverse("admin:servers_host_change", args=[row.pk])))
        messages.success(request, f"{row.name}: {said}")
        return response

    def page(self, request: HttpRequest, host: Any) -> dict[str, Any]:
        """Return what stands on the host's page."""
        add_allocations([host])
        moves = Migration.objects.filter(Q(source_compute=host.name) | Q(dest_compute=host.name))
        return {
            "original": host,
            "host": host,
            "usages": usages_of(host),
            "form": SwitchForm(initial={"reason": host.disabled_reason}),
            "refusal": "" if allows(request, UPDATE) else f"Policy doesn't allow {UPDATE} to be performed.",
            "servers": host.servers.filter(deleted_at=None).order_by("name"),
            "moves": moves.exclude(status__in=MIGRATION_OVER).select_related("server"),
            "pools": host.pools.all(),
            "aggregates": host.aggregates.all(),
        }

    # -------------------------------------------------------------------------------------- columns

    @admin.display(description="state")
    def state(self, host: Host) -> SafeString:
        shown = badges.host_badges(host)
        if host.enabled or not host.disabled_reason:
            return shown
        return format_html('{} <span class="quiet">{}</span>', shown, host.disabled_reason)

    @admin.display(description="servers", ordering="servers_count")
    def servers_here(self, host: Any) -> SafeString:
        address = reverse("admin:servers_server_changelist")
        return format_html('<a href="{}?host={}">{}</a>', address, host.name, host.servers_count)

    @admin.display(description="CPU")
    def cpu(self, host: Any) -> SafeString:
        return small_bar("CPU", usages_of(host)["CPU"])

    @admin.display(description="memory")
    def memory(self, host: Any) -> SafeString:
        return small_bar("Memory", usages_of(host)["Memory"])

    @admin.display(description="disk")
    def disk(self, host: Any) -> SafeString:
        return small_bar("Disk", usages_of(host)["Disk"])

    @admin.display(description="zone", ordering="availability_zone")
    def zone(self, host: Host) -> str:
        return host.availability_zone

    @admin.display(description="last answered", ordering="heartbeat_at")
    def heard(self, host: Host) -> SafeString | str:
        return moment(host.heartbeat_at)


def add_allocations(hosts: Any) -> None:
    """Give each host the sums of its allocations: a query of its own, because two joins would multiply each other."""
    allocations = allocations_by_host(hosts)
    for host in hosts:
        allocated = allocations[host.pk]
        host.allocated_vcpus, host.allocated_memory, host.allocated_disk = allocated


def small_bar(name: str, usage: HostResource) -> SafeString:
    """Return a bar for a table's cell."""
    return format_html(
        '<span class="small-bar"><svg class="track" role="meter" aria-label="{}" aria-valuemin="0" '
        'aria-valuemax="100" aria-valuenow="{}" aria-valuetext="{}"><rect class="fill" width="{}%" '
        'height="100%"/></svg> {} %</span>',
        name,
        min(usage.percent, 100),
        usage.text,
        min(usage.percent, 100),
        usage.percent,
    )
