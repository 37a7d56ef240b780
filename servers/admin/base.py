"""What the console's pages have in common: the policy decides who sees and who changes what."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import get_fields_from_path, unquote
from django.contrib.admin.views.main import SEARCH_VAR, ChangeList, ChangeListSearchForm
from django.core.exceptions import BadRequest, ValidationError
from django.db import DataError, transaction
from django.db.models import Model, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest, HttpResponse
from django.utils.text import capfirst

from servers.admin.caller import FLEET, OPERATORS, allows, context_for
from servers.admin.histories import history_address, history_page, missing
from servers.admin.idempotency import kept
from servers.admin.showing import shown
from servers.engine.visibility import GUARDED, visible
from servers.models import Token

LONGEST_SEARCH = 255
"""Characters. Each word is a condition on each column that is searched."""


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


class SearchForm(ChangeListSearchForm):
    """What is searched for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields[SEARCH_VAR] = forms.CharField(required=False, strip=False, max_length=LONGEST_SEARCH)


class RecordList(ChangeList):
    """A list of rows, as the caller may see them."""

    search_form_class = SearchForm

    def get_results(self, request: HttpRequest) -> None:
        """Read the page. Raises IncorrectLookupParameters where the database cannot compare with what the address says."""
        try:
            super().get_results(request)
            self.result_list = shown(request, list(self.result_list))
        except (ValueError, ValidationError, OverflowError, DataError) as error:
            raise IncorrectLookupParameters from error


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

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        return [each for each in self.list_filter if self.is_offered(each, request)]

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        return [path for path in self.search_fields if self.is_offered(path, request)]

    def is_offered(self, each: Any, request: HttpRequest) -> bool:
        """Return whether the caller may filter by something: a class of filter, or the path of a field that he sees."""
        if not isinstance(each, str):
            return bool(each.is_offered(request))
        rule = GUARDED.get(self.model, {}).get(each.partition(LOOKUP_SEP)[0])
        return rule is None or allows(request, rule)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Return whether a filter of the caller's page asks by `lookup`: the address bar offers no others."""
        return request is not None and any(
            lookup in self.lookups_of(each, request) for each in self.get_list_filter(request)
        )

    def lookups_of(self, each: Any, request: HttpRequest) -> list[str]:
        """Return the lookups by which one of the page's filters asks: a class, or the path of a field."""
        if not isinstance(each, str):
            return [each.parameter_name]
        field = get_fields_from_path(self.model, each)[-1]
        made = admin.FieldListFilter.create(field, request, {}, self.model, self, field_path=each)
        return [str(name) for name in made.expected_parameters()]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return RecordList

    def response_action(  # the stubs know one parameter that Django does not have
        self, request: HttpRequest, queryset: QuerySet[Any], *more: Any
    ) -> HttpResponse | None:
        for key in request.POST.getlist(ACTION_CHECKBOX_NAME):
            if not self.is_key(key):
                raise BadRequest("What was selected is no row of this list.")
        return super().response_action(request, queryset, *more)

    def is_key(self, text: str) -> bool:
        """Return whether a row could have this key."""
        try:
            self.opts.pk.clean(text, None)
        except ValidationError:
            return False
        return "\0" not in text

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        history = history_address(request, self.model, unquote(object_id)) if object_id else ""
        context = {"history_address": history, **(extra_context or {})}
        with transaction.atomic() if request.method == "POST" else nullcontext():
            return kept(request, super().changeform_view(request, object_id, form_url, context))

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        with transaction.atomic() if request.method == "POST" else nullcontext():
            return kept(request, super().delete_view(request, object_id, extra_context))

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return history_page(request, self.admin_site, self.model, unquote(object_id))

    def _get_obj_does_not_exist_redirect(
        self, request: HttpRequest, opts: Any, object_id: str
    ) -> HttpResponse:
        key = unquote(object_id)
        return missing(request, self.admin_site, self.model, key, f"There is no {opts.verbose_name} {key}.")

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
