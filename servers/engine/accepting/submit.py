"""Accept actions on servers: the REST API, the console, the commands and periodic tasks all call `submit`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django_fsm import TransitionNotAllowed

from servers import clock, policy, sealed_parameters
from servers.acting import acting
from servers.actions.base import Action, Exclusivity, Request
from servers.actions.kinds import Secret
from servers.deployment.standing import STANDING
from servers.engine import images
from servers.engine.accepting.accept_context import ActionAcceptContext
from servers.engine.accepting.idempotency import Keep, keep_nothing
from servers.engine.accepting.identifiers import uuid_of
from servers.engine.execution.lease import Lease, claim
from servers.engine.execution.queue import enqueue
from servers.engine.execution.run import carry_out_in_request
from servers.engine.records.changes import take_server_edges
from servers.engine.records.facts import server_facts
from servers.engine.visibility import visible_servers
from servers.errors import (
    ActionUnresolved,
    InstanceLocked,
    InstanceMissing,
    InvalidState,
    NotPermitted,
    Refusal,
)
from servers.fleet.drivers import KnownFleet
from servers.fleet.guest_sightings import GuestSightings, collect_sightings
from servers.microversions import NEWEST, Microversion
from servers.models import ActionRecord, Server
from servers.policy import Context
from servers.states import ActionStatus
from servers.waiting import PLACES

IN_REQUEST = "request"
"""The worker of an action while its caller waits for its first steps."""


@dataclass(frozen=True)
class Accepted:
    """An accepted action: its record, and the UUID of the image that it makes, or restores.

    `lease` is that of the request, while its caller waits for steps which may still refuse it.
    """

    record: ActionRecord
    image_id: UUID | None
    lease: Lease | None = None

    @property
    def is_awaited(self) -> bool:
        """Return whether steps may still refuse it, for which the caller waits."""
        return self.lease is not None


def find_server(server_id: str, context: Context, *, deleted: bool = False) -> Server:
    """Return the server with this UUID, if the caller may see it; a deleted one only when `deleted` is true.

    Raises InstanceMissing, also for the server of another project unless the caller is an admin.
    """
    servers = visible_servers(context).select_related("host")
    if not deleted:
        servers = servers.filter(deleted_at=None)
    try:
        return servers.get(uuid=uuid_of(server_id))
    except (Server.DoesNotExist, ValueError) as error:
        raise InstanceMissing(server=server_id) from error


def lock_server(server_id: UUID) -> Server:
    """Return the server's row, read again and locked until the end of the caller's transaction.

    Raises InstanceMissing when the server was deleted since it was found.
    """
    there = Server.objects.select_for_update(of=("self",)).select_related("host")
    server = there.filter(uuid=server_id, deleted_at=None).first()
    if server is None:
        raise InstanceMissing(server=server_id)
    return server


def submit(
    action: type[Action],
    server_id: str,
    params: Mapping[str, Any],
    context: Context,
    version: Microversion = NEWEST,
    keep: Keep[Accepted] = keep_nothing,
) -> Accepted:
    """Accept an action and return its record; the order of checks is Nova's (Nova contract A.0, 11-17).

    `params` are valid by the action's schema. Raises Refusal, and then nothing is written. `keep` is called at
    the end of the accepting transaction, and what it raises undoes that. Steps for which the caller waits at
    this microversion (the checks of a live migration below 2.34) run before this returns; the ActionFault that
    ends the action there is raised. Where too many callers wait already they are left to a worker. For an action with `looks_first` hypervisors are asked where the guest is,
    before the transaction.
    """
    STANDING.require()
    definition = action()
    definition.check_route(KnownFleet())
    server = find_server(server_id, context)
    cleaned = action.clean(params, version)
    require(action, cleaned, context, server.project_id)
    request = Request(cleaned, version, settings.IMAGE_METADATA_LIMIT)
    definition.check_request(request)
    evidence = collect_sightings(server) if action.looks_first else None
    is_awaited = any(step.waits(version) for step in definition.steps)
    with (
        acting(request_id=context.request_id),
        PLACES.place_if_free() if is_awaited else nullcontext(False) as waits,
    ):
        accepted = accept(definition, server.uuid, request, context, evidence, keep, waits=waits)
        record = accepted.record
        if record.image is not None:
            images.announce(record.image)
        if accepted.lease is not None:
            carry_out_in_request(accepted.lease)
            record.refresh_from_db()
            if record.status == ActionStatus.QUEUED:
                enqueue(record)
    return accepted


def require(action: type[Action], params: Mapping[str, Any], context: Context, project_id: str) -> None:
    """Check that the policy allows the action with these parameters, rule by rule. Raises NotPermitted."""
    for rule in action.rules_for(params):
        policy.in_force().require(context, rule.name, project_id)


@transaction.atomic
def accept(
    definition: Action,
    server_id: UUID,
    request: Request,
    context: Context,
    evidence: GuestSightings | None,
    keep: Keep[Accepted] = keep_nothing,
    *,
    waits: bool = False,
) -> Accepted:
    """Write edge, action record and queue entry in one transaction, after checks on the locked server.

    `evidence` is kept in the record's `result`, and can refuse the action. An IMMEDIATE action ends here, and
    gets no queue entry. Neither does an action for whose first steps the caller `waits`, when it can begin now:
    it is claimed at once, so that no worker takes it. `keep` is called last. Raises Refusal, and then nothing is
    written.
    """
    server = lock_server(server_id)
    refusal = refuses(definition, server, request, context)
    if refusal is None and evidence is not None:
        refusal = evidence.refusal
    if refusal is not None:
        raise refusal
    record = new_record(definition, server, request, context)
    record.result = {"evidence": evidence.as_data()} if evidence else {}
    accepting = ActionAcceptContext(server, record, context, request.params, request.microversion)
    if definition.exclusivity is Exclusivity.IMMEDIATE:
        end_at_once(definition, accepting)
        lease = None
    else:
        lease = leave_to_worker(definition, accepting, waits=waits)
    accepted = Accepted(record, record.image_id, lease)
    keep(accepted)
    return accepted


def end_at_once(definition: Action, accepting: ActionAcceptContext) -> None:
    """Write an IMMEDIATE action, which ends in the accepting transaction."""
    record = accepting.record
    record.apply_edge("succeed")
    record.started_at = record.finished_at = clock.now()
    record.save(force_insert=True)
    definition.accept(accepting)


def leave_to_worker(definition: Action, accepting: ActionAcceptContext, *, waits: bool) -> Lease | None:
    """Write an action with its edge and queue entry; claim it instead, and return the lease, where its caller `waits`."""
    record = accepting.record
    definition.accept(accepting)
    record.save(force_insert=True)
    if definition.transition.edge:
        take_edge(accepting.row, definition)
    lease = claim(record.pk, IN_REQUEST) if waits else None
    if lease is None:
        enqueue(record)
    return lease


def unresolved_action(server: Server) -> ActionRecord | None:
    """Return the exclusive action of the server whose outcome is unknown, or None."""
    unknown = ActionRecord.objects.filter(server=server, exclusive=True, status=ActionStatus.UNKNOWN)
    return unknown.first()


Find = Callable[[Server], ActionRecord | None]
"""`unresolved_action`, or what remembers its answer for whoever asks about every action of a server."""


def refuses(
    definition: Action, server: Server, request: Request, context: Context, find: Find = unresolved_action
) -> Refusal | None:
    """Return why the server's lock or state refuses the action, or None (Nova contract A.0, 14-16)."""
    admin = policy.in_force().is_admin(context)
    if definition.respects_lock and server.locked_by and not admin:
        return InstanceLocked(server=server.uuid)
    refusal = definition.transition.refuses(server, definition.verb)
    if refusal is not None:
        return refusal
    try:
        definition.check_server(request, server_facts(server), KnownFleet())
    except Refusal as refused:
        return refused
    action = find(server) if definition.exclusivity is Exclusivity.EXCLUSIVE else None
    if action is None:
        return None
    return ActionUnresolved(server=server.uuid, action=action.name, request_id=action.request_id)


