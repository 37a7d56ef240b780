"""A log line decides no answer and ends no process, wherever it cannot be written."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import structlog

from project.logs import FORMATS, BriefOutage
from tests.blocked import OUTAGES

ROOT = Path(__file__).parent.parent
LOGGERS = """
import logging, sys
import django
django.setup()
import structlog
if CLOSES:
    sys.stderr.close()
for each in (structlog.get_logger("ours"), logging.getLogger("theirs"), logging.getLogger("django.server")):
    for number in range(3):
        each.error("something happened " + "x" * 10000)
    try:
        1 / 0
    except ZeroDivisionError:
        each.exception("something was raised")
print("went on")
"""
REQUEST = """
import sys
import django
django.setup()
from django.test import Client
from servers.api.compute import zones
def fail(*args, **kwargs):
    raise ValueError("nobody foresaw it")
zones.ZoneList.initial = fail
answer = Client(raise_request_exception=False).get("/v2.1/os-availability-zone")
print(answer.status_code, answer["Content-Type"], list(answer.json()))
"""


EVERYBODY = """
import logging, sys, threading, warnings
import django
django.setup()
import structlog
class Mute:
    def __repr__(self):
        raise ValueError("no words")
    def __str__(self):
        raise ValueError("no words")
structlog.get_logger("ours").warning("ours said", thing={"a": object()}, text="two\\nlines \\x1b[31m = \\"")
structlog.get_logger("ours").error("ours mute", thing=Mute())
for name in ("theirs", "django.server", "waitress", "procrastinate", "libvirt"):
    logging.getLogger(name).warning("%s said\\r\\x1b[31m\\x9b31m and\\nmore", name)
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("theirs").exception("theirs raised")
    structlog.get_logger("ours").error("ours raised", exc_info=True)
warnings.warn("somebody warned")
thread = threading.Thread(target=lambda: 1 / 0, name="short")
thread.start()
thread.join()
"""
"""Each way in which a line comes about."""


def run(
    program: str, redirection: str, folder: Path, *, closes: bool = False, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run a program with its standard error led somewhere else by the shell."""
    return subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" {redirection}', sys.executable, f"CLOSES = {closes}\n{program}"],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "project.settings", "DATA_DIR": str(folder), **settings},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-"])
def test_whoever_writes_to_a_full_disk_or_to_nothing_goes_on(redirection: str, tmp_path: Path) -> None:
    assert run(LOGGERS, redirection, tmp_path).stdout == "went on\n"


def test_whoever_writes_to_a_stream_that_was_closed_goes_on(tmp_path: Path) -> None:
    assert run(LOGGERS, "", tmp_path, closes=True).stdout == "went on\n"


def test_a_log_that_can_be_written_has_every_line(tmp_path: Path) -> None:
    done = run(LOGGERS, "", tmp_path)
    assert done.stderr.count("something happened") == 9
    assert done.stderr.count("ZeroDivisionError") >= 3


def test_every_line_is_one_of_json_by_setting_whoever_writes_it(tmp_path: Path) -> None:
    lines = [json.loads(line) for line in run(EVERYBODY, "", tmp_path, LOG_FORMAT="json").stderr.splitlines()]
    assert {"event", "level"} <= set.intersection(*map(set, lines))
    said = " ".join(line["event"] for line in lines)
    for words in ("ours said", "ours mute", "theirs said", "django.server said", "waitress said"):
        assert words in said
    assert "procrastinate said" in said and "libvirt said" in said and "somebody warned" in said
    raised = {line["event"] for line in lines if "ZeroDivisionError" in line.get("exception", "")}
    assert raised == {"theirs raised", "ours raised", "thread.failed"}


def test_every_line_of_logfmt_is_one_line_and_has_its_time_level_and_event(tmp_path: Path) -> None:
    lines = run(EVERYBODY, "", tmp_path).stderr.splitlines()
    form = re.compile(r"timestamp=\S+ level=[a-z]+ event=(\"|\S+)")
    assert len(lines) == 11 and [line for line in lines if not form.match(line)] == []


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_no_line_has_what_a_terminal_would_obey_whoever_has_chosen_its_words(
    form: str, tmp_path: Path
) -> None:
    said = run(EVERYBODY, "", tmp_path, LOG_FORMAT=form).stderr
    assert "theirs said" in said and "ours said" in said
    assert re.findall("[\x00-\x09\x0b-\x1f\x7f-\x9f]|\\\\u001b|\\\\r", said) == []


def test_rest_answers_in_its_own_form_when_the_reason_cannot_be_logged(tmp_path: Path) -> None:
    done = run(REQUEST, "2>/dev/full", tmp_path)
    assert done.stdout == "500 application/json; charset=UTF-8 ['computeFault']\n"


def test_what_cannot_be_put_into_words_is_logged_as_such(capfd: pytest.CaptureFixture[str]) -> None:
    class Mute:
        def __repr__(self) -> str:
            raise ValueError("no words")

    structlog.get_logger("ours").error("odd", thing=Mute())


def test_an_outage_is_one_line_and_everything_else_has_its_traceback() -> None:
    def record_of(error: Exception) -> logging.LogRecord:
        return logging.LogRecord(
            "x", logging.ERROR, "", 0, "failed: %s", ("/here",), (type(error), error, None)
        )

    away, other = record_of(OUTAGES["refused"]), record_of(ValueError("odd"))
    assert BriefOutage().filter(away) and BriefOutage().filter(other)
    assert away.getMessage() == f"failed: /here ({OUTAGES['refused']})" and away.exc_info is None
    assert other.getMessage() == "failed: /here" and other.exc_info is not None
