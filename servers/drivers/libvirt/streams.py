"""Volumes as streams of bytes."""

from __future__ import annotations

from collections.abc import Callable

import libvirt

MESSAGE_BYTES = 256 * 1024


def upload(connection: libvirt.virConnect, volume: libvirt.virStorageVol, content: bytes) -> None:
    """Write a short content into a volume."""
    stream = connection.newStream()
    volume.upload(stream, 0, len(content))
    send(stream, content)
    stream.finish()


def send(stream: libvirt.virStream, piece: bytes) -> None:
    """Send all of a piece; libvirt takes a part of it at a time."""
    while piece:
        piece = piece[stream.send(piece[:MESSAGE_BYTES]) :]


def download(connection: libvirt.virConnect, volume: libvirt.virStorageVol) -> bytes:
    """Return the content of a short volume."""
    parts: list[bytes] = []
    receive(connection, volume, parts.append)
    return b"".join(parts)


def receive(
    connection: libvirt.virConnect, volume: libvirt.virStorageVol, take: Callable[[bytes], object]
) -> None:
    """Hand the bytes of a volume over, piece by piece."""
    stream = connection.newStream()
    volume.download(stream, 0, 0)
    try:
        while piece := stream.recv(MESSAGE_BYTES):
            take(piece)
    except BaseException:
        stream.abort()
        raise
    stream.finish()
