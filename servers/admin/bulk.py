"""One action on many servers: who will act and who not, before; what became of each, after."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from django.contrib.admin import AdminSite
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters

from servers.actions import Action
from servers.admin.action_form_view import (
    CHANGED,
    SeeOther,
    action_or_404,
    bound_form,
    describe,
    state_fingerprint,
)
from servers.admin.caller import allows, context_for
from servers.admin.forms import ActionForm
from servers.admin.idempotency import key_of
from servers.admin.labels import action_label
from servers.admin.showing import render
from servers.engine.accepting.repeats import accept_once
from servers.engine.accepting.submit import explain, submit
from servers.engine.visibility import HYPERVISORS, visible_servers
from servers.errors import ActionFault, Missing, NotPermitted, Refusal
from servers.models import ActionRecord, Host, Server
from servers.policy import Context

LIMIT = 50
"""How many servers one form may act on."""

KEPT = "outcomes"
KEPT_OUTCOMES = 10
FAILED = ("failed", "cancelled", "refused")


@dataclass(frozen=True)
class Candidate:
    """A selected server, and why it is left out, if it is."""

    server: Server
    reason: str = ""
    permitted: bool = True

    @property
    def state_fingerprint(self) -> str:
        """Return what tells whether the server is still as it was shown."""
        return f"{self.server.pk} {state_fingerprint(self.server)}"


@dataclass(frozen=True)
class Split:
    """The selection, divided."""

    acting: list[Candidate]
    skipped: list[Candidate]
    forbidden: list[Candidate]


def bulk_url(action: type[Action], servers: Iterable[Any]) -> str:
    """Return the address of the form for these servers."""
    ids = ",".join(str(server) for server in servers)
    return f"{reverse('admin:servers_server_bulk', args=[action.slug])}?servers={ids}"


def selected(request: HttpRequest) -> list[Server]:
    """Return the servers that the address names and the caller may see. Raises Http404 for what is no list."""
    try:
        ids = [UUID(text) for text in request.GET.get("servers", "").split(",") if text]
    except ValueError as error:
        raise Http404("The address does not name servers.") from error
    servers = visible_servers(context_for(request)).filter(pk__in=ids[: LIMIT + 1], deleted_at=None)
    return list(servers.select_related("host").order_by("name"))


def split(action: type[Action], servers: list[Server], context: Context) -> Split:
    """Return who will act, who is skipped and why, and who is not permitted."""
    found: list[Candidate] = []
    for server in servers:
        refusal: Refusal | None = explain(action, server, context)
        if refusal is None and action.on_migration and server.migrations.newest_live_in_progress() is None:
            refusal = no_migration(server)
        found.append(Candidate(server, str(refusal or ""), not isinstance(refusal, NotPermitted)))
    return Split(
        [c for c in found if not c.reason],
        [c for c in found if c.reason and c.permitted],
        [c for c in found if not c.permitted],
    )


def no_migration(server: Server) -> Refusal:
    """Return the refusal for a server of which no live migration is going on."""
    return Missing(f"Server {server.pk} has no live migration that is going on.")


def as_seen(parts: Split, seen: list[str]) -> Split:
    """Return the parts with those skipped who have changed since the page was made that says who will act."""
    if not seen:
        return parts
    changed = [c for c in parts.acting if c.state_fingerprint not in seen]
    acting = [c for c in parts.acting if c.state_fingerprint in seen]
    skipped = [Candidate(c.server, CHANGED.format(c.server.name)) for c in changed]
    return Split(acting, [*parts.skipped, *skipped], parts.forbidden)


@sensitive_post_parameters()
def ask_many(request: HttpRequest, site: AdminSite, slug: str) -> HttpResponse:
    """Show the form for many servers, or hand in what it says."""
    action = action_or_404(slug)
    servers = selected(request)
    in_path = [p.name for p in action.parameters if p.in_path]
    form = bound_form(action, request, without=in_path)
    if allows(request, HYPERVISORS):
        form.offer_hosts(Host.objects.order_by("name").values_list("name", flat=True))
    parts = as_seen(split(action, servers, context_for(request)), request.POST.getlist("seen"))
    sent = request.method == "POST" and form.is_valid()
    if sent and parts.acting and len(servers) <= LIMIT:
        return SeeOther(hand_in_all(request, action, parts, form))
    context = {
        **site.each_context(request),
        **describe(action),
        "title": f"{action_label(action)}: {len(servers)} servers",
        "form": form,
        "split": parts,
        "limit": LIMIT,
        "too_many": len(servers) > LIMIT,
        "total": len(servers),
    }
    return render(request, "admin/servers/bulk_form.html", context, status=409 if sent else 200)


def hand_in_all(request: HttpRequest, action: type[Action], parts: Split, form: ActionForm) -> str:
    """Submit for each server, keep the outcomes with the session, and return where they are shown."""
    rows = [hand_in_one(request, action, c.server, form) for c in parts.acting]
    for left_out in (*parts.skipped, *parts.forbidden):
        server = left_out.server
        rows.append({"server": str(server.pk), "name": server.name, "skipped": left_out.reason})
    outcome = {"slug": action.slug, "rows": rows}
    key = uuid4().hex
    kept = {**request.session.get(KEPT, {}), key: outcome}
    request.session[KEPT] = dict(list(kept.items())[-KEPT_OUTCOMES:])
    return reverse("admin:servers_server_outcome", args=[key])


def hand_in_one(
    request: HttpRequest, action: type[Action], server: Server, form: ActionForm
) -> dict[str, str]:
    """Submit for one server; return its line of the outcome."""
    row = {"server": str(server.pk), "name": server.name}
    params = dict(form.params)
    if action.on_migration:
        migration = server.migrations.newest_live_in_progress()
        params["migration"] = migration.pk if migration else 0
    try:
        accept = partial(submit, action, str(server.pk), params, context_for(request), form.version)
        asked = [str(form.version), form.params]
        address = f"console {action.slug} {server.pk}"
        accepted = accept_once(key_of(request), context_for(request), address, asked, accept)
    except (Refusal, ActionFault) as fault:
        return {**row, "refused": str(fault)}
    return {**row, "record": str(accepted.record.pk)}


def show_outcome(request: HttpRequest, site: AdminSite, key: str) -> HttpResponse:
    """Show what became of each server of one form."""
    outcome = request.session.get(KEPT, {}).get(key)
    if outcome is None:
        raise Http404("These outcomes are no longer kept; the actions are in the task log.")
    action = action_or_404(outcome["slug"])
    rows = with_records(outcome["rows"])
    failed = [row["server"] for row in rows if row["status"] in FAILED]
    context = {
        **site.each_context(request),
        **describe(action),
        "title": f"{action_label(action)}: outcome",
        "rows": rows,
        "running": any(row["status"] in {"queued", "running"} for row in rows),
        "failed": len(failed),
        "retry": bulk_url(action, failed) if failed else "",
    }
    template = "outcome_live" if request.headers.get("HX-Request") else "outcome"
    return render(request, f"admin/servers/{template}.html", context)


def with_records(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Return the lines with the state in which their actions are now."""
    accepted = ActionRecord.objects.select_related("server")
    records = accepted.in_bulk([row["record"] for row in rows if "record" in row])
    by_id = {str(pk): record for pk, record in records.items()}
    return [with_record(row, by_id.get(row.get("record", ""))) for row in rows]


def with_record(row: dict[str, str], record: ActionRecord | None) -> dict[str, Any]:
    """Return one line with its action's state."""
    if record is not None:
        return {**row, "action": record, "status": record.status}
    if "skipped" in row:
        return {**row, "status": "skipped", "text": row["skipped"]}
    return {**row, "status": "refused", "text": row.get("refused", "")}
