"""
How much a sender may have on its way (docs/protocol.md, section 10, "Window").

Both sides count from `Select` on, in absolute totals that never decrease.
"""

from collections.abc import Sequence
from typing import NamedTuple

from .errors import EndCode, RemoteProtocolError
from .messages import Window

FIRST_ENTRIES, FIRST_BYTES = 256, 256 * 1024
"""Granted by nobody: what may be sent right after Select."""

AHEAD_ENTRIES, AHEAD_BYTES = 1024, 1024 * 1024
"""Most that a reader grants beyond what it has committed: what one peer can make it hold."""


class Room(NamedTuple):
    """So many entries, of so many bytes together, may be sent."""

    entries: int
    bytes: int


NO_ROOM = Room(0, 0)


class Credit:
    """The sender's side: what it was granted, and what it used."""

    __slots__ = ("_bytes", "_entries", "_used_bytes", "_used_entries")

    def __init__(self) -> None:
        self._entries, self._bytes = FIRST_ENTRIES, FIRST_BYTES
        self._used_entries = self._used_bytes = 0

    @property
    def entries(self) -> int:
        """Entries that may be sent now."""
        return self._entries - self._used_entries

    @property
    def bytes(self) -> int:
        """Bytes of entries that may be sent now."""
        return self._bytes - self._used_bytes

    def spend(self, sizes: Sequence[int]) -> int:
        """How many entries of these sizes, from the first on, may be sent now: they are."""
        room, spent = self.bytes, 0
        count = 0
        for count, size in enumerate(sizes[: max(0, self.entries)], 1):
            if spent + size > room:
                count -= 1
                break
            spent += size
        self._used_entries += count
        self._used_bytes += spent
        return count

    def raise_to(self, window: Window) -> bool:
        """
        Take the reader's word; whether it moved anything.

        Raises RemoteProtocolError(VIOLATION) if a total decreases.
        """
        if window.entries < self._entries or window.bytes < self._bytes:
            raise RemoteProtocolError(EndCode.VIOLATION, "the window shrank")
        moved = window.entries > self._entries or window.bytes > self._bytes
        self._entries, self._bytes = window.entries, window.bytes
        return moved


class Grant:
    """The reader's side: what it granted, what came, what of that is committed."""

    __slots__ = ("_bytes", "_committed_bytes", "_committed_entries", "_entries", "_used_bytes", "_used_entries")

    def __init__(self) -> None:
        self._entries, self._bytes = FIRST_ENTRIES, FIRST_BYTES
        self._used_entries = self._used_bytes = 0
        self._committed_entries = self._committed_bytes = 0

    def take(self, size: int) -> None:
        """An entry of `size` bytes came; raises RemoteProtocolError(VIOLATION) if it had no room."""
        self._used_entries += 1
        self._used_bytes += size
        if self._used_entries > self._entries or self._used_bytes > self._bytes:
            raise RemoteProtocolError(EndCode.VIOLATION, "more than the window allows")

    def commit(self, entries: int, size: int) -> Window | None:
        """So much is committed; the window to tell, once half of the room is used."""
        self._committed_entries += entries
        self._committed_bytes += size
        room_entries, room_bytes = self._entries - self._used_entries, self._bytes - self._used_bytes
        if room_entries > AHEAD_ENTRIES // 2 and room_bytes > AHEAD_BYTES // 2:
            return None
        wanted = self._committed_entries + AHEAD_ENTRIES, self._committed_bytes + AHEAD_BYTES
        if wanted <= (self._entries, self._bytes):
            return None
        self._entries, self._bytes = max(wanted[0], self._entries), max(wanted[1], self._bytes)
        return Window(entries=self._entries, bytes=self._bytes)
