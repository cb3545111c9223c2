"""
Frames: a four-byte big-endian length in front of each message (docs/protocol.md, section 4).

Bytes go in as the network cut them; whole frames come out. A length is judged before its body is kept, so
what an unknown sender can make us hold is one cap.
"""

import struct
from collections.abc import Iterator

from .errors import EndCode, LocalProtocolError, RemoteProtocolError

PREFIX_SIZE = 4
"""Bytes of length in front of each frame."""

_read_size = struct.Struct(">I").unpack_from

SMALL_FRAME = 16 * 1024
"""Most bytes of a frame until a link is open: nothing longer is needed to introduce oneself."""

LARGE_FRAME = 64 * 1024
"""Most bytes of a frame on an open link: msgspec makes at most some 5 MB of 64 KiB of hostile input."""


def encode_frame(body: bytes) -> bytes:
    """`body` with its length in front; raises LocalProtocolError above LARGE_FRAME."""
    if not 0 < len(body) <= LARGE_FRAME:
        raise LocalProtocolError(f"a frame of {len(body)} bytes")
    return len(body).to_bytes(PREFIX_SIZE, "big") + body


class FrameBuffer:
    """Collects received bytes and gives back whole frames, oldest first."""

    def __init__(self, limit: int = SMALL_FRAME) -> None:
        self.limit = limit
        """Most bytes of a frame; raised to LARGE_FRAME when the link opens."""
        self._data = bytearray()

    def __len__(self) -> int:
        """Bytes held of frames that are not whole yet."""
        return len(self._data)

    def feed(self, data: bytes) -> None:
        """Take bytes from the network."""
        self._data += data

    def frames(self) -> Iterator[bytes | bytearray]:
        """
        Take out the frames that are whole.

        The limit may be changed between two of them. Raises RemoteProtocolError(TOO_BIG or MALFORMED) for a
        length that is not allowed, before any of that body is waited for.
        """
        start, data = 0, self._data
        try:
            while len(data) - start >= PREFIX_SIZE:
                (size,) = _read_size(data, start)
                if size > self.limit:
                    raise RemoteProtocolError(EndCode.TOO_BIG, f"a frame of {size} bytes")
                if size == 0:
                    raise RemoteProtocolError(EndCode.MALFORMED, "an empty frame")
                end = start + PREFIX_SIZE + size
                if len(data) < end:
                    return
                body = data[start + PREFIX_SIZE : end]
                start = end
                yield body
        finally:
            # One move for many frames: deleting after each would be quadratic.
            del data[:start]

    def clear(self) -> None:
        """Forget what is held; after a violation nothing more is read."""
        self._data.clear()
