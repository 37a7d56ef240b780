"""Checkpoints: the end of the chain, written where whoever changes the database does not reach.

They go to a file in the data folder, and to the system's log, which may be on another machine. A single later one is
enough to notice that anything before it was changed, and that the end was cut off.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler, SysLogHandler
from pathlib import Path
from typing import Any

from django.conf import settings

from servers import clock
from servers.models import AuditLink

NAME = "checkpoints.jsonl"
MAX_BYTES, KEPT = 1_000_000, 9
"""Of how many bytes a file has at most, and how many full ones are kept."""


@dataclass(frozen=True)
class Checkpoint:
    """That the chain had this digest at this number."""

    number: int
    digest: str


def path() -> Path:
    return Path(settings.DATA_DIR) / "audit" / NAME


def write(link: AuditLink) -> None:
    """Write that the chain ends with this link. Raises OSError."""
    line = json.dumps({"at": clock.now().isoformat(), "number": link.number, "digest": link.digest})
    path().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with closing(RotatingFileHandler(path(), maxBytes=MAX_BYTES, backupCount=KEPT)) as file:
        emit(file, line)
        path().chmod(0o600)
    if settings.AUDIT_SYSLOG:
        with closing(SysLogHandler(settings.AUDIT_SYSLOG, SysLogHandler.LOG_AUTHPRIV)) as syslog:
            emit(syslog, f"gantry audit checkpoint: {line}")


def emit(handler: logging.Handler, line: str) -> None:
    """Let a handler of logging write one line; what fails is raised, not printed."""
    handler.handleError = _reraise  # type: ignore[method-assign]
    handler.emit(logging.LogRecord("audit", logging.INFO, __file__, 0, line, None, None))


def _reraise(record: logging.LogRecord) -> None:
    raise


def kept(files: Iterable[Path] = ()) -> Iterator[Checkpoint]:
    """Yield the checkpoints of these files, by default of all that this machine has kept. Raises OSError, ValueError."""
    for file in files or sorted(path().parent.glob(f"{NAME}*"), reverse=True):
        for number, line in enumerate(file.read_text().splitlines(), start=1):
            yield parsed(line, file, number)


def parsed(line: str, file: Path, number: int) -> Checkpoint:
    """Return a line as a checkpoint, also one of the system's log. Raises ValueError, which names the line."""
    try:
        said: dict[str, Any] = json.loads(line[line.index("{") :])
        return Checkpoint(int(said["number"]), str(said["digest"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file}, line {number}, is no checkpoint") from error
