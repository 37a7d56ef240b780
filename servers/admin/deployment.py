"""What the console says on a machine that has not what the deployment has: why, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from servers.admin.caller import allows
from servers.admin.showing import render
from servers.deployment.members import RULE
from servers.deployment.standing import STANDING


def where_it_agrees(
    site: AdminSite, view: Callable[..., HttpResponseBase]
) -> Callable[..., HttpResponseBase]:
    """Return the view; while this machine differs from the deployment, the page that says so takes its place."""

    @wraps(view)
    def shown(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if STANDING.refuses() is not None:
            return differs_page(request, site)
        return view(request, *args, **kwargs)

    return shown


def differs_page(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """Return the page that takes the place of every other one, or its sentence for a part of a page."""
    context = {
        **site.each_context(request),
        "title": "This machine stays out",
        "differences": STANDING.differences if allows(request, RULE) else (),
        "is_nav_sidebar_enabled": False,  # its pages are not to be had either
        "address": request.get_full_path(),
    }
    part = "HX-Request" in request.headers
    template = "admin/servers/differs_part.html" if part else "admin/servers/differs.html"
    return render(request, template, context, status=503)
