"""Asking for an action on one server: its form, and what follows when it is sent."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.crypto import salted_hmac
from django.views.decorators.debug import sensitive_post_parameters

from servers.actions import Action, registry
from servers.admin.caller import allows, context_for
from servers.admin.destinations import destinations_of
from servers.admin.equivalents import command_line, curl_line
from servers.admin.forms import ActionForm
from servers.admin.idempotency import PREVIEW, keeping
from servers.admin.labels import action_label
from servers.admin.showing import render
from servers.engine.accepting.submit import Accepted, explain, find_server, submit
from servers.errors import (
    ActionFault,
    Conflict,
    Fault,
    Gone,
    InstanceMissing,
    Missing,
    NotPermitted,
    Refusal,
    ServiceUnavailable,
)
from servers.fleet.guest_agents import agent_warning
from servers.models import ActionRecord, Server

STATUS = {Missing: 404, NotPermitted: 403, Conflict: 409, Gone: 410, ServiceUnavailable: 503}
SHOW = "os_compute_api:servers:show"

CHANGED = "{} has changed since this page was made. Look at it again; then send the form once more."


class SeeOther(HttpResponseRedirect):
    """A redirect after a form: the next request is a GET."""

    status_code = 303


def status_of(fault: Fault) -> int:
    """Return the HTTP status of a form that was refused."""
    return next((code for kind, code in STATUS.items() if isinstance(fault, kind)), 400)


def action_or_404(slug: str) -> type[Action]:
    """Return the action. Raises Http404."""
    if slug not in registry:
        raise Http404(f"There is no action {slug}.")
    return registry[slug]


def server_or_404(request: HttpRequest, server_id: str) -> Server:
    """Return the server, even a deleted one, when the caller may see it. Raises Http404 or PermissionDenied."""
    try:
        server = find_server(server_id, context_for(request), deleted=True)
    except InstanceMissing as fault:
        raise Http404(str(fault)) from fault
    if not allows(request, SHOW, server.project_id):
        raise PermissionDenied
    return server


def state_fingerprint(server: Server) -> str:
    """Return what tells whether a server is still as a page has shown it, without telling what that was."""
    shown = f"{server.host_id} {server.vm_state} {server.power_state}"
    return salted_hmac("seen", shown).hexdigest()


def bound_form(action: type[Action], request: HttpRequest, **options: Any) -> ActionForm:
    """Return the form with what was sent, or with what the address fills in."""
    if request.method == "POST":
        return ActionForm(action, request.POST, **options)
    known = {p.name for p in action.parameters}
    return ActionForm(action, initial={k: v for k, v in request.GET.items() if k in known}, **options)


@sensitive_post_parameters()
def ask(request: HttpRequest, site: AdminSite, server_id: str, slug: str) -> HttpResponse:
    """Show the form of an action, or hand in what it says."""
    action, server = action_or_404(slug), server_or_404(request, server_id)
    form = bound_form(action, request)
    if request.method == "POST" and PREVIEW not in request.POST:
        if request.POST.get("seen", state_fingerprint(server)) != state_fingerprint(server):
            return show_form(request, site, action, server, form, CHANGED.format(server.name), 409)
        if form.is_valid():
            accept = partial(submit, action, str(server.pk), form.params, context_for(request), form.version)
            said = f"{action_label(action)} of {server.name} was accepted."
            return hand_in(request, accept, said, partial(show_form, request, site, action, server, form))
    refusal = explain(action, server, context_for(request))
    return show_form(request, site, action, server, form, str(refusal) if refusal else "")


def hand_in(
    request: HttpRequest,
    accept: Callable[..., Accepted],
    said: str,
    show: Callable[[str, int], HttpResponse],
) -> HttpResponse:
    """Submit what a form says; go to the record, or show the form again with the reason.

    `accept` is called with what keeps the answer.
    """
    try:
        accepted = accept(keep=keeping(request, place_of))
    except (Refusal, ActionFault) as fault:
        return show(str(fault), status_of(fault))
    messages.success(request, said)
    return SeeOther(place_of(accepted))


def place_of(accepted: Accepted) -> str:
    """Return the address of what was accepted."""
    return record_url(accepted.record)


def show_form(
    request: HttpRequest,
    site: AdminSite,
    action: type[Action],
    server: Server,
    form: ActionForm,
    refusal: str = "",
    status: int = 200,
) -> HttpResponse:
    """Return the page with the form."""
    only_lines = "HX-Request" in request.headers
    context = {
        **form_context(request, site, form, refusal),
        "title": f"{action_label(action)}: {server.name}",
        "server": server,
        "warning": "" if refusal or only_lines else agent_warning(action, server),
        "destinations": destinations_of(form, action, server, context_for(request)),
        "lines": lines(action, str(server.pk), form),
        "seen": state_fingerprint(server),
    }
    template = "lines" if only_lines else "action_form"
    return render(request, f"admin/servers/{template}.html", context, status=status)


def form_context(request: HttpRequest, site: AdminSite, form: ActionForm, refusal: str) -> dict[str, Any]:
    """Return what every page with the form of one request shows."""
    return {
        **site.each_context(request),
        **describe(form.action),
        "form": form,
        "refusal": refusal,
    }


def describe(action: type[Action]) -> dict[str, Any]:
    """Return what is said of an action above its form."""
    return {
        "slug": action.slug,
        "label": action_label(action),
        "summary": action.summary(),
        "consequence": action.consequence,
        "destructive": action.destructive,
    }


def lines(action: type[Action], server_id: str, form: ActionForm) -> dict[str, str]:
    """Return the same request at the other doors."""
    params, version = form.values()
    return {
        "curl": curl_line(action, server_id, params, version),
        "command": command_line(action, server_id, params, version),
    }


def record_url(record: ActionRecord) -> str:
    """Return the address of an action's page."""
    return reverse("admin:servers_actionrecord_change", args=[record.pk])
