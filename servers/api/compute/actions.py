"""The actions: `POST /servers/{id}/action`, and what can be done to a live migration that is going on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from rest_framework.request import Request

from servers.actions import Action, registry
from servers.actions.base import Answer
from servers.api.answers import empty_answer
from servers.api.compute.bodies import action_of
from servers.api.compute.door import NovaView
from servers.api.compute.schemas import action_schema
from servers.api.compute.validation import check_body
from servers.api.validation import read_json
from servers.engine.accepting.submit import Accepted, submit
from servers.engine.images import address as image_address
from servers.errors import (
    InstanceLocked,
    Invalid,
    InvalidState,
    MigrationMissing,
    MigrationNotFound,
    Missing,
)
from servers.microversions import Microversion

IMAGE_ID_IN_BODY = Microversion.parse("2.45")
NO_MIGRATION = 0
"""The number of no migration."""


class ActionUnknown(Invalid):
    """There is no such action: {name}"""


def action_named(name: str, *, on_migration: bool) -> type[Action]:
    """Return the action with this key. Raises ActionUnknown."""
    for action in registry.values():
        if action.wire_name and action.wire_name == name and action.on_migration is on_migration:
            return action
    raise ActionUnknown(name=name)


def migration_number(text: str) -> int:
    """Return the number in an address, NO_MIGRATION where there is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else NO_MIGRATION


class ActionView(NovaView):
    """An address that takes actions: the body is read as far as its only key before anything else is looked at."""

    on_migration = False
    action: type[Action]
    value_given: Any

    def read_body(self, request: HttpRequest) -> Any:
        body = read_json(request)
        name, self.value_given = action_of(body)
        self.action = action_named(name, on_migration=self.on_migration)
        return body

    def check_body(self) -> None:
        if not self.version.between(self.action.since, None):
            raise Missing
        if self.compat:
            self.drop_unknown_keys()
        check_body({self.action.wire_name: self.value_given}, self.request_schema(), trims=self.compat)

    def request_schema(self) -> dict[str, Any]:
        """Return the schema of the request."""
        return action_schema(self.action, self.version)

    def drop_unknown_keys(self) -> None:
        """Leave of the value what the action knows, as `/v2` does."""
        known = self.request_schema()["properties"][self.action.wire_name].get("properties")
        if known is not None and isinstance(self.value_given, dict):
            self.value_given = {k: v for k, v in self.value_given.items() if k in known}

    def params(self) -> dict[str, Any]:
        """Return the parameters; a value that is not looked at has none."""
        known = {p.name for p in self.action.parameters_at(self.version) if not p.in_path}
        given = self.value_given if isinstance(self.value_given, dict) else {}
        return {name: value for name, value in given.items() if name in known}


class ServerAction(ActionView):
    """`POST /servers/{id}/action`."""

    def post(self, request: Request, server_id: str) -> HttpResponse:
        params = self.params()
        accepted = submit(self.action, server_id, params, self.context, self.version)
        if self.action.answer is Answer.IMAGE:
            return self.image_answer(accepted, params)
        return empty_answer(204 if self.action.answer is Answer.NO_CONTENT else 202)

    def image_answer(self, accepted: Accepted, params: Mapping[str, Any]) -> HttpResponse:
        """Return the answer that names the image: in a Location at first, in the body since 2.45."""
        image_id = accepted.image_id
        if self.version >= IMAGE_ID_IN_BODY:
            return self.answer({"image_id": str(image_id)}, 202)
        response = empty_answer(202, "text/html; charset=UTF-8")
        if self.action.clean(params, self.version)["rotation"] > 0:
            folder = "v2" if self.compat else "v2.1"
            here = f"{settings.PUBLIC_URL}/{folder}/images/{image_id}"
            response["Location"] = image_address(image_id) or here
        return response


class MigrationAction(ActionView):
    """`POST /servers/{id}/migrations/{id}/action`."""

    on_migration = True

    def post(self, request: Request, server_id: str, migration_id: str) -> HttpResponse:
        params = {"migration": migration_number(migration_id)}
        try:
            submit(self.action, server_id, params, self.context, self.version)
        except MigrationMissing as fault:
            raise MigrationMissing(**{**fault.facts, "migration": migration_id}) from fault
        return empty_answer(202)


def abort_migration(view: NovaView, server_id: str, migration_id: str) -> HttpResponse:
    """Answer `DELETE /servers/{id}/migrations/{id}`."""
    action = registry["abort-migration"]
    params = {"migration": migration_number(migration_id)}
    try:
        submit(action, server_id, params, view.context, view.version)
    except MigrationNotFound as fault:
        raise MigrationNotFound(**{**fault.facts, "migration": migration_id}) from fault
    except InstanceLocked as fault:  # Nova catches the lock as a state here (Nova contract A.3)
        raise InvalidState(verb=action.verb, **fault.facts) from fault
    return empty_answer(202)
