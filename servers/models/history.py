"""What migrations up to 0009 name: defaults of columns that no longer exist (see AuditRecord)."""

from __future__ import annotations


def current_door() -> str:
    return ""


def current_user() -> str:
    return ""
