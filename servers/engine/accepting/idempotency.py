"""A request that is repeated with its Idempotency-Key is carried out once, and answered as the first time.

As in draft-ietf-httpapi-idempotency-key-header. A key belongs to a caller and an address. Its claim is
committed before the request is handled; the answer is kept in the transaction that accepts the request, by a
conditional UPDATE on the claim's token. So nothing is accepted without its answer, and a request whose claim
somebody else has taken over accepts nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID, uuid4

import structlog
from django.conf import settings
from django.db import Error as DatabaseFault
from django.db.models import QuerySet
from django.utils.crypto import salted_hmac

from servers import clock
from servers.errors import (
    ActionFault,
    AnswerNotKept,
    ClaimLost,
    IdempotencyKeyInvalid,
    KeyReused,
    RequestUnderWay,
)
from servers.models import IdempotencyKey
from servers.policy import Context

log = structlog.get_logger(__name__)

LONGEST_KEY = 255

Made = TypeVar("Made")
Keep = Callable[[Made], None]
"""What the accepting transaction calls last, with what it has made; it keeps the answer, or raises ClaimLost."""


def keep_nothing(made: object) -> None:
    """Keep no answer: the request has no key."""


@dataclass(frozen=True)
class Answer:
    """An answer as it is kept. `made` says what was made, where it holds a secret: then it has no body."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    request_id: str = ""
    made: str = ""


@dataclass
class Claim:
    """A key that this request has; as a context manager it is given up when the request is refused."""

    digest: str
    token: UUID
    answer: Answer | None = None
    """What was kept."""
    is_checking: bool = False
    """Whether checks may still refuse what the answer says."""

    @property
    def row(self) -> QuerySet[IdempotencyKey]:
        """Return the claim's row; no row when somebody else has taken the key over."""
        return IdempotencyKey.objects.filter(digest=self.digest, token=self.token)

    def keep(self, answer: Answer, *, checking: bool = False) -> None:
        """Keep the answer, in the transaction that accepts the request. Raises ClaimLost.

        `checking` says that checks in this request may still refuse what is accepted: until `__exit__` a
        repeat is told that the request is under way.
        """
        kept = {
            "status": answer.status,
            "headers": dict(answer.headers),
            "body": "" if answer.made else answer.body,
            "request_id": answer.request_id,
            "made": answer.made,
            "checking": checking,
        }
        if not self.row.filter(status=None).update(**kept):
            raise ClaimLost
        self.answer, self.is_checking = answer, checking

    def give_up(self) -> None:
        """Forget the request, and the answer that was kept: a repeat is judged anew."""
        self.row.delete()
        self.answer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the answer count, or give the key up where there is none, so that a repeat is judged anew.

        What cannot be written now is written before this process claims the next key.
        """
        try:
            if isinstance(error, ActionFault):  # a check has ended what was accepted
                self.give_up()
            elif error is not None or self.answer is None:
                self.row.filter(status=None).delete()  # an answer that is there was committed nevertheless
            elif self.is_checking:
                self.row.update(checking=False)
        except DatabaseFault as fault:
            log.warning("idempotency.claim_left", digest=self.digest, reason=str(fault))
            LEFT.append((self.digest, self.token))


def claim(key: str, context: Context, address: str, asked: object) -> Claim | Answer:
    """Claim the key for a request, or return the answer that an earlier request with it was given.

    `address` names what is asked, `asked` is everything else that makes the request, as JSON data, without
    credentials. Must run outside of a transaction. Raises IdempotencyKeyInvalid, KeyReused for another
    request, RequestUnderWay, and AnswerNotKept for an answer that held a secret.
    """
    give_up_left()
    digest, fingerprint = digest_of(readable(key), context, address), fingerprint_of(asked)
    mine = IdempotencyKey(digest=digest, fingerprint=fingerprint, token=uuid4(), claimed_at=clock.now())
    try:
        IdempotencyKey.objects.bulk_create([mine], ignore_conflicts=True)
        row = IdempotencyKey.objects.filter(pk=digest).first()
        if row is None:  # refused, and given up since
            raise RequestUnderWay
        if row.token == mine.token or take_over(row, mine):
            return Claim(digest, mine.token)
    except DatabaseFault:
        LEFT.append((digest, mine.token))  # it may have been written, though nobody has heard of it
        raise
    return answer_of(row, fingerprint)


LEFT: deque[tuple[str, UUID]] = deque(maxlen=1000)
"""Digest and token of claims that this process could not give up while the database was away."""


def give_up_left() -> None:
    """Give up the claims in LEFT that have no answer. Raises database errors, and then they are still there."""
    while LEFT:
        with suppress(IndexError):  # another thread does the same
            left = LEFT.popleft()
            try:
                Claim(*left).row.filter(status=None).delete()
            except DatabaseFault:
                LEFT.append(left)
                raise


def take_over(row: IdempotencyKey, mine: IdempotencyKey) -> bool:
    """Take a claim over whose request has died without an answer; return whether it is ours."""
    if row.status is not None or row.claimed_at > died_before():
        return False
    abandoned = IdempotencyKey.objects.filter(digest=row.digest, token=row.token, status=None)
    return bool(abandoned.update(fingerprint=mine.fingerprint, token=mine.token, claimed_at=mine.claimed_at))


def died_before() -> datetime:
    """Return the time before which a request was claimed that cannot be under way any more."""
    return clock.now() - timedelta(seconds=settings.IDEMPOTENCY_CLAIM_S)


def answer_of(row: IdempotencyKey, fingerprint: str) -> Answer:
    """Return the answer that is kept. Raises KeyReused, RequestUnderWay, AnswerNotKept."""
    if row.fingerprint != fingerprint:
        raise KeyReused
    is_under_way = row.checking and row.claimed_at > died_before()
    if row.status is None or is_under_way:
        raise RequestUnderWay
    if row.made:
        raise AnswerNotKept(made=row.made)
    return Answer(row.status, row.headers, row.body, row.request_id)


def readable(key: str) -> str:
    """Return the key. Raises IdempotencyKeyInvalid."""
    if not 1 <= len(key) <= LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise IdempotencyKeyInvalid(most=LONGEST_KEY)
    return key


def digest_of(key: str, context: Context, address: str) -> str:
    """Return the SHA-256 of caller, address and key. The caller is a user in a project, or in the system."""
    caller = [context.user_id, context.project_id, context.system_scope]
    return hashlib.sha256(canonical([*caller, address, key])).hexdigest()


def fingerprint_of(asked: object) -> str:
    """Return what tells one request from another: an HMAC, because passwords are among what is asked."""
    return salted_hmac("idempotency", canonical(asked), algorithm="sha256").hexdigest()


def canonical(data: Any) -> bytes:
    """Return JSON data as bytes, the same for the same data."""
    return json.dumps(data, sort_keys=True, default=str).encode()