def take_edge(server: Server, definition: Action) -> None:
    """Apply the definition's edge to the locked server, set its progress to 0, and write both.

    Raises InvalidState when the edge does not start at the server's state.
    """
    try:
        fields = take_server_edges(server, (definition.transition.edge or "",))
    except TransitionNotAllowed as error:
        raise InvalidState(server=server.uuid, verb=definition.verb) from error
    server.progress = 0
    server.store(*fields, "progress")


def new_record(definition: Action, server: Server, request: Request, context: Context) -> ActionRecord:
    """Return the record of the action, not yet saved. Secret parameters are kept in `sealed` alone."""
    secret = {p.name for p in definition.parameters if isinstance(p.kind, Secret)}
    return ActionRecord(
        request_id=context.request_id,
        server=server,
        slug=definition.slug,
        name=definition.record_name,
        definition=definition.version,
        user_id=context.user_id,
        user_name=context.user_name,
        project_id=context.project_id,
        door=context.door,
        microversion=str(request.microversion),
        params={key: value for key, value in request.params.items() if key not in secret},
        sealed=sealed_parameters.seal({key: request.params[key] for key in secret}),
        queue_class=definition.queue_class,
        exclusive=definition.exclusivity in {Exclusivity.EXCLUSIVE, Exclusivity.QUEUED},
        former_vm_state=server.vm_state,
        former_power_state=server.power_state,
        source_host=server.host.name if server.host else "",
    )


def refuses_rules(
    action: type[Action], params: Mapping[str, Any], context: Context, project_id: str
) -> NotPermitted | None:
    """Return why the policy does not allow the action on servers of the project, or None."""
    try:
        require(action, params, context, project_id)
    except NotPermitted as refusal:
        return refusal
    return None


def explain(
    action: type[Action],
    server: Server,
    context: Context,
    params: Mapping[str, Any] | None = None,
    find: Find = unresolved_action,
) -> Refusal | None:
    """Return why `submit` would refuse the action on this server now, or None. Writes nothing.

    Leaves out what `submit` checks of the request alone (`check_request`), and asks no hypervisor.
    """
    definition = action()
    cleaned = action.clean(params or {}, NEWEST)
    try:
        definition.check_route(KnownFleet())
        require(action, cleaned, context, server.project_id)
    except Refusal as refused:
        return refused
    request = Request(cleaned, NEWEST, settings.IMAGE_METADATA_LIMIT)
    return refuses(definition, server, request, context, find)
