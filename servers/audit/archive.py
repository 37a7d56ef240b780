"""Archiving: the beginning of the trail goes to a file and is cut off; what is left is still proven, from the cut on.

It is the only deletion that there is. The record that says so is written before anything is deleted, so that a process
which dies leaves nothing unexplained; the next archive deletes what it has left.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import transaction

from servers.audit.chain import digest, facts
from servers.audit.recording import note
from servers.audit.saying import may_cut
from servers.audit.verification import ARCHIVED, TRAIL, Proof, pairs, start
from servers.errors import Invalid, TrailChanged
from servers.models import AuditLink, AuditRecord

AT_ONCE = 500


def archive(before: datetime, path: Path) -> dict[str, Any]:
    """Write everything before this time to a new file, JSON lines, and cut it off; return what was written.

    Raises TrailChanged where a link does not fit its record, Invalid where there is nothing to archive, OSError for
    the file. Nothing is deleted then.
    """
    after, previous = start()
    cut(after)  # what a process has left that died
    end = _end(before, after)
    if end <= after:
        raise Invalid(f"There is nothing before {before:%F %T} that is chained and not archived yet.")
    hashed = hashlib.sha256()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        try:
            for line in lines(after, previous, end):
                file.write(line)
                hashed.update(line)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            path.unlink()  # what was not finished is no archive
            raise
    written = {
        "number": end,
        "digest": AuditLink.objects.get(number=end).digest,
        "records": end - after,
        "file": str(path),
        "sha256": hashed.hexdigest(),
    }
    note(ARCHIVED, TRAIL, path.name, **written)
    cut(end)
    return written


def _end(before: datetime, after: int) -> int:
    """Return the number up to which every record is older."""
    for link, record in pairs(after):
        if record is not None and record.at >= before:
            return link.number - 1
        after = link.number
    return after


def lines(after: int, previous: str, end: int) -> Iterator[bytes]:
    """Yield links `after` + 1 to `end` with their records, each proven before. Raises TrailChanged."""
    for link, record in pairs(after):
        if link.number > end:
            return
        if record is None or digest(previous, link.number, facts(record)) != link.digest:
            raise TrailChanged(problem=f"number {link.number} does not fit its record.")
        line = {
            "number": link.number,
            "previous": previous,
            "digest": link.digest,
            "record": facts(record),
        }
        yield json.dumps(line, ensure_ascii=False).encode() + b"\n"
        previous = link.digest


def cut(end: int) -> None:
    """Delete the records up to this number, and the links before it, in short transactions."""
    while links := list(AuditLink.objects.filter(number__lt=end).order_by("number")[:AT_ONCE]):
        with transaction.atomic(), may_cut():
            AuditRecord.objects.filter(pk__in=[link.record_id for link in links]).delete()
            AuditLink.objects.filter(pk__in=[link.number for link in links]).delete()
    with may_cut():
        AuditRecord.objects.filter(pk__in=AuditLink.objects.filter(number=end).values("record_id")).delete()


def verify_archive(path: Path) -> Proof:
    """Return what has become of an archive since it was written: its links are computed anew. Raises OSError, ValueError."""
    proof = Proof()
    with path.open() as file:
        for number, text in enumerate(file, start=1):
            try:
                line = json.loads(text)
                said, record = int(line["number"]), dict(line["record"])
                previous, kept = str(line["previous"]), str(line["digest"])
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{path}, line {number}, is no line of an archive") from error
            if proof.records == 0:
                proof.first, proof.last, proof.digest = said - 1, said - 1, previous
            if said != proof.last + 1:
                proof.finds(f"Numbers {proof.last + 1} to {said - 1} are gone.")
            elif digest(proof.digest, said, record) != kept:
                proof.finds(f"Number {said} was changed.")
            proof.records += 1
            proof.last, proof.digest = said, kept
    return proof
