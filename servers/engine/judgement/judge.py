"""Judgements of actions whose outcome is unknown: look again, close, or undo, each with a reason.

Nothing here has an effect at a hypervisor. Looking again and undoing are done by a worker, under its fence.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction

from servers import clock, policy
from servers.acting import acting
from servers.engine import images
from servers.engine.accepting.idempotency import Keep, keep_nothing
from servers.engine.execution.lease import Lease, fenced_record
from servers.engine.execution.queue import enqueue
from servers.engine.execution.task import WorkingTask
from servers.engine.judgement import endings
from servers.engine.judgement.cases import Case, evidence_of, hosts_that_matter, waiting
from servers.engine.judgement.endings import (
    Ending,
    Outcome,
    ending_of,
    refuse_living,
    refuse_strange,
    refuse_undo,
)
from servers.errors import Conflict, InvalidParameters, Judged, LeaseLost, NotWaiting
from servers.models import ActionRecord, Host, Server
from servers.policy import Context
from servers.states import ActionStatus

log = structlog.get_logger(__name__)

RULE = "gantry:actions:judge"
LOOK_AGAIN, UNDO = "look_again", "undo"
VERDICTS = (LOOK_AGAIN, *(outcome.value for outcome in Outcome), UNDO)

LONGEST_REASON = 1000
NO_REASON = f"A judgement needs a reason of 1 to {LONGEST_REASON} printable characters."

LIMIT_S = 5.0
"""Seconds that a host has to answer before a judgement counts it as silent."""

HOLDER = "judgement"
RETURNED = "{hosts} answers again."
RETURNS = "waits_for_hosts"
LOOKED_AT_ONCE = 200


def judge(
    action: UUID,
    verdict: str,
    context: Context,
    reason: str,
    dead_hosts: Collection[str] = (),
    keep: Keep[ActionRecord] = keep_nothing,
) -> ActionRecord:
    """Judge the action by the name of the verdict, one of VERDICTS; return its record.

    LOOK_AGAIN lets a worker look at the action again, with attempts counted anew; UNDO lets it undo what the action
    has made, and end it as failed; for the others see `close`. Hosts in `dead_hosts` are silent, and the operator
    declares them dead: no worker waits for their answer. `keep` is called at the end of the transaction that writes
    the judgement.

    Raises NotWaiting, NotKnown, HostUnknown, HostAnswers, NotPermitted, and InvalidParameters for the reason or
    another verdict; for UNDO CannotUndo, when a forward-only step has had an effect; and what `close` raises.
    """
    with acting(reason=reason, request_id=context.request_id):
        if verdict in {LOOK_AGAIN, UNDO}:
            return _hand_over(action, context, reason, dead_hosts, verdict, keep)
        if verdict not in VERDICTS:
            raise InvalidParameters(detail=f"A verdict is one of {', '.join(VERDICTS)}.")
        return close(action, context, reason, Outcome(verdict), dead_hosts, keep)


def close(
    action: UUID,
    context: Context,
    reason: str,
    outcome: Outcome,
    dead_hosts: Collection[str] = (),
    keep: Keep[ActionRecord] = keep_nothing,
) -> ActionRecord:
    """End the action with `outcome`, after all hosts were asked; the records are set to what hosts say.

    Done under a lease of its own, so that a late worker is fenced. Raises GuestSeenTwice, HostsSilent or
    CannotClose when the evidence does not allow it, and what `judge` raises for LOOK_AGAIN except NotKnown.
    """
    reason = readable(reason)
    with held(action, context) as lease:
        case = evidence_of(ActionRecord.objects.get(pk=action), LIMIT_S)
        refuse_living(case, dead_hosts)
        fault = Judged(by=who(context), reason=reason)
        ending = ending_of(case, outcome, fault, dead_hosts)
        said = judgement(context, outcome.value, reason, dead_hosts, case)
        write_end(lease, case, outcome, ending, fault, said, keep)
    tell(case.action, said)
    return ActionRecord.objects.select_related("server").get(pk=action)


def ways_out(case: Case) -> dict[str, str]:
    """Return for each verdict why it is refused, "" when it is not; no host is declared dead."""
    fault = Judged(by="", reason="")
    questions: dict[str, Callable[[], object]] = {
        LOOK_AGAIN: lambda: refuse_strange(case.action),
        Outcome.SUCCEEDED.value: lambda: ending_of(case, Outcome.SUCCEEDED, fault),
        Outcome.FAILED.value: lambda: ending_of(case, Outcome.FAILED, fault),
        UNDO: lambda: refuse_undo(case.action),
    }
    return {verdict: refusal_of(question) for verdict, question in questions.items()}


def refusal_of(question: Callable[[], object]) -> str:
    """Return the text of the Conflict that `question` raises, "" when it raises none."""
    try:
        question()
    except Conflict as refused:
        return str(refused)
    return ""


# -------------------------------------------------------------- reason and record of a judgement


def readable(reason: str) -> str:
    """Return the reason on one line. Raises InvalidParameters when it is empty, too long or unprintable."""
    text = " ".join(reason.split())
    if not 1 <= len(text) <= LONGEST_REASON or not text.isprintable():
        raise InvalidParameters(detail=NO_REASON)
    return text


def who(context: Context) -> str:
    """Return the name of the judging caller, its id when it has no name."""
    return context.user_name or context.user_id


def judgement(
    context: Context, verdict: str, reason: str, dead: Collection[str], case: Case | None = None
) -> dict[str, Any]:
    """Return a judgement as JSON data, the form in which the record's `judgements` keep it.

    `case` is the evidence, when hosts were asked for the verdict itself.
    """
    kept = {
        "at": clock.now().isoformat(),
        "by": {"id": context.user_id, "name": who(context)},
        "door": context.door,
        "verdict": verdict,
        "reason": reason,
        "dead_hosts": sorted(set(dead)),
    }
    return {**kept, "seen": case.said} if case is not None else kept


def tell(action: ActionRecord, said: dict[str, Any]) -> None:
    """Write a judgement to the log."""
    facts = {key: said[key] for key in ("verdict", "reason", "door", "dead_hosts")}
    log.warning("action.judged", action=str(action.pk), request=action.request_id, by=said["by"], **facts)


# ------------------------------------------------------------------------------------------ locks


@contextmanager
def locked(action: UUID, context: Context) -> Iterator[ActionRecord]:
    """Open a transaction in which an action that waits for a judgement is locked, and yield its record.

    Raises NotWaiting, NotPermitted.
    """
    with transaction.atomic():
        row = lock(action)
        require(row, context)
        yield row


def lock(action: UUID) -> ActionRecord:
    """Return the action's row, locked after its server's row; runs in the caller's transaction."""
    of_action = ActionRecord.objects.filter(pk=action).values("server")
    Server.objects.select_for_update().values_list("pk").get(pk__in=of_action)
    return ActionRecord.objects.select_for_update().get(pk=action)


