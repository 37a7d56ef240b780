"""The actions: `POST /servers/{id}/action`, and what can be done to a live migration that is going on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request

from servers.actions import Action, registry
from servers.actions.base import Answer
from servers.actions.kinds import MigrationId
from servers.api.answers import empty_answer
from servers.api.compute.bodies import action_of
from servers.api.compute.door import NovaView
from servers.api.compute.schemas import action_schema
from servers.api.idempotency import keeping, once
from servers.api.resources import Schema
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
    kind = MigrationId()
    return int(kind.read(text)) if kind.fits(text) else NO_MIGRATION


class ActionView(NovaView):
    """An address that takes actions: the body is read as far as its only key before anything else is looked at."""

    on_migration = False
    action: type[Action]

    def read_body(self, request: Request) -> Any:
        body = super().read_body(request)
        name, _ = action_of(body)
        self.action = action_named(name, on_migration=self.on_migration)
        return body

    def require_version(self, request: Request) -> None:
        super().require_version(request)
        if not self.version.between(self.action.since, None):
            raise Missing

    def body_schema(self, method: str) -> Schema:
        return action_schema(self.action, self.version)

    def require_schema(self, schema: Schema) -> None:
        if self.compat:
            self.drop_unknown_keys(schema)
        super().require_schema(schema)

    def drop_unknown_keys(self, schema: Schema) -> None:
        """Leave of the value what the action knows, as `/v2` does."""
        known = schema["properties"][self.action.wire_name].get("properties")
        if known is not None and isinstance(self.value_given, dict):
            self.body = {self.action.wire_name: {k: v for k, v in self.value_given.items() if k in known}}

    @property
    def value_given(self) -> Any:
        """Return what stands under the action's key."""
        return self.body[self.action.wire_name]

    def params(self) -> dict[str, Any]:
        """Return the parameters; a value that is not looked at has none."""
        known = {p.name for p in self.action.parameters_at(self.version) if not p.in_path}
        given = self.value_given if isinstance(self.value_given, dict) else {}
        return {name: value for name, value in given.items() if name in known}


class ServerAction(ActionView):
    """`POST /servers/{id}/action`."""

    @once(in_transaction=False)
    def post(self, request: Request, server_id: str) -> HttpResponse:
        keep = keeping(self, self.acceptance)
        return self.acceptance(
            submit(self.action, server_id, self.params(), self.context, self.version, keep)
        )

    def acceptance(self, accepted: Accepted) -> HttpResponse:
        """Return the answer that says what was accepted."""
        if self.action.answer is Answer.IMAGE:
            return self.image_answer(accepted, self.params())
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

    @once(in_transaction=False)
    def post(self, request: Request, server_id: str, migration_id: str) -> HttpResponse:
        params = {"migration": migration_number(migration_id)}
        try:
            submit(self.action, server_id, params, self.context, self.version, keeping(self, nothing_to_tell))
        except MigrationMissing as fault:
            raise MigrationMissing(**{**fault.facts, "migration": migration_id}) from fault
        return empty_answer(202)


def nothing_to_tell(accepted: Accepted) -> HttpResponse:
    """Return the answer to what was accepted on a migration."""
    return empty_answer(202)


def abort_migration(view: NovaView, server_id: str, migration_id: str) -> HttpResponse:
    """Answer `DELETE /servers/{id}/migrations/{id}`."""
    action = registry["abort-migration"]
    params = {"migration": migration_number(migration_id)}
    try:
        submit(action, server_id, params, view.context, view.version, keeping(view, nothing_to_tell))
    except MigrationNotFound as fault:
        raise MigrationNotFound(**{**fault.facts, "migration": migration_id}) from fault
    except InstanceLocked as fault:  # Nova catches the lock as a state here (Nova contract A.3)
        raise InvalidState(verb=action.verb, **fault.facts) from fault
    return empty_answer(202)
