"""The page "Discover": what hypervisors have that is not recorded, and a button that writes exactly what it shows.

New hosts come by `manage.py discover --add` alone: a connection URI can name a program to run.
"""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from servers.admin.asking import SeeOther, status_of
from servers.admin.caller import allows, context_for
from servers.conductor.adoption import DEFAULT_PROJECT, adopt, default_owner
from servers.conductor.discovery import Plan, discover
from servers.errors import PlanChanged, Refusal
from servers.models import Project

RULE = "gantry:discover"
LIMIT_S = 10.0
"""How long a person waits for hosts that do not answer."""


class OwnerForm(forms.Form):
    """To which project adopted servers will belong."""

    project = forms.ModelChoiceField(
        Project.objects.filter(enabled=True),
        label="Project of adopted servers",
        required=False,
        empty_label=f"{DEFAULT_PROJECT} (default)",
    )


def discover_page(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """Show the plan; a POST writes it, if it is still the one that was shown."""
    if not allows(request, RULE):
        raise PermissionDenied(f"Policy doesn't allow {RULE} to be performed.")
    plan = discover(limit_s=LIMIT_S)
    if request.method != "POST":
        return show(request, site, OwnerForm(), plan)
    form = OwnerForm(request.POST)
    if not form.is_valid():
        return show(request, site, form, plan, status=400)
    try:
        if request.POST.get("digest") != plan.digest:
            raise PlanChanged
        written = adopt(plan, default_owner(form.cleaned_data["project"], context_for(request).user_id))
    except Refusal as refusal:
        return show(request, site, form, plan, str(refusal), status_of(refusal))
    messages.success(request, f"Written: {len(written)}.")
    return SeeOther(reverse("admin:servers_host_changelist"))


def show(
    request: HttpRequest, site: AdminSite, form: OwnerForm, plan: Plan, refusal: str = "", status: int = 200
) -> HttpResponse:
    """Return the page."""
    context = {
        **site.each_context(request),
        "title": "Discover",
        "form": form,
        "plan": plan,
        "changes": [(change.kind.replace("_", " ").capitalize(), change) for change in plan.changes],
        "refusal": refusal,
    }
    return render(request, "admin/servers/discover.html", context, status=status)
