"""Template tags of the console."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from servers import amounts, clock
from servers.admin import badges, idempotency, labels, times
from servers.models import ActionEvent, ActionRecord, Host, Server

register = template.Library()

register.filter("moment", times.moment)
register.filter("time_of_day", times.time_of_day)
register.filter("size", amounts.size)
register.filter("server_badge", badges.server_badge)
register.filter("power_badge", badges.power_badge)
register.filter("lock_badge", badges.lock_badge)
register.filter("action_badge", badges.action_badge)
register.filter("migration_badge", badges.migration_badge)
register.filter("image_badge", badges.image_badge)
register.filter("result_badge", badges.result_badge)
register.filter("host_badges", badges.host_badges)
register.filter("worker_badge", badges.worker_badge)
register.filter("member_badge", badges.member_badge)
register.filter("step_label", labels.step_label)


@register.filter
def action_name(record: ActionRecord) -> str:
    """Return what the recorded action is called."""
    return labels.label_of_slug(record.slug, record.name)


@register.filter
def took(row: Any) -> str:
    """Return how long an action, an event or a migration took, or has taken so far."""
    began: datetime | None = getattr(row, "started_at", None) or getattr(row, "created_at", None)
    if began is None or (isinstance(row, ActionRecord) and row.started_at is None):
        return "–"
    return amounts.duration((row.finished_at or clock.now()) - began)


@register.filter
def milliseconds(count: int | None) -> str:
    """Return a pause in the unit that fits."""
    if count is None:
        return "not measured"
    return f"{count} ms" if count < 1000 else amounts.duration(timedelta(milliseconds=count))


@register.filter
def verdicts(event: ActionEvent) -> list[dict[str, Any]]:
    """Return the scheduler's verdicts that are kept with an event."""
    found: list[dict[str, Any]] = (event.facts or {}).get("verdicts", [])
    return found


@register.simple_tag
def idempotency_key() -> SafeString:
    """Return the hidden field by which a form that is sent twice acts once."""
    return format_html('<input type="hidden" name="{}" value="{}">', idempotency.FIELD, idempotency.new_key())


@register.simple_tag
def copyable(text: str, name: str = "") -> SafeString:
    """Return a text that a click copies; without JavaScript it is only a text."""
    return format_html(
        '<span class="copyable" data-copy="{}" data-what="{}">{}</span>', text, name or text, text
    )


@register.inclusion_tag("admin/servers/bar.html")
def progress_bar(percent: int, label: str, text: str = "") -> dict[str, Any]:
    """Return a progress bar with its value in words."""
    return {"percent": min(max(int(percent), 0), 100), "label": label, "text": text or f"{percent} %"}


@register.inclusion_tag("admin/servers/usage.html")
def usage_bar(label: str, usage: Any) -> dict[str, Any]:
    """Return a bar of what is allocated, used and reserved of one resource of a host."""
    return {"label": label, "usage": usage}


@register.filter
def is_up(host: Host) -> bool:
    return host.is_up


@register.filter
def addresses(server: Server) -> list[str]:
    """Return the server's addresses without their prefix lengths."""
    return [a.partition("/")[0] for interface in server.interfaces.all() for a in interface.addresses]
