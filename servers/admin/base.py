"""What the console's pages have in common: the policy decides who sees and who changes what."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.text import capfirst

from servers.admin.caller import OPERATORS, allows, context_for
from servers.engine.visibility import visible


class RecordAdmin(admin.ModelAdmin[Any]):
    """Pages of rows that are looked at; nobody edits them by hand."""

    list_per_page = 50
    show_full_result_count = False
    empty_value_display = ""
    show_facets = admin.ShowFacets.NEVER
    read_rule: ClassVar[str] = OPERATORS
    owner_field: ClassVar[str] = ""
    """The lookup of the owning project's id; empty where rows belong to nobody."""

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return allows(request, self.read_rule)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        return visible(rows, context_for(request), self.owner_field) if self.owner_field else rows

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        title = capfirst(str(self.opts.verbose_name_plural))
        return super().changelist_view(request, {"title": title, **(extra_context or {})})


class OperatorAdmin(RecordAdmin):
    """Pages of rows that operators edit."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return allows(request, OPERATORS)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return allows(request, OPERATORS)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return allows(request, OPERATORS)


class PolicyInline(admin.StackedInline[Any, Any]):
    """Rows below another row, edited by operators."""

    extra = 0

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return allows(request, OPERATORS)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return allows(request, OPERATORS)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return allows(request, OPERATORS)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return allows(request, OPERATORS)
