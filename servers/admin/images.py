"""Images: backups for the most part; they are restored, downloaded and deleted here."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import slugify

from servers.admin import badges, restore_view
from servers.admin.action_form_view import SeeOther, status_of
from servers.admin.caller import allows, context_for
from servers.admin.filters import ProjectFilter
from servers.admin.histories import history_address
from servers.admin.idempotency import keeping
from servers.admin.pages import PageAdmin
from servers.admin.site import console
from servers.admin.times import moment
from servers.amounts import size
from servers.engine.accepting.restore import refuses
from servers.engine.images import delete_image, open_image
from servers.engine.visibility import judged_as, visible_images
from servers.errors import ImageMissing, Refusal, ServiceUnavailable
from servers.models import Image
from servers.states import ImageStatus

DOWNLOAD, DELETE = "download_image", "delete_image"


@admin.register(Image, site=console)
class ImageAdmin(PageAdmin):
    """Images of disks."""

    read_rule = show_rule = "get_images"
    page_name = "image"
    related = ("server",)
    list_filter = ("status", "backup_type", "image_type", "protected", ProjectFilter, "created_at")
    list_select_related = ("server",)
    search_fields = ("name", "uuid", "instance_uuid", "server__name")
    search_help_text = "name, UUID, server"
    actions = None

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return ["name", "state", "kind", "of_server", "bytes", "made"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return visible_images(context_for(request)).order_by("-created_at", "-uuid")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [
            path("<uuid:image_id>/download/", view(self.download), name="servers_image_download"),
            path("<uuid:image_id>/restore/", view(self.restore), name="servers_image_restore"),
            path("<uuid:image_id>/remove/", view(self.remove), name="servers_image_remove"),
        ]
        return own + super().get_urls()

    def page(self, request: HttpRequest, image: Image) -> dict[str, Any]:
        """Return what stands on the image's page."""
        return {
            "image": image,
            "download_refusal": refused(request, DOWNLOAD, judged_as(image, context_for(request))),
            "delete_refusal": refused(request, DELETE, image.project_id),
            "restore_refusal": refuses(image, context_for(request)) or "",
            "is_there": image.status == ImageStatus.ACTIVE and not image.never_uploaded,
        }

    def download(self, request: HttpRequest, image_id: UUID) -> HttpResponse | StreamingHttpResponse:
        """Return the image's bytes."""
        image = self.find(request, str(image_id))
        refusal = refused(request, DOWNLOAD, judged_as(image, context_for(request)))
        if refusal:
            raise PermissionDenied(refusal)
        name = f"{slugify(image.name) or image.pk}.{image.disk_format}"
        try:
            content = open_image(image)
        except ImageMissing as fault:
            raise Http404(str(fault)) from fault
        except ServiceUnavailable as fault:
            return self.show(request, image, status_of(fault), delete_refusal=str(fault))
        response = StreamingHttpResponse(content, content_type="application/octet-stream")
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        if image.size_bytes is not None:
            response["Content-Length"] = str(image.size_bytes)
        return response

    def restore(self, request: HttpRequest, image_id: UUID) -> HttpResponse:
        """Make a new server of the image."""
        return restore_view.ask(request, self.admin_site, self.find(request, str(image_id)))

    def remove(self, request: HttpRequest, image_id: UUID) -> HttpResponse:
        """Delete the image."""
        image, listed = self.find(request, str(image_id)), reverse("admin:servers_image_changelist")
        if request.method != "POST":
            return self.show(request, image)
        try:
            delete_image(image, context_for(request), keeping(request, lambda deleted: listed))
        except Refusal as fault:
            return self.show(request, image, status_of(fault), delete_refusal=str(fault))
        self.log_deletions(request, Image.objects.filter(pk=image.pk))
        history = history_address(request, Image, image.pk)
        where = format_html('<a href="{}">Its history</a>', history) if history else ""
        messages.success(request, format_html("Image {} is deleted. {}", image.name, where))
        return SeeOther(listed)

    # -------------------------------------------------------------------------------------- columns

    @admin.display(description="status", ordering="status")
    def state(self, image: Image) -> SafeString:
        return badges.image_badge(image.status)

    @admin.display(description="type", ordering="backup_type")
    def kind(self, image: Image) -> str:
        return f"{image.backup_type} {image.image_type}".strip()

    @admin.display(description="server", ordering="server__name")
    def of_server(self, image: Image) -> SafeString | str:
        if image.server is None:
            return "–"
        address = reverse("admin:servers_server_change", args=[image.server.pk])
        return format_html('<a href="{}">{}</a>', address, image.server.name)

    @admin.display(description="size", ordering="size_bytes")
    def bytes(self, image: Image) -> str:
        return "nothing in it" if image.never_uploaded else size(image.size_bytes)

    @admin.display(description="created", ordering="created_at")
    def made(self, image: Image) -> SafeString | str:
        return moment(image.created_at)


def refused(request: HttpRequest, rule: str, project_id: str) -> str:
    """Return why the policy does not let the caller, or nothing."""
    return "" if allows(request, rule, project_id) else f"Policy doesn't allow {rule} to be performed."
