"""Waitress with limits: a request is read to its end before a thread gets it, and no connection is held for ever.

One thread talks with all clients, so that a slow one costs a socket and a buffer. A thread of the pool gets a request
when its last byte is there, and is free again when the answer is in a buffer, or is a file.
"""

from __future__ import annotations

import io
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, WSGITask
from waitress.utilities import Error

from servers.web.limits import (
    BACKLOG,
    BODY_BYTES,
    BUFFER_BYTES,
    CONNECTIONS,
    HEADER_BYTES,
    HEADER_S,
    KEEP_ALIVE_S,
    LINGER_BYTES,
    LINGER_S,
    RECEIVED_BYTES,
    REFUSED,
    REQUEST_S,
)
from servers.web.pool import Pool

LOOK_S = 1.0
"""How often it looks for what has taken too long."""
log = logging.getLogger(__name__)

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class RequestTimeout(Error):
    """A request that takes too long."""

    code = 408
    reason = "Request Timeout"


class Parser(HTTPRequestParser):
    """A request while it comes in."""

    def __init__(self, adj: Adjustments) -> None:
        super().__init__(adj)
        self.began_at = time.monotonic()

    def parse_header(self, header_plus: bytes) -> None:
        """Read the header. Raises ParsingError, also for two lengths: somebody in front may go by the other one."""
        super().parse_header(header_plus)
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("Content-Length with chunks")

    def is_late(self, now: float) -> bool:
        """Return whether the client has had its time."""
        return now - self.began_at > (REQUEST_S if self.headers_finished else HEADER_S)

    def refuse(self, error: Error) -> None:
        """End the request with an error; of a header that is not whole the first line says where it was to go."""
        if not self.headers_finished:
            first_line, end, _ = self.header_plus.partition(b"\r\n")
            try:
                super().parse_header(first_line + end)
            except ParsingError:
                super().parse_header(b"GET / HTTP/1.0\r\n")
        self.error, self.completed = error, True


class Refusal(WSGITask):
    """The answer to a request that the server refuses: the application's, which knows the form; it gets no body."""

    def execute(self) -> None:
        self.channel.is_refused = True
        self.set_close_on_finish()
        if hasattr(self.request, "path"):
            super().execute()
        else:  # the application has raised: its request is another one
            self.complete = True
            ErrorTask.execute(self)

    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        return {
            **environ,
            "CONTENT_LENGTH": "0",
            "wsgi.input": io.BytesIO(),
            REFUSED: self.request.error.code,
        }


class Channel(HTTPChannel):
    """A connection."""

    parser_class = Parser
    error_task_class = Refusal
    request: Parser | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.asked_at = time.monotonic()
        """When the last request was there to its end."""
        self.is_refused = False
        self.lingers_until: float | None = None
        self.left_to_read = LINGER_BYTES
        super().__init__(*args, **kwargs)

    def received(self, data: bytes) -> bool:
        if self.lingers_until is not None:
            self.left_to_read -= len(data)
            self.will_close = self.left_to_read < 0
            return False
        read: bool = super().received(data)
        if self.requests:
            self.asked_at = time.monotonic()
        return read

    def handle_close(self) -> None:
        """Close the connection; after a refusal only when the client has heard it: what it still sends would reset both."""
        if self.is_refused and self.lingers_until is None and self.socket is not None:
            try:
                self.socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # the client is gone
            else:
                self.lingers_until = time.monotonic() + LINGER_S
                self.will_close = self.close_when_flushed = False
                return
        super().handle_close()

    def look(self, now: float) -> None:
        """Refuse the request that comes in when it has taken too long; end a connection that was to be closed."""
        if self.lingers_until is not None and now > self.lingers_until:
            self.will_close = True
        with self.requests_lock:
            request = self.request
            if request is None or self.requests or not request.is_late(now):
                return
            request.refuse(RequestTimeout("it took too long"))
            self.requests.append(request)
            self.request = None
        self.server.add_task(self)


class Server(TcpWSGIServer):
    """Waitress on a socket that other processes may listen on, too."""

    channel_class = Channel

    def __init__(
        self, application: Application, listener: socket.socket, pool: Pool, prefix: str = ""
    ) -> None:
        """`prefix` is the path below which a proxy shows the application: taken off each address that begins with it."""
        adjustments = Adjustments(
            sockets=[listener],
            ident="",
            url_prefix=prefix,
            backlog=BACKLOG,
            channel_timeout=KEEP_ALIVE_S,
            cleanup_interval=LOOK_S,
            recv_bytes=RECEIVED_BYTES,
            connection_limit=10 * CONNECTIONS,  # never reached: see `handle_accept`
            max_request_header_size=HEADER_BYTES,
            max_request_body_size=BODY_BYTES + 1,
            outbuf_high_watermark=BUFFER_BYTES,
            clear_untrusted_proxy_headers=False,  # whom to believe is a setting of ours
            log_socket_errors=False,
        )
        address = (listener.family, listener.type, listener.proto, listener.getsockname())
        super().__init__(
            application, _sock=listener, dispatcher=pool, adj=adjustments, sockinfo=address, bind_socket=False
        )

    def handle_accept(self) -> None:
        super().handle_accept()
        if len(self.active_channels) > CONNECTIONS:
            quiet = [c for c in self.active_channels.values() if not c.requests and not c.will_close]
            quietest = min(quiet, key=lambda channel: channel.asked_at, default=None)
            if quietest is not None:  # else each waits for an answer, or closes already
                quietest.will_close = True

    def handle_error(self) -> None:
        """Go on after a connection that could not be taken: Waitress would listen no more."""
        log.error("a connection was not taken", exc_info=True)

    def maintenance(self, now: float) -> None:
        super().maintenance(now)
        for channel in list(self.active_channels.values()):
            channel.look(time.monotonic())

    def serve(self, stopping: threading.Event, grace_s: float) -> None:
        """Serve until `stopping` is set, then answer for at most `grace_s` seconds what has been asked before."""
        while not stopping.is_set():
            self.turn()
        self.accepting = False
        self.del_channel(self._map)
        self.socket.close()
        until = time.monotonic() + grace_s
        while time.monotonic() < until and any(
            channel.requests or channel.writable() for channel in self.active_channels.values()
        ):
            self.turn()

    def turn(self) -> None:
        """Do what there is to do, after at most LOOK_S seconds."""
        wasyncore.loop(LOOK_S, use_poll=True, map=self._map, count=1)
