"""The port on which a web server listens."""

from __future__ import annotations

import socket

from django.core.management.base import CommandError

from servers.web.limits import BACKLOG


def listen(address: str, port: int) -> socket.socket:
    """Return a socket that listens, which child processes may be given. Raises CommandError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, port))
        listener.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        raise CommandError(
            f"Port {port} of {address} cannot be used: {getattr(error, 'strerror', error)}. "
            f"Choose another one: make up PORT={port + 1}"
        ) from error
    return listener
