"""Who asks for wrong addresses fills no disk."""

from __future__ import annotations

import errno
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from django.http import HttpResponse
from django.test import Client, RequestFactory

from project import logs
from servers.management.commands import up
from servers.monitoring import requests
from servers.monitoring.line_limit import PERIOD_S, LineLimit
from tests.conftest import Caller

MANY = 10_000
AT_MOST_BYTES = 50_000


class Minutes:
    """A counter of seconds that a test turns."""

    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def minutes(monkeypatch: pytest.MonkeyPatch) -> Minutes:
    turned = Minutes()
    monkeypatch.setattr(requests, "OF_STRANGERS", LineLimit(30, turned))
    return turned


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Return what this process's lines are written to, in JSON."""
    known, stream = structlog.get_config(), io.StringIO()
    monkeypatch.setattr(logs.STDERR, "file", stream)
    logs.configure("INFO", logs.JSON)
    yield stream
    structlog.configure(**known)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize("length", [10, 4_000])
def test_ten_thousand_wrong_addresses_are_a_few_lines(
    length: int, stream: io.StringIO, minutes: Minutes
) -> None:
    handle = requests.Requests(lambda request: HttpResponse(status=404))
    for number in range(MANY):
        handle(RequestFactory().get(f"/{number:0{length}d}"))
    assert len(stream.getvalue()) < AT_MOST_BYTES
    assert len(lines(stream)) == 30


@pytest.mark.django_db
def test_how_many_were_left_out_is_said_when_the_minute_is_over(
    stream: io.StringIO, minutes: Minutes
) -> None:
    for _ in range(35):
        Client().get("/identity/v3/nowhere")
        Client().get("/v2.1/servers")
    minutes.s = PERIOD_S
    Client().get("/healthz")
    *before, last, last_but_one = lines(stream)
    assert len(before) == 60
    said = sorted((line["event"], line["status"], line["number"]) for line in (last, last_but_one))
    assert said == [("request.refused.left_out", 401, 5), ("request.refused.left_out", 404, 5)]
    assert "request_id" not in last
    Client().get("/identity/v3/nowhere")
    assert lines(stream)[-1]["event"] == "request.refused"


def test_who_is_known_has_a_line_for_each_refusal(
    reader: Caller, stream: io.StringIO, minutes: Minutes
) -> None:
    for _ in range(40):
        reader.get("/v2.1/servers/none")
    assert len(lines(stream)) == 40


def test_long_log_is_put_aside_while_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up, "LOG_LIMIT_BYTES", 100)
    with up.log_file(tmp_path, "web") as writer:
        for number in range(1000):
            writer.write(b"a line of ten and some\n")
            writer.flush()
            up.put_aside(tmp_path / "web.log")
            assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 300, number
        writer.write(b"the last\n")
    assert (tmp_path / "web.log").read_bytes().endswith(b"the last\n")
    assert b"\0" not in (tmp_path / "web.log").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"web.log", "web.log.1"}


def test_log_that_cannot_be_put_aside_is_said_once_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "web.log").write_text("line\n")
    command = up.Command()
    with monkeypatch.context() as patch:
        patch.setattr(up, "put_aside", full)
        command.keep_short(tmp_path)
        command.keep_short(tmp_path)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "web.log is not put aside" in caplog.text
    command.keep_short(tmp_path)
    assert command.long_logs == set()
