"""Secret parameters of an action: encrypted in its record for the worker, erased when the action ends."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings

from servers.errors import SecretsUnreadable


def _key() -> Fernet:
    digest = hashlib.sha256(b"gantry sealed parameters" + settings.SECRET_KEY.encode()).digest()
    return Fernet(base64.urlsafe_b64encode(digest))


def seal(secrets: Mapping[str, str]) -> str:
    """Return `secrets` as JSON, encrypted with a key made from SECRET_KEY; "" when there are none."""
    return _key().encrypt(json.dumps(dict(secrets)).encode()).decode() if secrets else ""


def unseal(sealed: str) -> dict[str, str]:
    """Return the secrets by name, {} for "". Raises SecretsUnreadable when SECRET_KEY has changed since."""
    try:
        found: dict[str, str] = json.loads(_key().decrypt(sealed.encode())) if sealed else {}
    except InvalidToken as error:
        raise SecretsUnreadable from error
    return found


def can_open(sealed: str) -> bool:
    """Return whether `unseal` can read it with the SECRET_KEY of this process."""
    try:
        unseal(sealed)
    except SecretsUnreadable:
        return False
    return True
