"""The chain: each committed record gets the next number, and a hash of itself and of the link before it.

Writers never wait for it: it follows them, in one process at a time. A record that is committed late gets a later number
than its id would say, so that numbers have no gaps though ids do.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import UTC
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, QuerySet

from servers import clock
from servers.audit import checkpoints
from servers.models import AuditLink, AuditRecord

GENESIS = "0" * 64
"""What the first link follows."""
AT_ONCE = 500
SETTLED_S = 600.0
"""So long a transaction may take. What was committed before is chained, so it is not looked through again."""

_seen: deque[tuple[float, int]] = deque()
"""The highest id of a record that there was, and when, by time.monotonic()."""
_done = [0]
"""Up to which id every record is chained that can ever be committed, as far as this process has looked."""


def facts(record: AuditRecord) -> dict[str, Any]:
    """Return a record as JSON data: all its columns, the time in UTC."""
    names = [field.attname for field in AuditRecord._meta.concrete_fields]
    return {
        name: getattr(record, name).astimezone(UTC).isoformat(timespec="microseconds")
        if name == "at"
        else getattr(record, name)
        for name in names
    }


def digest(previous: str, number: int, record: dict[str, Any]) -> str:
    """Return the digest of a link: SHA-256 of the one before it, its number, and the record as canonical JSON."""
    said = json.dumps(record, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(f"{previous}\n{number}\n{said}".encode()).hexdigest()


def unchained(after: int = 0) -> QuerySet[AuditRecord]:
    """Return the records with a higher id than `after` that have no link yet."""
    linked = AuditLink.objects.filter(record_id=OuterRef("pk"))
    return AuditRecord.objects.filter(~Exists(linked), pk__gt=after).order_by("pk")


def chain() -> int:
    """Chain what has been committed, and write a checkpoint; return how many records. A periodic task.

    Where another process is at it, this one leaves it to that. The first call of a process looks through the whole
    trail, later ones through what is newer than SETTLED_S.
    """
    chained = 0
    newest = AuditRecord.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    are_more = True
    while are_more:
        records = list(unchained(_done[0])[:AT_ONCE])
        are_more = len(records) == AT_ONCE
        if records:
            last = link(records)
            if last is None:
                return chained
            chained += len(records)
            checkpoints.write(last)
    _remember(newest)
    return chained


def _remember(newest: int) -> None:
    """Note that all was chained that was there, and which record was the newest before that.

    Whatever has a lower id than the newest of SETTLED_S ago is committed by now, or never will be, and is chained.
    """
    now = time.monotonic()
    _seen.append((now, newest))
    while _seen[0][0] < now - SETTLED_S:
        _done[0] = _seen.popleft()[1]


def link(records: Sequence[AuditRecord]) -> AuditLink | None:
    """Append the records to the chain; return the last link, or None where another process has appended first.

    Nothing is locked while the digests are computed: of two processes that follow the same end, the numbers of one are
    refused.
    """
    links = list(following(AuditLink.objects.order_by("-number").first(), records))
    try:
        with transaction.atomic():
            AuditLink.objects.bulk_create(links)
    except IntegrityError:
        return None
    return links[-1]


def following(end: AuditLink | None, records: Sequence[AuditRecord]) -> Iterator[AuditLink]:
    """Yield the link of each record, behind the end of the chain."""
    last, previous = (end.number, end.digest) if end else (0, GENESIS)
    for number, record in enumerate(records, start=last + 1):
        previous = digest(previous, number, facts(record))
        yield AuditLink(number=number, record_id=record.pk, digest=previous, chained_at=clock.now())
