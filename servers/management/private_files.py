"""Files in the data folder that only their owner may read: passwords, and what holds one."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

PASSWORD_BYTES = 12


def write_private(path: Path, text: str) -> None:
    """Write `text` to `path`, readable by the owner alone from the first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text)


def new_password() -> str:
    """Return a password that nobody guesses."""
    return secrets.token_urlsafe(PASSWORD_BYTES)


def kept_password(path: Path, wanted: str = "") -> str:
    """Return the password in `path`: `wanted` where one is given, else the one that is there, else a new one."""
    if not wanted and path.is_file():
        return path.read_text().strip()
    password = wanted or new_password()
    write_private(path, f"{password}\n")
    return password