def require(row: ActionRecord, context: Context) -> None:
    """Check that the caller may judge the action, and that it waits. Raises NotPermitted, NotWaiting."""
    policy.in_force().require(context, RULE, row.server.project_id)
    if row.status != ActionStatus.UNKNOWN or row.stalled_at is None:
        tried = row.status == ActionStatus.UNKNOWN
        raise NotWaiting(
            action=row.request_id, state="it is looked at again" if tried else f"it is {row.status}"
        )


def _hand_over(
    action: UUID,
    context: Context,
    reason: str,
    dead: Collection[str],
    verdict: str,
    keep: Keep[ActionRecord],
) -> ActionRecord:
    reason = readable(reason)
    row = ActionRecord.objects.select_related("server", "server__host", "migration").get(pk=action)
    require(row, context)
    if dead:
        refuse_living(evidence_of(row, LIMIT_S), dead)
    said = judgement(context, verdict, reason, dead)
    refuse_strange(row)
    with locked(action, context) as row:
        if verdict == UNDO:
            refuse_undo(row)
            row.verdict = row.verdict or undoing(context, reason)
        _look(row, said)
        keep(row)
    tell(row, said)
    return row


def undoing(context: Context, reason: str) -> dict[str, str]:
    """Return the record's `verdict` for an undo that an operator has requested: edge, code and text."""
    fault = Judged(f"{who(context)} has had it undone: {reason}")
    return {"edge": "fail", "code": fault.code, "text": str(fault)}


def _look(row: ActionRecord, said: dict[str, Any], **memo: Any) -> None:
    """Let a worker claim a locked action that waits, at once, with attempts counted anew."""
    row.judgements = [*row.judgements, said]
    row.memo = {**row.memo, **memo}
    row.stalled_at, row.futile, row.last_progress = None, 0, ""
    row.due_at = row.updated_at = clock.now()
    fields = ["stalled_at", "futile", "last_progress", "due_at", "updated_at"]
    row.save(update_fields=["judgements", "memo", "verdict", *fields])
    enqueue(row)


