"""What refuses a login unchecked: too many failures of the name from the address, from the address, or in all.

A row that is full is not written before it ends, so a refusal prolongs nothing and costs one question.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest
from structlog.contextvars import bind_contextvars

from servers import clock
from servers.errors import TooManyFailedLogins, printable
from servers.logins.addresses import LOCAL, address_of
from servers.models import KnownAddress, LoginFailures

log = structlog.get_logger(__name__)

MAX_NAME = 255
"""As long as is counted; nobody's name is longer."""
NOTED_AGAIN = timedelta(days=1)
"""How old the note of an address may get before it is written anew."""

Of = LoginFailures.Of


@dataclass(frozen=True)
class Attempt:
    """What is given as a name, and the address from which it is given."""

    name: str
    address: str

    @property
    def keys(self) -> tuple[dict[str, str], ...]:
        """Return the keys of the rows in which a failure counts, in the order in which they are made."""
        return (
            {"of": Of.PAIR, "name": self.name, "address": self.address},
            {"of": Of.ADDRESS, "name": "", "address": self.address},
            {"of": Of.ALL, "name": "", "address": ""},
        )


def begin(request: HttpRequest | None, name: str) -> Attempt:
    """Return an attempt that may be made, under this name from where the request comes. Raises TooManyFailedLogins."""
    attempt = Attempt(name[:MAX_NAME], address_of(request))
    bind_contextvars(login=printable(attempt.name), address=attempt.address)
    require_allowed(attempt)
    return attempt


def require_allowed(attempt: Attempt) -> None:
    """Do nothing where a login may be tried. Raises TooManyFailedLogins."""
    require_room(rows_of(attempt), attempt, clock.now())


def failed(attempt: Attempt) -> None:
    """Count a failure, unless its row is full already. Raises TooManyFailedLogins where one is now."""
    log.info("login.failed")
    now = clock.now()
    with transaction.atomic():
        found = rows_to_write(attempt, now)
        pair, address, everybody = (found[key["of"]] for key in attempt.keys)
        if not (is_full(pair, now) or is_full(address, now)):
            is_new_name = pair.ends_at <= now
            add(pair, now)
            add(address, now, names=int(is_new_name))
            add(everybody, now)
            LoginFailures.objects.bulk_update(found.values(), ["failures", "names", "ends_at"])
    require_room(found.values(), attempt, now)


def succeeded(attempt: Attempt, *, is_all: bool = True) -> None:
    """Forget the failures of the name from the address; note the address, where this `is_all` that is asked.

    Raises TooManyFailedLogins where others have filled a row meanwhile: of guesses at one time no more than the limit
    are answered.
    """
    found, now = rows_of(attempt), clock.now()
    require_room(found, attempt, now)
    if any(row.of == Of.PAIR and row.failures for row in found):
        mine = LoginFailures.objects.filter(**attempt.keys[0])
        mine.filter(failures__lt=settings.LOGIN_FAILURES_LIMIT).update(failures=0)
    if is_all:
        let_in(attempt.address)
    else:
        log.info("login.first_factor")


def let_in(address: str) -> None:
    """Note and say that somebody has logged in from an address."""
    note_address(address, clock.now())
    log.info("login.succeeded")


def require_room(rows: Iterable[LoginFailures], attempt: Attempt, now: datetime) -> None:
    """Do nothing unless a row is full; that of everybody refuses addresses alone that are not known.

    Raises TooManyFailedLogins, which says when the last of them ends and not which they are.
    """
    ends = [row.ends_at for row in rows if is_full(row, now) and not spares(row, attempt.address)]
    if ends:
        raise refusal(max(ends), now)


def spares(row: LoginFailures, address: str) -> bool:
    """Return whether a full row lets an address pass: somebody has logged in from there lately."""
    return row.of == Of.ALL and is_known(address)


def refusal(ends_at: datetime, now: datetime) -> TooManyFailedLogins:
    """Return the refusal that says for how long it holds."""
    wait_s = max(1, math.ceil((ends_at - now).total_seconds()))
    minutes = math.ceil(wait_s / 60)
    wait = "a minute" if minutes == 1 else f"{minutes} minutes"
    return TooManyFailedLogins(wait=wait, retry_after_s=wait_s)


def rows_of(attempt: Attempt) -> list[LoginFailures]:
    """Return the rows that there are for an attempt."""
    pair, address, everybody = (Q(**key) for key in attempt.keys)
    return list(LoginFailures.objects.filter(pair | address | everybody))


def rows_to_write(attempt: Attempt, now: datetime) -> dict[str, LoginFailures]:
    """Return all three rows by what they are of, locked until the transaction ends; what is missing is made.

    Everybody makes and locks them in the same order, so nobody waits for somebody who waits for him.
    """
    LoginFailures.objects.bulk_create(
        [LoginFailures(ends_at=now, **key) for key in attempt.keys], ignore_conflicts=True
    )
    pair, address, everybody = (Q(**key) for key in attempt.keys)
    found = LoginFailures.objects.select_for_update().filter(pair | address | everybody).order_by("pk")
    return {row.of: row for row in found}


def add(row: LoginFailures, now: datetime, names: int = 0) -> None:
    """Count one failure in a row, unless it is full; one that has ended begins anew."""
    if row.ends_at <= now:
        row.failures = row.names = 0
        row.ends_at = ends_at(now)
    if not is_full(row, now):
        row.failures += 1
        row.names += names
        if is_full(row, now):
            row.ends_at = ends_at(now)


def ends_at(now: datetime) -> datetime:
    """Return until when a row counts that begins now, or refuses that is full now."""
    return now + timedelta(seconds=settings.LOGIN_COOLOFF_S)


def is_full(row: LoginFailures, now: datetime) -> bool:
    """Return whether a row refuses."""
    if row.ends_at <= now:
        return False
    if row.of == Of.PAIR:
        return row.failures >= settings.LOGIN_FAILURES_LIMIT
    if row.of == Of.ADDRESS:
        return row.failures >= settings.LOGIN_ADDRESS_LIMIT or row.names >= settings.LOGIN_NAMES_LIMIT
    return row.failures >= settings.LOGIN_TOTAL_LIMIT


def is_known(address: str) -> bool:
    """Return whether it is this machine's own, or somebody has logged in from there within LOGIN_KNOWN_DAYS."""
    if address == LOCAL:
        return True
    since = clock.now() - timedelta(days=settings.LOGIN_KNOWN_DAYS)
    return KnownAddress.objects.filter(address=address, seen_at__gt=since).exists()


def note_address(address: str, now: datetime) -> None:
    """Note that somebody has logged in from an address, at most once a day."""
    if not KnownAddress.objects.filter(address=address, seen_at__gt=now - NOTED_AGAIN).exists():
        KnownAddress.objects.bulk_create(
            [KnownAddress(address=address, seen_at=now)],
            update_conflicts=True,
            unique_fields=["address"],
            update_fields=["seen_at"],
        )


def full_rows() -> list[LoginFailures]:
    """Return the rows that refuse now, those that end last first."""
    now = clock.now()
    rows = LoginFailures.objects.filter(ends_at__gt=now).order_by("-ends_at", "of", "name", "address")
    return [row for row in rows if is_full(row, now)]
