"""What a record of the audit trail tells, as a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from servers.audit.reading import Names
from servers.models import AuditRecord

NAMED = 4
"""How many of the columns that have changed a sentence names."""


@dataclass(frozen=True)
class Phrase:
    """How the change of one column is said, where `fits` holds for its values before and after."""

    object_type: str
    column: str
    says: str
    """`{it}` is the object, `{was}` and `{became}` are the values."""
    fits: Callable[[Any, Any], bool] = lambda was, became: True


def _began(was: Any, became: Any) -> bool:
    return bool(became)


def _ended(was: Any, became: Any) -> bool:
    return not became


PHRASES = (
    Phrase("action", "status", "{name} ended: {became}"),
    Phrase("action", "overtaken_by", "let another action overtake {name}", _began),
    Phrase("action", "cancel_requested_at", "asked to cancel {name}", _began),
    Phrase("action", "force_requested_at", "asked to complete {name} by force", _began),
    Phrase("action", "judgements", "judged {name}", _began),
    Phrase("action", "stalled_at", "left {name} to a person's judgement", _began),
    Phrase("host", "enabled", "enabled {it}", _began),
    Phrase("host", "enabled", "disabled {it}", _ended),
    Phrase("host", "forced_down", "forced {it} down", _began),
    Phrase("host", "forced_down", "let {it} be up again", _ended),
    Phrase("host", "maintenance", "put {it} into maintenance", _began),
    Phrase("host", "maintenance", "took {it} out of maintenance", _ended),
    Phrase("host", "aggregate", "put {it} into aggregate {became}", _began),
    Phrase("host", "aggregate", "took {it} out of aggregate {was}", _ended),
    Phrase("host", "storagepool", "recorded that {it} sees pool {became}", _began),
    Phrase("host", "storagepool", "recorded that {it} no longer sees pool {was}", _ended),
    Phrase("user", "password", "gave {it} a new password"),
    Phrase("user", "is_active", "activated {it}", _began),
    Phrase("user", "is_active", "deactivated {it}", _ended),
    Phrase("project", "enabled", "enabled {it}", _began),
    Phrase("project", "enabled", "disabled {it}", _ended),
    Phrase("domain", "enabled", "enabled {it}", _began),
    Phrase("domain", "enabled", "disabled {it}", _ended),
    Phrase("token", "revoked_at", "revoked a token of {name}", _began),
    Phrase("server", "deleted_at", "deleted {it}", _began),
    Phrase("server", "locked_by", "locked {it}", _began),
    Phrase("server", "locked_by", "unlocked {it}", _ended),
    Phrase("server", "host", "moved {it} from {was} to {became}", lambda was, became: bool(was and became)),
    Phrase("server", "host", "recorded that {it} is at {became}", _began),
    Phrase("server", "host", "recorded that {it} is at no host", _ended),
    Phrase("server", "mac", "gave {it} the network interface {became}", lambda was, became: not was),
    Phrase("server", "mac", "took the network interface {was} from {it}", _ended),
    Phrase("server", "device", "gave {it} the disk {became}", lambda was, became: not was),
    Phrase("server", "device", "took the disk {was} from {it}", _ended),
    Phrase("server", "vm_state", "changed {it} from {was} to {became}"),
    Phrase("image", "deleted_at", "deleted {it}", _began),
    Phrase("image", "status", "changed {it} from {was} to {became}"),
    Phrase("image", "protected", "protected {it}", _began),
    Phrase("image", "protected", "took the protection of {it} away", _ended),
)
"""In the order of what matters most: the first that fits is said."""
CREATED = {"action": "asked for {name}, accepted", "membership": "gave a role: {name}"}
DELETED = {"membership": "took a role away: {name}"}
REASONS = ("error_text", "disabled_reason", "locked_reason")
"""Columns that say why."""


def sentence(record: AuditRecord, names: Names) -> str:
    """Return who has done what to what, and why where that is said: "anna disabled host rack1-b: waits for a fan"."""
    what = _what(record, names)
    why = next((str(record.after[name]) for name in REASONS if record.after.get(name)), record.reason)
    said = what if what.startswith(record.object_name) and " ended: " in what else f"{_who(record)} {what}"
    return f"{said}: {why}" if why else said


def way(record: AuditRecord) -> str:
    """Return how it was done, and from where: "by rest, from 192.0.2.7"."""
    return f"by {record.door}, from {record.source}" if record.source else f"by {record.door}"


def shown(record: AuditRecord, names: Names, column: str, value: Any) -> str:
    """Return a value of `before` or `after` as text, with the name of the row that it refers to."""
    if value is None or value in ("", [], {}):
        return "–" if value is None else "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    name = names.of(record, column, value)
    return f"{name} ({value})" if name is not None else str(value)


def _who(record: AuditRecord) -> str:
    who = record.who or "nobody"
    return f"{who} (for {record.on_behalf_of})" if record.on_behalf_of else who


def _what(record: AuditRecord, names: Names) -> str:
    name = record.object_name or record.object_id
    said = {"it": f"{record.object_type} {name}".strip(), "name": name or record.object_type}
    if record.verb == "created":
        return CREATED.get(record.object_type, "created {it}").format(**said)
    if record.verb == "deleted":
        return DELETED.get(record.object_type, "deleted {it}").format(**said)
    if record.verb != "changed":
        return f"{record.verb} {said['name']}"
    for phrase in PHRASES:
        if phrase.object_type == record.object_type and phrase.column in {*record.before, *record.after}:
            was, became = record.before.get(phrase.column), record.after.get(phrase.column)
            if phrase.fits(was, became):
                values = {"was": _plain(record, names, phrase.column, was)}
                values["became"] = _plain(record, names, phrase.column, became)
                return phrase.says.format(**said, **values)
    return _any_change(record, said["it"])


def _plain(record: AuditRecord, names: Names, column: str, value: Any) -> str:
    return names.of(record, column, value) or ("nothing" if value in (None, "") else str(value))


def _any_change(record: AuditRecord, it: str) -> str:
    was, became = record.before.get("name"), record.after.get("name")
    if was and became and was != became:
        return f"renamed {record.object_type} {was} to {became}"
    columns = sorted({*record.before, *record.after})
    more = f" and {len(columns) - NAMED} more" if len(columns) > NAMED else ""
    words = ", ".join(column.replace("_", " ") for column in columns[:NAMED])
    return f"changed {it}: {words}{more}" if words else f"changed {it}"
