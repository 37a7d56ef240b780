"""The data folder and its files, which only their owner may read: what is written has no other mode (project/settings.py)."""

from __future__ import annotations

import os
import secrets
import stat
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


def close_to_others(folder: Path) -> None:
    """Take from everybody else what an earlier Gantry, or somebody's umask, has let them do in a data folder.

    Done with what is this user's; a folder that is everybody's by design, as /tmp, is left as it is (`checks.py`).
    """
    if not folder.is_dir() or folder.stat().st_mode & stat.S_ISVTX:
        return
    for path in (folder, *folder.rglob("*")):
        try:
            found = path.lstat()
        except FileNotFoundError:  # SQLite's files beside the database come and go
            continue
        if not stat.S_ISLNK(found.st_mode) and found.st_uid == os.geteuid() and found.st_mode & 0o077:
            path.chmod(stat.S_IMODE(found.st_mode) & 0o700)
