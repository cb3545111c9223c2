"""What was committed and has not left yet, as far as memory is given to it: the rest is read back from the disk."""

from collections import deque
from collections.abc import Sequence

from .effects import Batch, Written
from .entries import next_head
from .window import AHEAD_BYTES, AHEAD_ENTRIES, Room

MOST_KEPT = Room(AHEAD_ENTRIES, AHEAD_BYTES)
"""No reader takes more at once."""


class Unsent:
    """
    The last entries of one stream of ours, without a gap, from some seq on to its end.

    They are what the disk was given, and may be something else there by now: whoever sends them first compares `head`
    with the disk, in the transaction that commits the sent-up-to mark.
    """

    def __init__(self) -> None:
        self._stream = b""
        self._entries: deque[Written] = deque()
        self._bytes = 0

    @property
    def room(self) -> Room:
        """What they take up of a window."""
        return Room(len(self._entries), self._bytes)

    @property
    def head(self) -> bytes:
        """Of the last one; empty if there is none."""
        return self._entries[-1].head if self._entries else b""

    def add(self, stream: bytes, written: Sequence[Written]) -> None:
        """A stream went on by these; what they do not follow is forgotten, and all if it is too much."""
        if stream != self._stream or (self._entries and next_head(self.head, written[0].data) != written[0].head):
            self.clear()
        self._stream = stream
        self._entries += written
        self._bytes += sum(len(each.data) for each in written)
        if len(self._entries) > MOST_KEPT.entries or self._bytes > MOST_KEPT.bytes:
            self.clear()

    def clear(self) -> None:
        """Forget them."""
        self._entries.clear()
        self._bytes = 0

    def sent(self, stream: bytes, next_seq: int) -> None:
        """A stream was sent up to before `next_seq`."""
        while stream == self._stream and self._entries and self._entries[0].seq < next_seq:
            self._bytes -= len(self._entries.popleft().data)

    def up_to(self, stream: bytes, seq: int) -> list[Written]:
        """Those of a stream up to `seq`."""
        return [each for each in self._entries if each.seq <= seq] if stream == self._stream else []

    def within(self, batch: Batch) -> list[Written]:
        """Those that a batch asks for, if they begin where it does."""
        if batch.outgoing.name != self._stream or not self._entries or self._entries[0].seq != batch.from_seq:
            return []
        found: list[Written] = []
        left = batch.max_bytes
        for each in self._entries:
            left -= len(each.data)
            if len(found) == batch.max_entries or (found and left < 0):
                break
            found.append(each)
        return found
