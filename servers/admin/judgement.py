"""Waiting for judgement: the list of actions that came to no end by themselves, and the page on which one is judged."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, QueryDict

from servers.actions import definitions
from servers.actions.base import known_steps
from servers.admin.action_form_view import SeeOther, record_url, status_of
from servers.admin.caller import allows, context_for
from servers.admin.histories import history_address
from servers.admin.idempotency import keeping
from servers.admin.labels import label_of_slug, step_label
from servers.admin.showing import render
from servers.engine.judgement.cases import LIST_RULE, Case, evidence_of, still_tried, visible_actions, waiting
from servers.engine.judgement.endings import Outcome
from servers.engine.judgement.judge import LONGEST_REASON, LOOK_AGAIN, RULE, UNDO, VERDICTS, judge, ways_out
from servers.errors import Invalid, Refusal
from servers.models import ActionRecord
from servers.states import ActionStatus

TITLE = "Waiting for judgement"
ROWS = 200


@dataclass(frozen=True)
class Way:
    """A way out, as it stands on its button."""

    label: str
    consequence: str
    said: str
    """What is said once it is done."""
    destructive: bool = False


WAYS = {
    LOOK_AGAIN: Way(
        "Look again",
        "A worker goes on where it stopped, as often as at first.",
        "A worker looks at it again.",
    ),
    Outcome.SUCCEEDED.value: Way(
        "Close as succeeded",
        "Every host is asked once more. The record follows the guest; nothing happens at a hypervisor.",
        "It was closed as succeeded.",
    ),
    Outcome.FAILED.value: Way(
        "Close as failed",
        "Every host is asked once more. The record follows the guest; nothing happens at a hypervisor.",
        "It was closed as failed.",
        destructive=True,
    ),
    UNDO: Way(
        "Undo",
        "A worker takes back what the action has made, and ends it as failed.",
        "A worker takes it back.",
        destructive=True,
    ),
}


class JudgementForm(forms.Form):
    """Why, and for which hosts the judge answers."""

    reason = forms.CharField(
        max_length=LONGEST_REASON,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="It is kept with your name.",
    )
    dead_hosts = forms.MultipleChoiceField(
        label="I answer for these hosts: they are dead",
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, silent: list[str], data: QueryDict | None = None, prefix: str = "") -> None:
        super().__init__(data, prefix=prefix)
        named = data.getlist(f"{prefix}-dead_hosts") if data is not None else []
        self.fields["dead_hosts"].choices = [(name, name) for name in sorted({*silent, *named})]  # type: ignore[attr-defined]
        if not silent:
            self.fields["dead_hosts"].widget = forms.MultipleHiddenInput()


def waiting_for(request: HttpRequest) -> int:
    """Return how many actions wait that the caller may see."""
    return visible_actions(waiting(), context_for(request)).count() if allows(request, LIST_RULE) else 0


def menu_entry(request: HttpRequest, address: str) -> dict[str, Any]:
    """Return the page as an entry of the menu, with a number where something waits."""
    count = waiting_for(request)
    name = f"{TITLE} ({count})" if count else TITLE
    return {
        "name": name,
        "object_name": "Judgement",
        "admin_url": address,
        "add_url": None,
        "view_only": True,
    }


def may_judge(request: HttpRequest, record: ActionRecord) -> bool:
    """Return whether the policy lets the caller judge an action."""
    return allows(request, RULE, record.server.project_id)


def is_waiting(record: ActionRecord) -> bool:
    """Return whether an action waits for a person."""
    return record.status == ActionStatus.UNKNOWN and record.stalled_at is not None


# -------------------------------------------------------------------------------------------- the list


def list_page(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """Show what waits, and what is still tried."""
    if not allows(request, LIST_RULE):
        raise PermissionDenied
    context = context_for(request)
    rows = list(visible_actions(waiting(), context)[: ROWS + 1])
    shown = {
        **site.each_context(request),
        "title": TITLE,
        "waiting": [(row, may_judge(request, row)) for row in rows[:ROWS]],
        "more": len(rows) > ROWS,
        "tried": list(visible_actions(still_tried(), context)[:ROWS]),
    }
    return render(request, "admin/servers/waiting.html", shown)


# ----------------------------------------------------------------------------------------- the judgement


def judge_page(request: HttpRequest, site: AdminSite, record: ActionRecord) -> HttpResponse:
    """Show the evidence with the ways out, or hand in a judgement."""
    if not may_judge(request, record):
        raise PermissionDenied(f"Policy doesn't allow {RULE} to be performed.")
    if request.method != "POST":
        if not is_waiting(record):
            return SeeOther(record_url(record))
        return show(request, site, record)
    verdict = request.POST.get("verdict", "")
    form = JudgementForm([], request.POST, prefix=verdict)
    if verdict not in VERDICTS or not form.is_valid():
        return show(request, site, record, Invalid("Say which way out, and why."))
    try:
        dead = form.cleaned_data["dead_hosts"]
        reason = form.cleaned_data["reason"]
        judge(record.pk, verdict, context_for(request), reason, dead, keeping(request, record_url))
    except Refusal as refused:
        return show(request, site, record, refused)
    messages.success(request, WAYS[verdict].said)
    return SeeOther(record_url(record))


def show(
    request: HttpRequest, site: AdminSite, record: ActionRecord, refusal: Refusal | None = None
) -> HttpResponse:
    """Return the page."""
    case = evidence_of(record)
    context = {
        **site.each_context(request),
        "title": f"Judge: {label_of_slug(record.slug, record.name)} of {record.server.name}",
        "record": case.action,
        "history_address": history_address(request, ActionRecord, record.pk),
        "case": case,
        "is_waiting": is_waiting(case.action),
        "hosts": sorted((h for h in case.hosts if h.is_worth_a_line), key=lambda h: not h.matters),
        "others": sum(not host.is_worth_a_line for host in case.hosts),
        "steps": journal_of(case.action),
        "ways": ways_of(request, case),
        "judgements": judgements_of(case.action),
        "refusal": str(refusal or ""),
    }
    status = status_of(refusal) if refusal is not None else 200
    return render(request, "admin/servers/judge.html", context, status=status)


def ways_of(request: HttpRequest, case: Case) -> list[tuple[str, Way, JudgementForm, str]]:
    """Return each way out with its form, and with what refuses it as things stand."""
    refusals, sent = ways_out(case), request.POST.get("verdict", "")
    silent = [host.name for host in case.hosts if host.is_silent and host.matters]
    found = []
    for verdict, way in WAYS.items():
        data = request.POST if sent == verdict else None
        found.append((verdict, way, JudgementForm(silent, data, prefix=verdict), refusals[verdict]))
    return found


@dataclass(frozen=True)
class Entry:
    """A step in the journal."""

    name: str
    state: str
    began: datetime | None = None
    facts: tuple[str, ...] = ()


def journal_of(record: ActionRecord) -> list[Entry]:
    """Return every step with what the journal says of it."""
    action, kept = definitions.get(record.slug), {step["name"]: step for step in record.steps}
    return [entry_of(name, kept.get(name)) for name in (known_steps(action) if action else kept)]


def entry_of(name: str, kept: dict[str, Any] | None) -> Entry:
    """Return a step of the journal: when it began, and how far it came."""
    if kept is None:
        return Entry(step_label(name), "not begun")
    words = {"effect": "may have had an effect", "ended": "done", "undone": "undone"}
    facts = tuple(word for key, word in words.items() if kept.get(key))
    state = "cancelled" if kept.get("undone") else "done" if kept.get("ended") else "unknown"
    return Entry(step_label(name), state, datetime.fromisoformat(kept["began"]), facts)


def judgements_of(record: ActionRecord) -> list[dict[str, Any]]:
    """Return who has judged an action, newest first, as a page shows it."""
    return [
        {
            **said,
            "at": datetime.fromisoformat(said["at"]),
            "label": WAYS[said["verdict"]].label if said["verdict"] in WAYS else said["verdict"],
        }
        for said in reversed(record.judgements)
    ]
