"""One connection per host and process: kept alive, re-opened when it is dead, and never in anybody's way."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import libvirt

KEEPALIVE_INTERVAL_S, KEEPALIVE_COUNT = 5, 3
"""A peer that is silent for interval × (count + 1) is given up; every call that waits for it then ends."""
IDLE_S = 600.0
"""A connection that nobody has asked for in so long is let go: its host is asked each few seconds, or was removed."""


class Connections:
    """The connections of this process. A child process makes its own: a socket has one owner."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = 0
        self._open: dict[str, libvirt.virConnect] = {}
        self._opening: dict[str, Future[libvirt.virConnect]] = {}
        self._asked_at: dict[str, float] = {}
        self._inherited: list[dict[str, libvirt.virConnect]] = []

    def get(self, uri: str) -> libvirt.virConnect:
        """Return a live connection to `uri`. Blocks as long as libvirt does: call it from a thread that may wait.

        Whoever comes while it is being opened waits for that, and fails with it: a host that hangs is tried once at a
        time, however many ask for it.
        """
        with self._lock:
            self._be_at_home()
            self._asked_at[uri] = time.monotonic()
            self._let_go_idle()
            known = self._open.get(uri)
        if known is not None and known.isAlive():
            return known
        with self._lock:
            newer = self._open.get(uri)
            if newer is not None and newer is not known:
                return newer
            under_way = self._opening.get(uri)
            if under_way is None:
                ours = self._opening[uri] = Future()
        return under_way.result() if under_way is not None else self._connect(uri, ours)

    def _connect(self, uri: str, opening: Future[libvirt.virConnect]) -> libvirt.virConnect:
        try:
            connection = connect(uri)
        except BaseException as error:
            with self._lock:
                self._opening.pop(uri, None)
            opening.set_exception(error)
            raise
        with self._lock:
            self._open[uri] = connection
            self._opening.pop(uri, None)
        opening.set_result(connection)
        return connection

    def _let_go_idle(self) -> None:
        """Forget what nobody asks for; who still holds a connection keeps it, and the last one closes it."""
        oldest = time.monotonic() - IDLE_S
        idle = [uri for uri in {*self._open, *self._asked_at} if self._asked_at.get(uri, -IDLE_S) < oldest]
        for uri in idle:
            self._asked_at.pop(uri, None)
        closing = [self._open.pop(uri) for uri in idle if uri in self._open]
        if closing:  # to a host that is gone that may take a while
            threading.Thread(target=closing.clear, name="closing idle connections", daemon=True).start()

    def _be_at_home(self) -> None:
        """Start the event loop of this process, and leave alone what it has inherited."""
        if self._process == os.getpid():
            return
        if self._process:
            self._inherited.append(self._open)  # closing it would end the parent's connection
        self._process, self._open, self._opening, self._asked_at = os.getpid(), {}, {}, {}
        start_event_loop()


def connect(uri: str) -> libvirt.virConnect:
    """Open a connection that notices when its peer is gone."""
    connection = libvirt.open(uri)
    if not uri.startswith("test:"):
        connection.setKeepAlive(KEEPALIVE_INTERVAL_S, KEEPALIVE_COUNT)
    return connection


@contextmanager
def own_connection(uri: str) -> Iterator[libvirt.virConnect]:
    """Open a connection for one long call, which would hold up others on it, and close it afterwards."""
    connection = connect(uri)
    try:
        yield connection
    finally:
        connection.close()


def start_event_loop() -> None:
    """Run libvirt's event loop, on which keepalive depends, in a thread of its own."""
    libvirt.virEventRegisterDefaultImpl()
    libvirt.registerErrorHandler(lambda context, error: None, None)  # else every error is printed as well
    threading.Thread(target=_run_event_loop, name="libvirt events", daemon=True).start()


def _run_event_loop() -> None:
    """Run for ever: without it no connection would notice that its peer is gone."""
    while True:
        try:
            libvirt.virEventRunDefaultImpl()
        except libvirt.libvirtError:
            time.sleep(1)


CONNECTIONS = Connections()
