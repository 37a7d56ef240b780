"""Somebody before the console, without a browser: logged in, and able to read what a page says."""

from __future__ import annotations

import html
import re
from typing import Any

from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from servers.actions import Action
from servers.models import ActionRecord, Project, Server, User
from tests.factories import make_user

FORMS: dict[str, dict[str, str]] = {
    "live-migration": {"host": "", "block_migration": "auto"},
    "create-backup": {"name": "b", "backup_type": "daily", "rotation": "1"},
    "reset-state": {"state": "error"},
    "change-password": {"adminPass": "secret"},
}
"""What to fill in, where an action asks for something."""


class Visitor:
    """A user with a role in a project, and pages."""

    def __init__(self, project: Project | None, role: str = "admin", user: User | None = None) -> None:
        self.user = user or make_user(role, project, default_project=project)
        self.client = Client()
        self.client.force_login(self.user, backend="servers.models.logins.Logins")

    def get(self, path: str, **headers: str) -> HttpResponse:
        return self.client.get(path, headers=headers)  # type: ignore[return-value]

    def post(self, path: str, data: dict[str, Any] | None = None, **headers: str) -> HttpResponse:
        return self.client.post(path, data or {}, headers=headers)  # type: ignore[return-value]

    def ask(self, slug: str, server: Server, **fields: Any) -> HttpResponse:
        """Send the form of an action."""
        return self.post(form_of(slug, server), {**FORMS.get(slug, {}), **fields})

    def text(self, path: str) -> str:
        """Return a page as the person reads it."""
        return words(self.get(path))


def page_of(row: Any) -> str:
    """Return the address of a row's page."""
    return reverse(f"admin:servers_{row._meta.model_name}_change", args=[row.pk])


def form_of(slug: str, server: Server) -> str:
    """Return the address of an action's form."""
    return reverse("admin:servers_server_do", args=[server.pk, slug])


def words(response: HttpResponse) -> str:
    """Return the text of a page without its tags."""
    text = re.sub(r"<[^>]+>", " ", response.content.decode())
    return re.sub(r"\s+", " ", html.unescape(text))


def refusal_of(response: HttpResponse) -> str:
    """Return what a form says it was refused with."""
    found = re.search(r'id="refusal"[^>]*>(.*?)</p>', response.content.decode(), re.DOTALL)
    return html.unescape(found.group(1)) if found else ""


def reason_on_page(response: HttpResponse, slug: str) -> str:
    """Return the reason beside a disabled button, "" when the button can be used."""
    found = re.search(rf'class="act-why" id="about-{slug}">(.*?)</p>', response.content.decode(), re.DOTALL)
    return html.unescape(found.group(1)) if found else ""


def by_console(action: type[Action], server: Server, project: Project, role: str = "admin") -> str:
    """Ask at the console; return the refusal, "" when it is accepted."""
    fields: dict[str, Any] = {}
    if action.on_migration:
        fields["migration"] = server.migrations.latest("pk").pk
    response = Visitor(project, role).ask(action.slug, server, **fields)
    if response.status_code == 303:
        assert ActionRecord.objects.latest("created_at").door == "console"
        return ""
    return refusal_of(response) or words(response)
