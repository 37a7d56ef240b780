"""Logs of one form, whoever writes a line, that decide nothing: one that cannot be written is lost.

Lines of ours come by structlog, those of Django, Waitress, Procrastinate and others by the standard library;
both pass the same processors and the same renderer.
"""

from __future__ import annotations

import logging
import sys
import threading
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog
from structlog.contextvars import bind_contextvars
from structlog.stdlib import ProcessorFormatter
from structlog.types import EventDict, Processor

from servers.errors import ServiceUnavailable, printable
from servers.outage import is_outage

LOGFMT, JSON = "logfmt", "json"
FORMATS = {LOGFMT, JSON}
TIME = structlog.processors.TimeStamper(fmt="iso", utc=True)
BEFORE: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    TIME,
)
REFUSED = ("django.request", "django.security")
"""The loggers to which Django says of each answer of 400 and above what `servers.monitoring.requests` says as well."""


REASON_CHARS = 300
"""How much of a reason is kept that may quote what a stranger has sent."""


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


def renderer(form: str) -> Processor:
    """Return what makes a line of `form`, which is one of FORMATS."""
    if form == JSON:
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], bool_as_flag=False)


class Formatter(ProcessorFormatter):
    """The form of lines that come by the standard library."""

    def __init__(self, form: str) -> None:
        super().__init__(
            processors=[
                ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                flat,
                harmless,
                renderer(form),
            ],
            foreign_pre_chain=[*BEFORE, structlog.stdlib.add_logger_name],
        )


def flat(logger: Any, method: str, line: EventDict) -> EventDict:
    """Return the line with an event that ends where it ends: `warnings` ends its own with a line feed."""
    line["event"] = str(line["event"]).rstrip()
    return line


def harmless(logger: Any, method: str, line: EventDict) -> EventDict:
    """Return the line without what a terminal would obey, whoever has chosen its words; line feeds the renderer escapes."""
    return {
        name: printable(value, len(value)) if isinstance(value, str) else value
        for name, value in line.items()
    }


class RefusalsAreOurs(logging.Filter):
    """Leaves out Django's own lines on answers of 400 and above: they name no request, and there is one of ours.

    What they say and ours does not know goes into ours: why a form, or the name of a host, is not believed.
    One with a traceback that does not pass by itself stays: nobody else has it.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(REFUSED):
            return True
        error = record.exc_info[1] if record.exc_info else None
        if record.name.startswith("django.security"):
            bind_contextvars(reason=printable(record.getMessage(), REASON_CHARS))
            return False
        return error is not None and not will_pass(error)


def will_pass(error: BaseException | None) -> bool:
    """Return whether an error says that the database or another service cannot be used at this moment."""
    return is_outage(error) or isinstance(error, ServiceUnavailable)


class BriefOutage(logging.Filter):
    """Leaves out the traceback of an outage: it would be the same at each of a thousand requests."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if will_pass(error):
            record.msg, record.args = f"{record.getMessage()} ({error})", ()
            record.exc_info = record.exc_text = None
        return True


def logger_that_never_raises(level: str, form: str) -> type:
    """Return structlog's logger from `level` on; a line that cannot even be put into words is replaced by one that can."""
    write = renderer(form)

    class Logger(structlog.make_filtering_bound_logger(level)):  # type: ignore[misc]
        def _proxy_to_logger(self, method_name: str, event: str | None = None, **facts: Any) -> Any:
            try:
                return super()._proxy_to_logger(method_name, event, **facts)
            except Exception as error:  # noqa: BLE001 (whatever it is, a log line decides nothing)
                line = {"level": method_name, "event": event, "not_logged": type(error).__name__}
                STDERR.write(f"{write(None, method_name, TIME(None, method_name, line))!s}\n")

    return Logger


def configure(level: str, form: str) -> dict[str, Any]:
    """Configure structlog, and return what the standard library is to be configured with (`logging.config`)."""
    structlog.configure(
        processors=[*BEFORE, structlog.processors.format_exc_info, harmless, renderer(form)],
        wrapper_class=logger_that_never_raises(level, form),
        logger_factory=structlog.WriteLoggerFactory(file=STDERR),
    )
    logging.raiseExceptions = (
        False  # nor does a handler of somebody else say anywhere that it could not write
    )
    logging.captureWarnings(True)
    threading.excepthook = log_end_of_thread
    as_others: dict[str, Any] = {"handlers": [], "propagate": True}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"refusals": {"()": RefusalsAreOurs}, "outage": {"()": BriefOutage}},
        "formatters": {"ours": {"()": Formatter, "form": form}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "stream": STDERR,
                "filters": ["refusals", "outage"],
                "formatter": "ours",
            }
        },
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # these have handlers of their own, whose lines have another form
            **dict.fromkeys(("django", "django.server"), as_others),
            "waitress.queue": {"level": "ERROR"},  # it warns of each request that waits for a thread
            "procrastinate": {"level": "WARNING" if level == "INFO" else level},  # chatty
        },
    }


def log_end_of_thread(ended: threading.ExceptHookArgs) -> None:
    """Log what nobody has caught in a thread."""
    if ended.exc_type is not SystemExit:
        name = ended.thread.name if ended.thread else ""
        structlog.get_logger(__name__).error("thread.failed", thread=name, exc_info=ended.exc_value)
