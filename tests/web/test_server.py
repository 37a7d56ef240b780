"""The web server: what a client may take of it, and that others hear nothing of it."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from django.core.wsgi import get_wsgi_application

from servers.management.listening import listen
from servers.web import server as web
from servers.web.limits import BODY_BYTES, HEADER_BYTES, REFUSED
from servers.web.pool import Pool
from servers.web.server import Channel, Server

THREADS = 2
PATIENCE_S = 10.0
SERVICES = {
    "/v2.1/servers": "computeFault",
    "/identity/v3/auth/tokens": "error",
    "/image/v2/images": "message",
    "/gantry/v1/actions": "computeFault",
}
"""An address of each service, and under which key its refusals of 408 stand."""

Start = Callable[[str, list[tuple[str, str]]], Any]


class Application:
    """Answers with what it was sent, and keeps how many threads it has."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.at_work = 0
        self.most = 0
        self.lock = threading.Lock()
        self.go_on = threading.Event()

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        with self.lock:
            self.at_work += 1
            self.most = max(self.most, self.at_work)
        try:
            return self.answer(environ, start)
        finally:
            with self.lock:
                self.at_work -= 1

    def answer(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        if REFUSED in environ:
            start(f"{environ[REFUSED]} Refused", [("Content-Length", "0")])
            return []
        if environ["PATH_INFO"] == "/wait":
            self.go_on.wait(PATIENCE_S)
        if environ["PATH_INFO"] == "/file":
            size = self.file.stat().st_size
            start("200 OK", [("Content-Length", str(size))])
            return environ["wsgi.file_wrapper"](self.file.open("rb"))  # type: ignore[no-any-return]
        body = environ["wsgi.input"].read()
        start("200 OK", [("Content-Length", str(len(body)))])
        return [body]


class Served:
    """A server in a thread of this process."""

    def __init__(self, application: Any) -> None:
        listener = listen("127.0.0.1", 0)
        self.port = listener.getsockname()[1]
        self.server = Server(application, listener, Pool(THREADS))
        self.stopping = threading.Event()
        self.thread = threading.Thread(
            target=self.server.serve, args=(self.stopping, PATIENCE_S), daemon=True
        )
        self.thread.start()

    def end(self) -> None:
        self.stopping.set()
        self.server.pull_trigger()

    def connect(self, sent: bytes = b"") -> socket.socket:
        """Return a connection on which this was sent."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)
        client.sendall(sent)
        return client

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        connection.request(method, path, body, headers, encode_chunked="Transfer-Encoding" in headers)
        return connection.getresponse()


def read_all(client: socket.socket) -> bytes:
    """Return what comes until the server closes the connection."""
    read = b""
    while chunk := client.recv(65536):
        read += chunk
    return read


def status(answer: bytes) -> int:
    return int(answer.split(b" ")[1])


@pytest.fixture
def application(tmp_path: Path) -> Application:
    file = tmp_path / "image"
    with file.open("wb") as image:
        image.truncate(64 * 1024 * 1024)
    return Application(file)


@pytest.fixture
def served(application: Application) -> Iterator[Served]:
    started = Served(application)
    yield started
    application.go_on.set()
    started.end()
    started.thread.join(PATIENCE_S)


@pytest.fixture
def gantry() -> Iterator[Served]:
    started = Served(get_wsgi_application())
    yield started
    started.end()
    started.thread.join(PATIENCE_S)


HALF = {
    "no byte": b"",
    "a header": b"GET /v2.1/ HTTP/1.1\r\nHost: here\r\nX-a: ",
    "a body": b"POST /v2.1/ HTTP/1.1\r\nHost: here\r\nContent-Length: 1000\r\n\r\nabc",
    "a chunk": b"POST /v2.1/ HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc",
    "chunks without end": b"POST /v2.1/ HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
}


@pytest.mark.parametrize("half", list(HALF))
def test_requests_that_are_half_sent_take_no_thread(
    half: str, served: Served, application: Application
) -> None:
    with ExitStack() as clients:
        for _ in range(50):
            clients.enter_context(served.connect(HALF[half]))
        for _ in range(10):
            assert served.ask("POST", "/", b"whole").read() == b"whole"
    assert application.most == 1


def test_clients_that_read_slowly_take_no_thread(served: Served, application: Application) -> None:
    with ExitStack() as clients:
        for _ in range(THREADS * 5):
            clients.enter_context(served.connect(b"GET /file HTTP/1.1\r\nHost: here\r\n\r\n"))
        assert served.ask("POST", "/", b"whole").read() == b"whole"
    assert application.at_work == 0


def test_file_is_sent_to_its_last_byte(served: Served, application: Application) -> None:
    assert len(served.ask("GET", "/file").read()) == application.file.stat().st_size


def test_body_in_chunks_is_one_body(served: Served) -> None:
    answer = served.ask("POST", "/", iter([b"in ", b"two"]), **{"Transfer-Encoding": "chunked"})
    assert (answer.status, answer.read()) == (200, b"in two")


def test_connection_is_kept_and_used_again(served: Served) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port)
    for number in range(3):
        connection.request("POST", "/", str(number))
        assert connection.getresponse().read() == str(number).encode()
    assert len(served.server.active_channels) == 1


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"GET / HTTP/1.1\r\nX-a: " + b"a" * HEADER_BYTES, 431),
        (b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (BODY_BYTES + 1), 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % (2 * BODY_BYTES), 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: here\n\n\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_cannot_be_read_is_refused_and_the_connection_is_closed(
    sent: bytes, code: int, served: Served
) -> None:
    with served.connect(sent) as client:
        if code == 413 and b"chunked" in sent:
            client.sendall(b"a" * (BODY_BYTES + 1))
        answer = read_all(client)
    assert status(answer) == code
    assert b"connection: close" in answer.lower()


def test_body_of_the_greatest_length_is_taken(served: Served) -> None:
    assert len(served.ask("POST", "/", b"a" * BODY_BYTES).read()) == BODY_BYTES


@pytest.mark.parametrize("after_s", [0, 0.1])
def test_clients_who_go_before_they_have_heard_end_nothing(after_s: float, served: Served) -> None:
    for _ in range(20):
        client = served.connect(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (BODY_BYTES + 1))
        client.sendall(b"a" * 1000)
        time.sleep(after_s / 20)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
        client.close()
    assert served.ask("POST", "/", b"whole").read() == b"whole"
    assert served.thread.is_alive()


def test_a_connection_that_is_lost_already_is_closed_all_the_same(served: Served) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = Channel(served.server, ours, ("127.0.0.1", 0), served.server.adj, map={})
        channel.is_refused, channel.socket = True, None
        channel.handle_close()
        assert not channel.connected and channel.lingers_until is None


@pytest.mark.parametrize("half", ["a header", "a body", "a chunk"])
def test_whoever_takes_too_long_is_told_so(
    half: str, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "HEADER_S", 0.1)
    monkeypatch.setattr(web, "REQUEST_S", 0.1)
    with served.connect(HALF[half]) as client:
        assert status(read_all(client)) == 408


def test_request_that_comes_in_drop_by_drop_is_late_all_the_same(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "HEADER_S", 0.5)
    with served.connect(HALF["a header"]) as client:
        began = time.monotonic()
        client.settimeout(0.1)
        answer = b""
        while not answer and time.monotonic() - began < PATIENCE_S:
            client.sendall(b"a")
            try:
                answer = client.recv(100)
            except TimeoutError:
                continue
        assert status(answer) == 408


def test_answer_that_takes_its_time_is_no_late_request(
    served: Served, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "REQUEST_S", 0.1)
    with served.connect(b"GET /wait HTTP/1.0\r\n\r\n") as client:
        time.sleep(2 * web.LOOK_S)
        application.go_on.set()
        assert status(read_all(client)) == 200


def test_connections_without_number_take_nobodys_place_but_that_of_the_quietest(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "CONNECTIONS", 10)
    with ExitStack() as clients:
        quiet = [clients.enter_context(served.connect(HALF["a header"])) for _ in range(10)]
        for _ in range(30):
            clients.enter_context(served.connect(HALF["a header"]))
        assert served.ask("POST", "/", b"whole").read() == b"whole"
        assert read_all(quiet[0]) == b""
        assert len(served.server.active_channels) <= 11


def test_a_crowd_of_which_each_waits_for_an_answer_ends_nothing(
    served: Served, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "CONNECTIONS", 3)
    with ExitStack() as clients:
        waiting = [clients.enter_context(served.connect(b"GET /wait HTTP/1.0\r\n\r\n")) for _ in range(4)]
        while sum(bool(channel.requests) for channel in list(served.server.active_channels.values())) < 3:
            time.sleep(0.01)
        monkeypatch.setattr(
            web.TcpWSGIServer, "handle_accept", lambda self: None
        )  # another process was faster
        monkeypatch.setattr(web, "CONNECTIONS", 0)
        served.server.handle_accept()
        monkeypatch.undo()
        application.go_on.set()
        assert status(read_all(waiting[0])) == 200
    assert served.ask("POST", "/", b"whole").read() == b"whole"


def test_a_connection_that_cannot_be_taken_costs_itself_alone(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = threading.Event()

    def fail(*args: Any, **kwargs: Any) -> None:
        tried.set()
        raise OSError("gone already")

    monkeypatch.setattr(served.server, "channel_class", fail)
    with served.connect():
        assert tried.wait(PATIENCE_S)
        monkeypatch.undo()
    assert served.ask("POST", "/", b"whole").read() == b"whole"


def test_what_was_asked_before_the_end_is_answered(served: Served, application: Application) -> None:
    with served.connect(b"GET /wait HTTP/1.0\r\n\r\n") as client:
        while application.at_work == 0:
            time.sleep(0.01)
        served.end()
        with pytest.raises(OSError):
            while True:
                served.connect().close()
                time.sleep(0.05)
        application.go_on.set()
        assert status(read_all(client)) == 200
    served.thread.join(PATIENCE_S)
    assert not served.thread.is_alive()


@pytest.mark.parametrize("path", list(SERVICES))
def test_each_service_says_in_its_own_form_that_a_request_came_too_slowly(
    path: str, gantry: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "HEADER_S", 0.1)
    with gantry.connect(f"POST {path} HTTP/1.1\r\nX-a:".encode()) as client:
        head, _, body = read_all(client).partition(b"\r\n\r\n")
    assert status(head) == 408
    assert b"x-openstack-request-id: req-" in head.lower()
    assert SERVICES[path] in json.loads(body)


@pytest.mark.parametrize("path", list(SERVICES))
@pytest.mark.parametrize("chunked", [True, False])
def test_each_service_says_in_its_own_form_that_a_body_is_too_large(
    path: str, chunked: bool, gantry: Served
) -> None:
    length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % (2 * BODY_BYTES)
    header = b"POST %s HTTP/1.1\r\nAccept: application/json\r\n%s\r\n\r\n" % (path.encode(), length)
    with gantry.connect(header) as client:
        if chunked:
            client.sendall(b"%x\r\n" % (2 * BODY_BYTES) + b"a" * (BODY_BYTES + 1))
        head, _, body = read_all(client).partition(b"\r\n\r\n")
    assert status(head) == 413
    said = json.loads(body)
    assert str(said).count("413") == 1


def test_console_says_it_on_a_page(gantry: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "REQUEST_S", 0.1)
    with gantry.connect(b"POST /admin/login/ HTTP/1.1\r\nContent-Length: 9\r\n\r\na") as client:
        head, _, body = read_all(client).partition(b"\r\n\r\n")
    assert status(head) == 408 and b"text/html" in head
    assert b"<h1>Request Timeout</h1>" in body and b"Nothing was changed" in body
