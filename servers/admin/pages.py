"""Pages of single rows, drawn by templates of their own; and those that move while something goes on."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.admin.utils import unquote
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path

from servers.admin.base import RecordAdmin
from servers.admin.caller import allows
from servers.admin.histories import history_address, missing
from servers.admin.showing import render


class PageAdmin(RecordAdmin):
    """Rows with a page: `page_name` is its template's."""

    show_rule: ClassVar[str]
    page_name: ClassVar[str]
    related: ClassVar[tuple[str, ...]] = ()

    def title_of(self, row: Any) -> str:
        """Return the title of a row's page."""
        return str(row.name)

    def page(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return what stands on a row's page."""
        raise NotImplementedError

    def find(self, request: HttpRequest, key: str) -> Any:
        """Return the row when the caller may see it. Raises Http404 or PermissionDenied."""
        if not allows(request, self.show_rule):
            raise PermissionDenied
        try:
            return self.get_queryset(request).select_related(*self.related).get(pk=key)
        except (ObjectDoesNotExist, ValidationError, ValueError) as error:
            raise Http404(f"There is no {self.opts.verbose_name} {key}.") from error

    def show(self, request: HttpRequest, row: Any, status: int = 200, **more: Any) -> HttpResponse:
        """Return the row's page; `more` stands on it besides, or instead."""
        context = {
            **self.admin_site.each_context(request),
            "history_address": history_address(request, self.model, row.pk),
            **self.page(request, row),
            "title": self.title_of(row),
            "opts": self.opts,
            **more,
        }
        return render(request, f"admin/servers/{self.page_name}.html", context, status=status)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        key = unquote(object_id)
        try:
            row = self.find(request, key)
        except Http404 as reason:
            return missing(request, self.admin_site, self.model, key, str(reason))
        return self.show(request, row)


class WatchedAdmin(PageAdmin):
    """Rows whose page has a part that may have changed since it was sent: `NAME.html` holds `NAME_live.html`."""

    def live_part(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return what stands on that part."""
        return self.page(request, row)

    def get_urls(self) -> list[URLPattern]:
        live = path(
            "<str:key>/live/",
            self.admin_site.admin_view(self.live),
            name=f"servers_{self.opts.model_name}_live",
        )
        return [live, *super().get_urls()]

    def live(self, request: HttpRequest, key: str) -> HttpResponse:
        """Return the part of the page that may have changed."""
        row = self.find(request, key)
        return render(request, f"admin/servers/{self.page_name}_live.html", self.live_part(request, row))
