"""
The server's roster: who is online, under which record, and when those who watch are told.

    put, leave --> Entry, due at --push(now)--> Bulletin, under a number --next_frame()--> the links of watchers

What is true may wait until it is told: a peer that flaps moves what others see once in QUIET seconds, and many changes
at once become one push. Nothing here reads a clock: the caller passes `now`, monotonic seconds, and calls push() at
next_push().
"""

import heapq
from collections import deque
from collections.abc import Iterable, Iterator

import msgspec

from .bodies import RecordBody
from .bulletin import Bulletin, Row
from .errors import EndCode
from .messages import Address, Listing, Signed
from .watchers import Reader, Watcher, Watchers

QUIET = 5.0
"""Seconds between two changes of one peer that watchers are told (R3); the latest state wins."""

PUSHES_PER_SECOND = 4000
"""Frames of changes a second, all watchers together: some 36 microseconds each, so a seventh of a core."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Listing).decode


class Entry(Row):
    """One peer: what is true, beside what watchers were told."""

    __slots__ = ("counter", "here", "listing", "planned", "told_at")

    def __init__(self, identifier: bytes) -> None:
        super().__init__(identifier)
        self.counter = -1
        self.listing = b""
        """The newest Listing, encoded; the same bytes as `told` where that is up to date."""
        self.here = False
        """Whether the peer is online."""
        self.planned = False
        """Whether a push is planned."""
        self.told_at = float("-inf")


class Roster:
    """Everybody online at one server, and everybody who watches."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        """Most peers online."""
        self._entries: dict[bytes, Entry] = {}
        self._online = 0
        self._bulletin = Bulletin()
        self._watchers = Watchers(self._bulletin)
        self._due: list[tuple[float, bytes]] = []
        self._left: deque[tuple[float, bytes]] = deque()
        self._pushed_at = float("-inf")

    @property
    def number(self) -> int:
        """The number of what watchers were told last."""
        return self._bulletin.number

    def __len__(self) -> int:
        """Peers online."""
        return self._online

    def __contains__(self, identifier: bytes) -> bool:
        """Whether that peer is online."""
        entry = self._entries.get(identifier)
        return entry is not None and entry.here

    # --- peers

    def judge(self, identifier: bytes, counter: int) -> EndCode | None:
        """Why a record with that counter would not be taken now: STALE_RECORD, FULL, or None."""
        entry = self._entries.get(identifier)
        if entry is not None and counter <= entry.counter:
            return EndCode.STALE_RECORD
        if self._online >= self.capacity and identifier not in self:
            return EndCode.FULL
        return None

    def put(
        self, identifier: bytes, body: RecordBody, record: Signed, observed: Address | None, now: float
    ) -> EndCode | None:
        """
        A peer is online with this record, which was checked, seen at `observed`.

        Returns what `judge` has against it; then nothing changed.
        """
        objection = self.judge(identifier, body.counter)
        if objection is not None:
            return objection
        entry = self._entries.get(identifier)
        if entry is None:
            entry = self._entries[identifier] = Entry(identifier)
        self._online += not entry.here
        entry.here = True
        entry.counter = body.counter
        entry.listing = _encode(Listing(record=record, online=True, observed=observed))
        self._plan(entry, now)
        return None

    def leave(self, identifier: bytes, now: float) -> None:
        """A peer is online no longer."""
        entry = self._entries.get(identifier)
        if entry is not None and entry.here:
            entry.here = False
            self._online -= 1
            self._plan(entry, now)

    def get(self, identifier: bytes) -> Listing | None:
        """The newest listing of a peer that is online, or was a moment ago."""
        entry = self._entries.get(identifier)
        return None if entry is None else _decode(entry.listing)

    # --- watchers

    def watch(self, reader: Reader, everyone: bool, ids: Iterable[bytes] = ()) -> Watcher:
        """Somebody watches from now on; the snapshot can be read at once."""
        return self._watchers.add(reader, everyone, ids)

    def unwatch(self, watcher: Watcher) -> None:
        """Somebody watches no longer."""
        self._watchers.remove(watcher)

    # --- pushes

    def next_push(self) -> float | None:
        """When push() has something to do; None until something changes."""
        if not self._due:
            return None
        return max(self._due[0][0], self._pushed_at + self._watchers.of_everyone / PUSHES_PER_SECOND)

    def push(self, now: float) -> list[Watcher]:
        """Tell what is due, and give the watchers who have something to read."""
        self._forget(now)
        changed = [entry for entry in self._take_due(now) if self._tell(entry, now)]
        if not changed:
            return []
        self._pushed_at = now
        before = self.number
        self._bulletin.publish(changed)
        return self._watchers.concerned((entry.id for entry in changed), before)

    def _plan(self, entry: Entry, now: float) -> None:
        if not entry.planned:
            entry.planned = True
            due = max(now, entry.told_at + QUIET)
            if not entry.here and len(self._entries) >= 2 * self.capacity:
                # So many who came and left at once are no flapping peers; remembering them all would cost memory.
                due = now
            heapq.heappush(self._due, (due, entry.id))

    def _take_due(self, now: float) -> Iterator[Entry]:
        while self._due and self._due[0][0] <= now:
            entry = self._entries[heapq.heappop(self._due)[1]]
            entry.planned = False
            yield entry

    def _tell(self, entry: Entry, now: float) -> bool:
        """Whether the newest state of an entry is news; then it is told."""
        newest = entry.listing if entry.here else None
        if newest is None:
            self._left.append((now + QUIET, entry.id))
        if newest == entry.told:
            return False
        self._bulletin.tell(entry, newest)
        entry.told_at = now
        return True

    def _forget(self, now: float) -> None:
        """Drop those who left and of whom nothing is coalesced any more; earlier, if they are too many."""
        while self._left and (self._left[0][0] <= now or len(self._left) > self.capacity):
            entry = self._entries.get(self._left.popleft()[1])
            if entry is not None and not entry.here and not entry.planned:
                del self._entries[entry.id]
