"""The page "Discover": what hypervisors have that is not recorded, and a button that writes what it shows, and nothing else.

New hosts come by `manage.py discover --add` alone: a connection URI can name a program to run.
"""

from __future__ import annotations

import json

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from servers.admin.action_form_view import SeeOther, status_of
from servers.admin.caller import allows, context_for
from servers.admin.histories import records_address
from servers.admin.showing import render
from servers.audit.reading import RULE as TRAIL
from servers.errors import PlanChanged, Refusal
from servers.inventory.discovery.apply import DEFAULT_PROJECT, Adopted, adopt, default_owner
from servers.inventory.discovery.discover import discover
from servers.inventory.discovery.plan import Plan
from servers.models import Project

RULE = "gantry:discover"
LIMIT_S = 10.0
"""How long a person waits for hosts that do not answer."""
NAMED = 10
"""How many of the changes that were left alone are named."""


class OwnerForm(forms.Form):
    """To which project adopted servers will belong."""

    project = forms.ModelChoiceField(
        Project.objects.filter(enabled=True),
        label="Project of adopted servers",
        required=False,
        empty_label=f"{DEFAULT_PROJECT} (default)",
    )


def discover_page(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """Show the plan; a POST writes what was shown of it, as far as that is still so."""
    if not allows(request, RULE):
        raise PermissionDenied(f"Policy doesn't allow {RULE} to be performed.")
    plan = discover(limit_s=LIMIT_S)
    if request.method != "POST":
        return show(request, site, OwnerForm(), plan)
    form = OwnerForm(request.POST)
    if not form.is_valid():
        return show(request, site, form, plan, status=400)
    shown = read_shown(request.POST.get("shown", ""))
    try:
        owner = default_owner(form.cleaned_data["project"], context_for(request).user_id)
        adopted = adopt(plan.narrowed(shown), owner)
        if not adopted.written:
            raise PlanChanged
    except Refusal as refusal:
        return show(request, site, form, plan, str(refusal), status_of(refusal))
    written = format_html("Written: {}. {}", len(adopted.written), where_it_is_told(request))
    messages.success(request, written)
    left = left_alone(plan, shown, adopted)
    if left:
        messages.warning(request, f"Left alone: {'; '.join(left)}.")
    return SeeOther(reverse("admin:servers_host_changelist"))


def where_it_is_told(request: HttpRequest) -> SafeString | str:
    """Return the link to the records of this request in the audit trail, for who may read it."""
    if not allows(request, TRAIL):
        return ""
    address = records_address(request_id=context_for(request).request_id)
    return format_html('<a href="{}">What was changed</a>', address)


def read_shown(text: str) -> dict[str, str]:
    """Return the changes that the page has shown, by digest; none where the text is not what the page says."""
    try:
        shown = json.loads(text)
    except ValueError:
        return {}
    return {str(digest): str(words) for digest, words in shown.items()} if isinstance(shown, dict) else {}


def left_alone(plan: Plan, shown: dict[str, str], adopted: Adopted) -> list[str]:
    """Return what was shown and not written, in words."""
    still = {change.digest for change in plan.to_write}
    left = [f"{words}: it has changed meanwhile" for digest, words in shown.items() if digest not in still]
    left += [f"{change.words}: {change.obstacle}" for change in adopted.left]
    return left[:NAMED] + ([f"and {len(left) - NAMED} more"] if len(left) > NAMED else [])


def show(
    request: HttpRequest, site: AdminSite, form: OwnerForm, plan: Plan, refusal: str = "", status: int = 200
) -> HttpResponse:
    """Return the page."""
    context = {
        **site.each_context(request),
        "title": "Discover",
        "form": form,
        "plan": plan,
        "shown": json.dumps({change.digest: change.words for change in plan.to_write}),
        "changes": [(change.kind.replace("_", " ").capitalize(), change) for change in plan.changes],
        "refusal": refusal,
    }
    return render(request, "admin/servers/discover.html", context, status=status)
