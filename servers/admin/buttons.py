"""One button for each action: it leads to the form, or says in the engine's words why it does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from servers.actions import Action, registry
from servers.admin.labels import action_label
from servers.engine.accepting.submit import Find, explain, unresolved_action
from servers.microversions import maximum
from servers.models import Migration, Server
from servers.policy import Context


@dataclass(frozen=True)
class Button:
    """An action on one server, possible or refused."""

    slug: str
    label: str
    help: str
    url: str
    refusal: str
    destructive: bool

    @property
    def is_possible(self) -> bool:
        return not self.refusal


def offered() -> list[type[Action]]:
    """Return the actions that this deployment's newest microversion knows, in the order of their names."""
    newest = maximum()
    return [registry[slug] for slug in sorted(registry) if newest.between(registry[slug].since, None)]


def form_url(action: type[Action], server: Server, params: Mapping[str, Any] | None = None) -> str:
    """Return the address of the action's form, with values filled in."""
    address = reverse("admin:servers_server_do", args=[server.pk, action.slug])
    return f"{address}?{urlencode(params)}" if params else address


def buttons_of(server: Server, context: Context) -> list[Button]:
    """Return a button for every action."""
    migration, find = server.migrations.newest_live_in_progress(), cache(unresolved_action)
    return [button_of(action, server, context, migration, find) for action in offered()]


def button_of(
    action: type[Action],
    server: Server,
    context: Context,
    migration: Migration | None,
    find: Find = unresolved_action,
) -> Button:
    """Return the button of one action."""
    refusal = explain(action, server, context, find=find)
    params = {"migration": migration.pk} if action.on_migration and migration else None
    return Button(
        slug=action.slug,
        label=action_label(action),
        help=action.summary(),
        url=form_url(action, server, params),
        refusal=str(refusal) if refusal else "",
        destructive=action.destructive,
    )
