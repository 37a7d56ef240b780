"""A proxy that reads each request, hands it on whole, and cuts every third connection before the answer is told."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

EVERY = 3
TOLD = (0, 40)
"""How many bytes of an answer come through, in turn, before a connection is cut: none, or a part of its first line."""
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER for a close that is heard as an error."""


class CuttingProxy:
    """Listens on a port of its own, one thread a connection, one request a connection."""

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.connections = 0

    @property
    def cuts(self) -> int:
        """Return how many connections were cut."""
        return self.connections // EVERY

    def serve(self) -> None:
        """Take connections until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.connections += 1
                threading.Thread(target=self.carry, args=(client, self.connections), daemon=True).start()

    def carry(self, client: socket.socket, number: int) -> None:
        """Hand one request on, and its answer back, or cut the connection."""
        with client, suppress(OSError), socket.create_connection(self.target) as server:
            server.sendall(request_of(client))
            if number % EVERY:
                while piece := server.recv(65536):
                    client.sendall(piece)
                return
            told = TOLD[number // EVERY % len(TOLD)]
            if told:
                client.sendall(server.recv(told))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def request_of(client: socket.socket) -> bytes:
    """Return a whole request, with a body as long as it says."""
    read = b""
    while b"\r\n\r\n" not in read:
        read += more_of(client)
    head, _, body = read.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = sum(int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:"))
    while len(body) < length:
        body += more_of(client)
    return head + b"\r\nConnection: close\r\n\r\n" + body


def more_of(client: socket.socket) -> bytes:
    """Return what comes next. Raises ConnectionError at the end."""
    piece = client.recv(65536)
    if not piece:
        raise ConnectionError("the request is not whole")
    return piece


@contextmanager
def cutting_proxy(host: str, port: int) -> Iterator[CuttingProxy]:
    """Run a proxy before the server at this address, as long as the block lasts."""
    proxy = CuttingProxy(host, port)
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        with suppress(OSError):
            proxy.listener.shutdown(socket.SHUT_RDWR)
        proxy.listener.close()
        thread.join(10)
