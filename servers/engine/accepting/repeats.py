"""Accept an action once for an idempotency key, at the ways in whose answer is the action's record."""

from __future__ import annotations

from collections.abc import Callable

from servers.engine.accepting.idempotency import Answer, Keep, claim, keep_nothing
from servers.engine.accepting.submit import Accepted
from servers.errors import ActionNotFound
from servers.models import ActionRecord
from servers.policy import Context

ACCEPTED = 202


def accept_once(
    key: str | None,
    context: Context,
    address: str,
    asked: object,
    accept: Callable[[Keep[Accepted]], Accepted],
) -> Accepted:
    """Return what `accept` accepts, or what it accepted for an earlier request with this key.

    `address` and `asked` say what is asked, as `claim` takes them. Without a key it is accepted in any case.
    Raises what `claim` and `accept` raise, and ActionNotFound when the earlier action is no longer recorded.
    """
    if key is None:
        return accept(keep_nothing)
    found = claim(key, context, address, asked)
    if isinstance(found, Answer):
        return recorded(found.body)

    def keep(accepted: Accepted) -> None:
        record = accepted.record
        answer = Answer(ACCEPTED, body=str(record.pk), request_id=record.request_id)
        found.keep(answer, checking=accepted.is_awaited)

    with found:
        return accept(keep)


def recorded(action: str) -> Accepted:
    """Return the earlier action with this primary key. Raises ActionNotFound."""
    record = ActionRecord.objects.select_related("server").filter(pk=action).first()
    if record is None:
        raise ActionNotFound(action=action)
    return Accepted(record, record.image_id)
