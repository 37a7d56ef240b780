"""The form that makes a new server out of a backup."""

from __future__ import annotations

from functools import partial

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse

from servers.actions.restore import Restore
from servers.admin.action_form_view import form_context, hand_in
from servers.admin.caller import allows, context_for
from servers.admin.equivalents import restore_line
from servers.admin.forms import ActionForm
from servers.admin.showing import render, shown
from servers.engine.accepting.restore import refuses, restore
from servers.engine.visibility import HYPERVISORS
from servers.models import Host, Image

CHOOSES_HOST = next(rule.name for rule in Restore.policy if rule.when is not None)


def ask(request: HttpRequest, site: AdminSite, image: Image) -> HttpResponse:
    """Show the form, or hand in what it says."""
    form = form_of(request, image)
    if request.method == "POST" and form.is_valid():
        accept = partial(restore, image, form.params, context_for(request))
        said = f"A new server is made of {image.name}."
        return hand_in(request, accept, said, partial(show, request, site, image, form))
    refusal = refuses(image, context_for(request))
    return show(request, site, image, form, str(refusal) if refusal else "")


def form_of(request: HttpRequest, image: Image) -> ActionForm:
    """Return the form; who may not name a host is not asked for one."""
    names_host = allows(request, CHOOSES_HOST, image.project_id)
    without = () if names_host else ("host",)
    if request.method == "POST":
        form = ActionForm(Restore, request.POST, without=without)
    else:
        of = shown(request, image).server or image.name
        form = ActionForm(Restore, initial={"name": f"{of} restored"}, without=without)
    if allows(request, HYPERVISORS):
        hosts = Host.objects.filter(driver=image.driver).order_by("name")
        form.offer_hosts(hosts.values_list("name", flat=True))
    return form


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
    context = {
        **form_context(request, site, form, refusal),
        "title": f"Restore: {image.name}",
        "image": image,
        "command": restore_line(str(image.pk), params),
    }
    return render(request, "admin/servers/restore_form.html", context, status=status)
