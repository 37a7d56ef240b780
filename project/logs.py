"""Logs that decide nothing: a line that cannot be written is lost, and whoever wrote it goes on."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog

from servers.outage import is_outage


class LossyStream:
    """A stream that loses what its file does not take: on a full disk, or when it is closed or was never there."""

    def __init__(self, file: TextIO | None) -> None:
        self.file = file

    def write(self, text: str) -> int:
        if self.file is not None:
            with suppress(OSError, ValueError):
                return self.file.write(text)
        return len(text)

    def flush(self) -> None:
        if self.file is not None:
            with suppress(OSError, ValueError):
                self.file.flush()


STDERR = cast(TextIO, LossyStream(sys.stderr))


class BriefOutage(logging.Filter):
    """Leaves out the traceback of an outage: it would be the same at each of a thousand requests."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if is_outage(error):
            record.msg, record.args = f"{record.getMessage()} ({error})", ()
            record.exc_info = record.exc_text = None
        return True


def logger_that_never_raises(level: str) -> type:
    """Return structlog's logger from `level` on; a line that cannot even be put into words is replaced by one that can."""

    class Logger(structlog.make_filtering_bound_logger(level)):  # type: ignore[misc]
        def _proxy_to_logger(self, method_name: str, event: str | None = None, **facts: Any) -> Any:
            try:
                return super()._proxy_to_logger(method_name, event, **facts)
            except Exception as error:  # noqa: BLE001 (whatever it is, a log line decides nothing)
                STDERR.write(f"level={method_name} event={event!r} not_logged={type(error).__name__}\n")

    return Logger
