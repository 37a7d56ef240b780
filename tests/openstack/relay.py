"""A wire between Gantry and a service that breaks when too much has gone over it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, suppress
from types import TracebackType

CHUNK_BYTES = 64 * 1024


class Relay(AbstractContextManager["Relay"]):
    """A port that leads to another one. A connection ends after `most_bytes` from the client, `breaks` times in all."""

    def __init__(
        self, port: int, most_bytes: int, *, breaks: int, on_break: Callable[[], None] | None = None
    ) -> None:
        self.target, self.most_bytes, self.breaks, self.on_break = port, most_bytes, breaks, on_break
        self.broken = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return  # the block has ended
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with closing(client), suppress(ConnectionRefusedError), closing(self._connect()) as server:
            threading.Thread(target=pour, args=(server, client), daemon=True).start()
            if not pour(client, server, self.most_bytes if self.broken < self.breaks else None):
                self.broken += 1
                if self.on_break is not None:
                    self.on_break()
                for end in (client, server):
                    with suppress(OSError):  # a server that was killed has shut it already
                        end.shutdown(socket.SHUT_RDWR)

    def _connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.target))


def pour(source: socket.socket, target: socket.socket, most_bytes: int | None = None) -> bool:
    """Carry bytes until the source ends; return whether it came to that before `most_bytes`."""
    carried = 0
    try:
        while data := source.recv(CHUNK_BYTES):
            carried += len(data)
            if most_bytes is not None and carried > most_bytes:
                return False
            target.sendall(data)
    except OSError:
        return True
    return True
