"""Volumes as streams of bytes. What a volume has no blocks for crosses the network as a length, and stays empty."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import libvirt

MESSAGE_BYTES = 256 * 1024
ZEROS = bytes(MESSAGE_BYTES)
AT_A_HOLE = -3
"""What recvFlags returns there. https://libvirt.org/html/libvirt-libvirt-stream.html#virStreamRecvFlags"""


def upload(connection: libvirt.virConnect, volume: libvirt.virStorageVol, content: bytes) -> None:
    """Write a short content into a volume."""
    stream = into(connection, volume, len(content))
    send(stream, content)
    stream.finish()


def into(connection: libvirt.virConnect, volume: libvirt.virStorageVol, size: int) -> libvirt.virStream:
    """Return a stream of `size` bytes into a volume that is empty yet, for `send`."""
    stream = connection.newStream()
    volume.upload(stream, 0, size, libvirt.VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM)
    return stream


def send(stream: libvirt.virStream, piece: bytes) -> None:
    """Send all of a piece; libvirt takes a part of it at a time."""
    if piece and piece.count(0) == len(piece):
        stream.sendHole(len(piece))
        return
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
    volume.download(stream, 0, 0, libvirt.VIR_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM)
    try:
        for piece in pieces(stream):
            take(piece)
    except BaseException:
        stream.abort()
        raise
    stream.finish()


def pieces(stream: libvirt.virStream) -> Iterator[bytes]:
    """Yield what comes, and zeros for a hole."""
    while piece := stream.recvFlags(MESSAGE_BYTES, libvirt.VIR_STREAM_RECV_STOP_AT_HOLE):
        if piece != AT_A_HOLE:
            yield piece
            continue
        empty = stream.recvHole()
        while empty > 0:
            yield ZEROS[:empty]
            empty -= MESSAGE_BYTES
