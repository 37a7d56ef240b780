"""What the console's pages have in common: the policy decides who sees and who changes what."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, ClassVar

from django.contrib import admin
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.text import capfirst

from servers.admin.caller import FLEET, OPERATORS, allows, context_for
from servers.admin.idempotency import kept
from servers.engine.visibility import visible
from servers.models import Token


class PolicyPermissions:
    """What Django asks before it shows or changes rows, answered by the policy."""

    read_rule: ClassVar[str] = OPERATORS
    write_rule: ClassVar[str] = ""
    """Who adds, changes and deletes rows by hand; empty where nobody does."""

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return allows(request, self.read_rule)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.may_write(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.may_write(request)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.may_write(request)

    def may_write(self, request: HttpRequest) -> bool:
        """Return whether the caller adds, changes and deletes rows."""
        return self.write_rule != "" and allows(request, self.write_rule)


class RecordAdmin(PolicyPermissions, admin.ModelAdmin[Any]):
    """Pages of rows that are looked at; nobody edits them by hand."""

    list_per_page = 50
    show_full_result_count = False
    empty_value_display = ""
    show_facets = admin.ShowFacets.NEVER
    owner_field: ClassVar[str] = ""
    """The lookup of the owning project's id; empty where rows belong to nobody."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        return visible(rows, context_for(request), self.owner_field) if self.owner_field else rows

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        with transaction.atomic() if request.method == "POST" else nullcontext():
            return kept(request, super().changeform_view(request, object_id, form_url, extra_context))

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        with transaction.atomic() if request.method == "POST" else nullcontext():
            return kept(request, super().delete_view(request, object_id, extra_context))

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        title = capfirst(str(self.opts.verbose_name_plural))
        return super().changelist_view(request, {"title": title, **(extra_context or {})})


class OperatorAdmin(RecordAdmin):
    """Pages of rows that operators edit."""

    write_rule = FLEET


class TokensGoAlong(RecordAdmin):
    """Pages of rows that tokens rest on: whoever may delete such a row ends its tokens."""

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        deleted, counts, needed, protected = super().get_deleted_objects(objs, request)
        return deleted, counts, set(needed) - {Token._meta.verbose_name}, protected


class PolicyInline(PolicyPermissions, admin.StackedInline[Any, Any]):
    """Rows below another row, edited by operators."""

    extra = 0
    write_rule = FLEET
