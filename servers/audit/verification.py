"""Proving the trail: every link is computed anew, from the records as they are, and compared with every checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from servers.audit import triggers
from servers.audit.chain import GENESIS, digest, facts, unchained
from servers.audit.checkpoints import Checkpoint
from servers.models import AuditLink, AuditRecord

AT_ONCE = 2000
SHOWN = 100
ARCHIVED = "archived"
TRAIL = "audit trail"


@dataclass
class Proof:
    """What a verification has found. `problems` is empty where nobody has changed anything."""

    problems: list[str] = field(default_factory=list)
    records: int = 0
    first: int = 0
    last: int = 0
    digest: str = GENESIS
    not_chained: int = 0
    checkpoints: int = 0

    def finds(self, problem: str) -> None:
        """Add a problem; after SHOWN of them only that there are more."""
        if len(self.problems) < SHOWN:
            self.problems.append(problem)
        elif len(self.problems) == SHOWN:
            self.problems.append("and more")


def verify(known: Iterable[Checkpoint]) -> Proof:
    """Return what has become of the trail since it was written. Reads all of it, in batches; writes nothing.

    It begins where the last archive has cut it, or with number 1.
    """
    proof = Proof()
    points = {point.number: point.digest for point in known}
    for name in sorted(triggers.expected() - triggers.installed()):
        proof.finds(f"The database has lost the trigger {name}: what it watched is not written any more.")
    proof.first, proof.digest = start()
    proof.last = proof.first
    _walk(proof, points)
    proof.checkpoints = sum(number >= proof.first for number in points)
    for number in sorted(number for number in points if number > proof.last):
        proof.finds(f"The end was cut off: there was a number {number}, and the last one is {proof.last}.")
        break
    proof.not_chained = unchained().count()
    return proof


def start() -> tuple[int, str]:
    """Return after which number the trail begins, and that link's digest: where it was cut, as the archive has noted."""
    cut = AuditRecord.objects.filter(verb=ARCHIVED, object_type=TRAIL).order_by("-pk").first()
    return (int(cut.after["number"]), str(cut.after["digest"])) if cut else (0, GENESIS)


def _walk(proof: Proof, points: dict[int, str]) -> None:
    """Compute every link anew, in order."""
    for link, record in pairs(proof.last):
        if link.number != proof.last + 1:
            proof.finds(f"Numbers {proof.last + 1} to {link.number - 1} are gone.")
        elif record is None:
            proof.finds(f"Number {link.number} is gone: record {link.record_id}, of {link.chained_at:%F %T}.")
        elif digest(proof.digest, link.number, facts(record)) != link.digest:
            proof.finds(f"Number {link.number} was changed: record {record.pk}, {record}.")
        if points.get(link.number, link.digest) != link.digest:
            proof.finds(f"The chain was written anew: number {link.number} is not what its checkpoint says.")
        proof.records += record is not None
        proof.last, proof.digest = link.number, link.digest


def pairs(after: int) -> Iterator[tuple[AuditLink, AuditRecord | None]]:
    """Yield the links behind this number in order, each with its record, or None where that is gone."""
    while links := list(AuditLink.objects.filter(number__gt=after).order_by("number")[:AT_ONCE]):
        records = AuditRecord.objects.in_bulk([link.record_id for link in links])
        for link in links:
            yield link, records.get(link.record_id)
        after = links[-1].number
