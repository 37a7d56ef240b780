"""The form that makes a new server out of a backup."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from servers.actions.restore import Restore
from servers.admin.action_form_view import (
    SeeOther,
    describe,
    earlier_submission,
    record_url,
    remember_submission,
    status_of,
)
from servers.admin.caller import allows, context_for
from servers.admin.equivalents import restore_line
from servers.admin.forms import ActionForm
from servers.engine.accepting.restore import refuses, restore
from servers.errors import Refusal
from servers.models import Host, Image

CHOOSES_HOST = next(rule.name for rule in Restore.policy if rule.when is not None)


def ask(request: HttpRequest, site: AdminSite, image: Image) -> HttpResponse:
    """Show the form, or hand in what it says."""
    form = form_of(request, image)
    if request.method == "POST":
        earlier = earlier_submission(request)
        if earlier is not None:
            return SeeOther(record_url(earlier))
        if form.is_valid():
            return hand_in(request, site, image, form)
    refusal = refuses(image, context_for(request))
    return show(request, site, image, form, str(refusal) if refusal else "")


def form_of(request: HttpRequest, image: Image) -> ActionForm:
    """Return the form; who may not name a host is not asked for one."""
    names_host = allows(request, CHOOSES_HOST, image.project_id)
    without = () if names_host else ("host",)
    if request.method == "POST":
        form = ActionForm(Restore, request.POST, without=without)
    else:
        form = ActionForm(
            Restore, initial={"name": f"{image.server or image.name} restored"}, without=without
        )
    form.offer_hosts(Host.objects.filter(driver=image.driver).order_by("name").values_list("name", flat=True))
    return form


def hand_in(request: HttpRequest, site: AdminSite, image: Image, form: ActionForm) -> HttpResponse:
    """Submit what the form says; go to the record, or show the form again with the reason."""
    try:
        accepted = restore(image, form.params, context_for(request))
    except Refusal as fault:
        return show(request, site, image, form, str(fault), status_of(fault))
    remember_submission(request, accepted.record)
    messages.success(request, f"A new server is made of {image.name}.")
    return SeeOther(record_url(accepted.record))


def show(
    request: HttpRequest,
    site: AdminSite,
    image: Image,
    form: ActionForm,
    refusal: str = "",
    status: int = 200,
) -> HttpResponse:
    """Return the page with the form."""
    params, _ = form.values()
    context: dict[str, Any] = {
        **site.each_context(request),
        **describe(Restore),
        "title": f"Restore: {image.name}",
        "image": image,
        "form": form,
        "refusal": refusal,
        "submission_token": uuid4().hex,
        "command": restore_line(str(image.pk), params),
    }
    return render(request, "admin/servers/restore_form.html", context, status=status)