# -------------------------------------------------------------------------------------- closing


@contextmanager
def held(action: UUID, context: Context) -> Iterator[Lease]:
    """Hold the action under a lease while the block runs, so that no worker claims it; yield the lease.

    An action that has not ended then waits for a judgement again. Raises NotPermitted and NotWaiting, the
    latter also when the lease is lost in the block.
    """
    with locked(action, context) as row:
        row.apply_edge("claim")
        row.attempt += 1
        row.worker = HOLDER
        row.lease_until = clock.now() + timedelta(seconds=settings.LEASE_TTL_S)
        row.save(update_fields=["status", "attempt", "worker", "lease_until"])
    lease = Lease(action, row.attempt, HOLDER)
    try:
        yield lease
    except LeaseLost as lost:
        raise NotWaiting(action=row.request_id, state="somebody else has it by now") from lost
    finally:
        with suppress(LeaseLost):
            let_wait(lease)


def let_wait(lease: Lease) -> None:
    """Give the action back: it waits for a judgement again. Raises LeaseLost when it has ended."""
    with fenced_record(lease) as row:
        row.apply_edge("mark_unknown")
        row.lease_until = None
        row.save(update_fields=["status", "lease_until"])


def write_end(
    lease: Lease,
    case: Case,
    outcome: Outcome,
    ending: Ending,
    fault: Judged,
    said: dict[str, Any],
    keep: Keep[ActionRecord] = keep_nothing,
) -> None:
    """Write the action's end and judgement, with migration, allocations and image, in one transaction.

    Raises LeaseLost. The bytes of a deleted image are removed afterwards.
    """
    with fenced_record(lease) as row:
        row.judgements = [*row.judgements, said]
        row.left_on = endings.end_migration(case, ending.migration) if ending.charges else ""
        if row.left_on:
            row.result = {**row.result, "left_behind": f"{row.left_on}: {fault}"}
        row.save(update_fields=["judgements", "left_on", "result"])
        WorkingTask(lease).end(outcome.edge, ending.change, fault)
        if ending.charges:
            endings.allocate_as_seen(row.server_id, row.migration_id)
        if ending.drops_image and row.image_id is not None:
            images.mark_deleted(row.image_id)
        keep(row)
    if ending.drops_image and row.image_id is not None:
        images.discard(row.image_id)


# ---------------------------------------------------------------------------------- when a host returns


def look_again_when_hosts_return() -> int:
    """Let workers look again at stalled actions of which a host has come back; return how many.

    Periodic task. An action remembers which of its hosts were down. Each return of a host gives one look:
    when the action is stalled again, it waits for an operator, or for another return.
    """
    up = {host.name for host in Host.objects.all() if host.is_up}
    known = set(Host.objects.values_list("name", flat=True))
    looked = 0
    for action in waiting().select_related("migration")[:LOOKED_AT_ONCE]:
        waited = set(action.memo.get(RETURNS, ())) & known
        down = (hosts_that_matter(action) & known) - up
        if waited & up:
            looked += _look_after_return(action.pk, sorted(waited & up), sorted(waited - up))
        elif down - waited:
            _remember(action.pk, sorted(down | waited))
    return looked


def _look_after_return(action: UUID, returned: Sequence[str], left: list[str]) -> int:
    context = Context("gantry", "", frozenset(), user_name="gantry", door="periodic")
    said = judgement(context, LOOK_AGAIN, RETURNED.format(hosts=" and ".join(returned)), ())
    with transaction.atomic():
        row = _still_waiting(action)
        if row is None:
            return 0
        _look(row, said, **{RETURNS: left})
    tell(row, said)
    return 1


def _remember(action: UUID, hosts: list[str]) -> None:
    with transaction.atomic():
        row = _still_waiting(action)
        if row is not None:
            row.memo = {**row.memo, RETURNS: hosts}
            row.save(update_fields=["memo"])


def _still_waiting(action: UUID) -> ActionRecord | None:
    """Return the locked row when it still waits for a judgement, or None."""
    row = lock(action)
    return row if row.status == ActionStatus.UNKNOWN and row.stalled_at is not None else None
