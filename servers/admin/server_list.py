"""Servers: the list, and each one's page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from servers.actions import Action
from servers.admin import action_form_view, badges, bulk, filters
from servers.admin.buttons import offered
from servers.admin.caller import allows
from servers.admin.labels import action_label
from servers.admin.pages import WatchedAdmin
from servers.admin.server_page import live_part, whole_page
from servers.admin.site import console
from servers.admin.tags import addresses, copyable
from servers.admin.times import moment
from servers.amounts import size
from servers.engine.visibility import SERVER_HOST
from servers.models import Project, Server

BulkAction = Callable[[Any, HttpRequest, QuerySet[Server]], HttpResponse | None]


def bulk_action(action: type[Action]) -> BulkAction:
    """Return what the list does when the action is chosen for selected rows."""

    def choose(modeladmin: Any, request: HttpRequest, queryset: QuerySet[Server]) -> HttpResponse | None:
        ids = list(queryset.order_by("name").values_list("pk", flat=True)[: bulk.LIMIT + 1])
        if len(ids) > bulk.LIMIT:
            text = f"At most {bulk.LIMIT} servers at once; {queryset.count()} are selected."
            messages.error(request, text)
            return None
        return action_form_view.SeeOther(bulk.bulk_url(action, ids))

    return choose


@admin.register(Server, site=console)
class ServerAdmin(WatchedAdmin):
    """Virtual machines."""

    read_rule = "os_compute_api:servers:index"
    page_name = "server"
    owner_field = "project_id"
    ordering = ("name", "uuid")
    list_filter = (filters.StateFilter, filters.BusyFilter, filters.HostFilter, filters.ProjectFilter)
    search_fields = ("name", "uuid", "interfaces__addresses", "project_id", "host__name")
    search_help_text = "name, UUID, address, host or project"
    list_per_page = 50
    actions_selection_counter = True

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        host = ["on_host"] if allows(request, SERVER_HOST) else []
        return ["name", "state", *host, "address", "project", "size", "power", "made"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        names = Project.objects.filter(pk=OuterRef("project_id")).values("name")[:1]
        rows = super().get_queryset(request).filter(deleted_at=None).select_related("host")
        annotated: QuerySet[Any] = rows.prefetch_related("interfaces").annotate(project_name=Subquery(names))
        return annotated

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        found, duplicates = super().get_search_results(request, queryset, search_term)
        if search_term.strip():
            found = queryset.filter(
                Q(pk__in=found.values("pk")) | Q(project_name__icontains=search_term.strip())
            )
        return found, duplicates

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return {a.slug: (bulk_action(a), a.slug, f"{action_label(a)} …") for a in offered()}

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [
            path("do/<slug:slug>/", view(self.ask_many), name="servers_server_bulk"),
            path("outcome/<slug:key>/", view(self.outcome), name="servers_server_outcome"),
            path("<uuid:server_id>/do/<slug:slug>/", view(self.ask), name="servers_server_do"),
        ]
        return own + super().get_urls()

    # ---------------------------------------------------------------------------------------- pages

    def ask(self, request: HttpRequest, server_id: UUID, slug: str) -> HttpResponse:
        return action_form_view.ask(request, self.admin_site, str(server_id), slug)

    def ask_many(self, request: HttpRequest, slug: str) -> HttpResponse:
        return bulk.ask_many(request, self.admin_site, slug)

    def outcome(self, request: HttpRequest, key: str) -> HttpResponse:
        return bulk.show_outcome(request, self.admin_site, key)

    def find(self, request: HttpRequest, key: str) -> Server:
        return action_form_view.server_or_404(request, key)

    def page(self, request: HttpRequest, server: Server) -> dict[str, Any]:
        return whole_page(request, server)

    def live_part(self, request: HttpRequest, server: Server) -> dict[str, Any]:
        return live_part(request, server)

    # -------------------------------------------------------------------------------------- columns

    @admin.display(description="state", ordering="vm_state")
    def state(self, server: Server) -> SafeString:
        return format_html("{} {}", badges.server_badge(server), badges.lock_badge(server))

    @admin.display(description="host", ordering="host__name")
    def on_host(self, server: Server) -> SafeString | str:
        if server.host is None:
            return "–"
        address = reverse("admin:servers_host_change", args=[server.host.pk])
        return format_html('<a href="{}">{}</a>', address, server.host.name)

    @admin.display(description="addresses")
    def address(self, server: Server) -> SafeString | str:
        return format_html_join(" ", "{}", ((copyable(a, "address"),) for a in addresses(server))) or "–"

    @admin.display(description="project", ordering="project_name")
    def project(self, server: Any) -> str:
        return str(server.project_name or server.project_id)

    @admin.display(description="size", ordering="memory_mb")
    def size(self, server: Server) -> str:
        return f"{server.vcpus} vCPU, {size(server.memory_mb * 2**20)}"

    @admin.display(description="power")
    def power(self, server: Server) -> SafeString:
        return badges.power_badge(server)

    @admin.display(description="created", ordering="created_at")
    def made(self, server: Server) -> SafeString | str:
        return moment(server.created_at)
