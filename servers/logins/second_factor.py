"""The second factor of a login: a code that changes every thirty seconds (TOTP, RFC 6238), or a recovery code."""

from __future__ import annotations

import base64
import re
import secrets
from enum import Enum
from urllib.parse import quote, urlencode, urlsplit

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.http import HttpRequest
from django_otp.oath import TOTP

from servers import clock
from servers.errors import SecretsUnreadable
from servers.logins import limits
from servers.models import SecondFactor, User
from servers.models.identity import digest
from servers.sealed_parameters import seal, unseal

log = structlog.get_logger(__name__)

KEY_BYTES = 20
"""As long as the digest of HMAC-SHA-1, by which every authenticator makes its codes."""
CODE = re.compile(r"[0-9]{6}", re.ASCII)
TOLERANCE = 1
"""How many steps, of thirty seconds each, a code may be early or late."""
RECOVERY_CODES = 10
RECOVERY_BYTES = 10
"""So random that no salt and no slow hash is needed, as for a token."""
MOST_FAILURES = 100
"""Wrong codes in a row, from wherever, after which a recovery code alone is accepted: a code has only six digits."""
LONGEST = 64
"""Characters of what may be given as a code."""


class Step(Enum):
    """What a login takes after the password."""

    NONE = "none"
    CODE = "code"
    SETUP = "setup"


def is_offered() -> bool:
    """Return whether anybody is asked for a second factor, or may have one."""
    return bool(settings.SECOND_FACTOR != "off")


def is_required() -> bool:
    """Return whether everybody who logs in with a password must have one."""
    return bool(settings.SECOND_FACTOR == "required")


def after_password(user: User) -> Step:
    """Return what is asked of a user whose password was right."""
    if not is_offered():
        return Step.NONE
    if SecondFactor.objects.filter(user=user).exists():
        return Step.CODE
    return Step.SETUP if is_required() else Step.NONE


# ---------------------------------------------------------------------------------------------- codes


def new_key() -> bytes:
    """Return the key of a device that is about to be set up."""
    return secrets.token_bytes(KEY_BYTES)


def as_text(key: bytes) -> str:
    """Return a key as it is typed into an authenticator: base32."""
    return base64.b32encode(key).decode()


def key_of(sealed: str) -> bytes:
    """Return the key that `sealed_key` has sealed. Raises SecretsUnreadable."""
    return base64.b32decode(unseal(sealed)["key"])


def sealed_key(key: bytes) -> str:
    """Return a key, encrypted."""
    return seal({"key": as_text(key)})


def address_for(user: User, key: bytes) -> str:
    """Return what an authenticator reads from the QR code: an address of the form `otpauth://totp/…`."""
    issuer = f"Gantry {urlsplit(settings.PUBLIC_URL).hostname}"
    query = urlencode({"secret": as_text(key), "issuer": issuer}, quote_via=quote)
    return f"otpauth://totp/{quote(f'{issuer}:{user.name}')}?{query}"


def step_of(key: bytes, code: str, after: int = 0) -> int | None:
    """Return the time step of a code that is right now, None for one that is wrong, or of no later step than `after`."""
    if not CODE.fullmatch(code):
        return None
    totp = TOTP(key)
    totp.time = clock.now().timestamp()
    return totp.t() if totp.verify(int(code), TOLERANCE, after + 1) else None


def normal(code: str) -> str:
    """Return a code as it is compared: people type spaces, dashes and capitals."""
    return "".join(code[:LONGEST].split()).replace("-", "").lower()


# --------------------------------------------------------------------------------------------- checking


def check_code(request: HttpRequest | None, user: User, code: str) -> bool:
    """Return whether a code of the user is right, and use it up; a wrong one is a failed login, and is counted.

    It counts under a name of its own: a right password does not forget it. Raises TooManyFailedLogins.
    """
    attempt = limits.begin(request, counted_as(user.name))
    if use(user, normal(code)):
        limits.succeeded(attempt)
        return True
    limits.failed(attempt)
    return False


def counted_as(name: str) -> str:
    """Return under which name wrong codes of a user are counted."""
    return f"second factor of {name}"[: limits.MAX_NAME]


@transaction.atomic
def use(user: User, code: str) -> bool:
    """Return whether a code is right, once: of two who show it at the same time, the second is late."""
    mine = SecondFactor.objects.filter(user=user)
    factor = mine.select_for_update().first()
    if factor is None:
        return False
    step = accepted_step(factor, code)
    if step is not None:
        mine.update(last_step=step, failures=0)
    elif digest(code) in factor.recovery:
        left = [kept for kept in factor.recovery if kept != digest(code)]
        mine.update(recovery=left, failures=0)
        log.info("second_factor.recovery_code_used", user=user.name, left=len(left))
    else:
        mine.filter(failures__lt=MOST_FAILURES).update(failures=F("failures") + 1)
        return False
    return True


def accepted_step(factor: SecondFactor, code: str) -> int | None:
    """Return the time step of a code that a device may be shown by, None for any other.

    A key that cannot be read, since SECRET_KEY is another one, has no codes; recovery codes still count.
    """
    if factor.failures >= MOST_FAILURES:
        return None
    try:
        return step_of(key_of(factor.sealed), code, factor.last_step)
    except SecretsUnreadable:
        log.error("second_factor.unreadable", user=factor.user_id, remedy="remove it: manage.py logins")
        return None


# --------------------------------------------------------------------------------------------- changing


def switch_on(user: User, key: bytes, step: int) -> list[str]:
    """Give a user a second factor, of which the code of `step` was shown; return his recovery codes.

    They cannot be had again. Every session and token of him ends. The list is empty where he has a factor already.
    """
    codes = new_codes()
    given = {"sealed": sealed_key(key), "last_step": step, "recovery": digests(codes)}
    with transaction.atomic():
        _, made = SecondFactor.objects.get_or_create(user=user, defaults=given)
        if not made:
            return []
        user.end_logins()
    log.info("second_factor.switched_on", user=user.name)
    return codes


def switch_off(user: User) -> bool:
    """Take a user's second factor away, and end every session and token of him; return whether there was one."""
    with transaction.atomic():
        if not SecondFactor.objects.filter(user=user).delete()[0]:
            return False
        user.end_logins()
    log.info("second_factor.switched_off", user=user.name)
    return True


def renew_codes(user: User) -> list[str]:
    """Return new recovery codes of a user, which cannot be had again; the old ones are worth nothing any more."""
    codes = new_codes()
    SecondFactor.objects.filter(user=user).update(recovery=digests(codes))
    log.info("second_factor.codes_renewed", user=user.name)
    return codes


def new_codes() -> list[str]:
    """Return recovery codes, in groups of four characters."""
    texts = [
        base64.b32encode(secrets.token_bytes(RECOVERY_BYTES)).decode().lower() for _ in range(RECOVERY_CODES)
    ]
    return ["-".join(re.findall("....", text)) for text in texts]


def digests(codes: list[str]) -> list[str]:
    """Return what is kept of recovery codes."""
    return [digest(normal(code)) for code in codes]
