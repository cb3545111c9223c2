"""The table of entries: what was said. How they hang together (heads, order, doubt) is core/delivery's to know."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import apsw

from p2pchat.storage.query import Insert, Value, changed, row, rows


class NewEntry(NamedTuple):
    """An entry that is about to be stored in a stream; times are wall-clock milliseconds."""

    seq: int
    head: bytes
    """head(seq)"""
    id: bytes
    number: int
    lamport: int
    written_at: int
    arrived_at: int
    kind: str
    auth: str
    history: bool
    bytes: bytes | None
    """As its author encoded it."""


class StoredEntry(NamedTuple):
    """One row of `entry`, with its author's peer id."""

    entry: int
    """Order of arrival."""
    conversation: int
    stream: int
    author: bytes
    seq: int
    head: bytes
    id: bytes
    number: int
    lamport: int
    written_at: int
    arrived_at: int
    kind: str
    auth: str
    history: bool
    bytes: bytes | None
    """As its author encoded it; None if it was deleted here."""


class Place(NamedTuple):
    """Where an entry is to stand."""

    entry: int
    stream: int
    seq: int
    head: bytes


SELECT = (
    "SELECT entry, conversation, stream, party.peer, seq, head, id, number, lamport, written_at, arrived_at, kind, "
    "auth, history, bytes FROM entry JOIN party ON party.party = entry.author"
)
"""All of an entry; what follows says which."""

_INSERT = Insert(
    "INSERT INTO entry (conversation, stream, author, seq, head, id, number, lamport, written_at, arrived_at, kind, "
    "auth, history, bytes)",
    last=len(NewEntry._fields),
    shared=3,
)


class Entries:
    """Entries by place in a stream, by (author, id), by number, by arrival."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def append(self, stream: int, entry: NewEntry) -> int:
        """Store one entry and move the stream's end to it; its arrival number."""
        return self.append_many(stream, [entry])

    def insert(self, stream: int, entry: NewEntry) -> int:
        """Store one entry that lies before what is held of a stream, whose end does not move; its arrival number."""
        owner = row(self._connection, "SELECT conversation, author FROM stream WHERE stream = ?", (stream,))
        if owner is None:
            raise KeyError(stream)
        _INSERT.run(self._connection, [entry], owner[0], stream, owner[1])
        return self._connection.last_insert_rowid()

    def append_many(self, stream: int, entries: Iterable[NewEntry]) -> int:
        """
        Store entries of a stream, in the order of their seqs, and move the stream's end to the last of them.

        The arrival number of the last; 0 if there were none. What is known already (`known`) must not be among
        them. Raises `KeyError` if there is no such stream.
        """
        owner = row(self._connection, "SELECT conversation, author FROM stream WHERE stream = ?", (stream,))
        if owner is None:
            raise KeyError(stream)
        new = list(entries)
        if not new:
            return 0
        conversation, author = owner
        _INSERT.run(self._connection, new, conversation, stream, author)
        last, end = self._connection.last_insert_rowid(), new[-1]
        changed(self._connection, "UPDATE stream SET seq = ?, head = ? WHERE stream = ?", (end.seq, end.head, stream))
        return last

    def load_range(self, stream: int, from_seq: int, max_entries: int, max_bytes: int) -> list[StoredEntry]:
        """
        Entries of a stream in order, from `from_seq` on: at most so many, of at most so many bytes together.

        The first one is given whatever its size, so that whoever asks gets on.
        """
        found: list[StoredEntry] = []
        size = 0
        for each in self._connection.execute(
            f"{SELECT} WHERE stream = ? AND seq >= ? ORDER BY seq LIMIT ?", (stream, from_seq, max_entries)
        ):
            entry = stored_entry(each)
            size += len(entry.bytes or b"")
            if found and size > max_bytes:
                break
            found.append(entry)
        return found

    def load_present(
        self, stream: int, first: int, last: int, max_entries: int, max_bytes: int
    ) -> list[tuple[int, bytes]]:
        """(seq, bytes) of a range in order, without what was deleted; bounded like `load_range`."""
        found: list[tuple[int, bytes]] = []
        size = 0
        for seq, data in self._connection.execute(
            "SELECT seq, bytes FROM entry WHERE stream = ? AND seq BETWEEN ? AND ? AND bytes IS NOT NULL "
            "ORDER BY seq LIMIT ?",
            (stream, first, last, max_entries),
        ):
            size += len(data)
            if found and size > max_bytes:
                break
            found.append((seq, data))
        return found

    def numbered(self, stream: int, first: int, last: int) -> tuple[int, int, int]:
        """Messages (not taken back) at seqs `first` to `last`: how many, lowest and highest number; zeros for none."""
        found = row(
            self._connection,
            "SELECT count(*), min(number), max(number) FROM entry "
            "WHERE stream = ? AND seq BETWEEN ? AND ? AND number AND kind != 'void'",
            (stream, first, last),
        )
        return (0, 0, 0) if found is None or not found[0] else (int(found[0]), int(found[1]), int(found[2]))

    def size(self, stream: int, first: int, last: int) -> int:
        """Bytes of the entries at seqs `first` to `last`, as far as they are here."""
        found = row(
            self._connection,
            "SELECT total(length(bytes)) FROM entry WHERE stream = ? AND seq BETWEEN ? AND ?",
            (stream, first, last),
        )
        return 0 if found is None else int(found[0])

    def get(self, entry: int) -> StoredEntry | None:
        """By arrival number."""
        return self._first("WHERE entry = ?", entry)

    def at(self, stream: int, seq: int) -> StoredEntry | None:
        """By its place."""
        return self._first("WHERE stream = ? AND seq = ?", stream, seq)

    def by_author_id(self, author: bytes, id: bytes) -> StoredEntry | None:
        """By what identifies it for ever."""
        return self._first("WHERE author = (SELECT party FROM party WHERE peer = ?) AND id = ?", author, id)

    def bodies(self, author: bytes, ids: Iterable[bytes]) -> dict[bytes, bytes | None]:
        """Those of an author's ids that are here, with their entries' bytes (None if those were deleted here)."""
        listed = b"".join(ids)
        found = rows(
            self._connection,
            # One text for any number of ids, so that it is prepared once.
            "WITH RECURSIVE listed (place) AS "
            "(SELECT 1 WHERE length(?2) UNION ALL SELECT place + 16 FROM listed WHERE place + 16 < length(?2)) "
            "SELECT id, bytes FROM listed CROSS JOIN entry "
            "WHERE author = (SELECT party FROM party WHERE peer = ?1) AND id = substr(?2, place, 16)",
            (author, listed),
        )
        return dict(found)

    def by_number(self, conversation: int, author: bytes, number: int) -> list[StoredEntry]:
        """What its author calls `number`, in order of arrival: one, if the author is honest."""
        return self._all(
            "WHERE conversation = ? AND author = (SELECT party FROM party WHERE peer = ?) AND number = ? "
            "ORDER BY entry",
            conversation,
            author,
            number,
        )

    def last(self, conversation: int, count: int, before: int | None = None) -> list[StoredEntry]:
        """The last entries of a conversation (those before an arrival number), in order of arrival."""
        found = self._all(
            "WHERE conversation = ? AND entry < ? ORDER BY entry DESC LIMIT ?",
            conversation,
            _ABOVE_ALL if before is None else before,
            count,
        )
        return found[::-1]

    def after(self, entry: int, count: int, conversation: int | None = None) -> list[StoredEntry]:
        """Entries that arrived after an arrival number, everywhere or in one conversation, in order of arrival."""
        if conversation is None:
            return self._all("WHERE entry > ? ORDER BY entry LIMIT ?", entry, count)
        return self._all("WHERE conversation = ? AND entry > ? ORDER BY entry LIMIT ?", conversation, entry, count)

    def newest(self) -> int:
        """The highest arrival number; 0 if there is none."""
        found = row(self._connection, "SELECT max(entry) FROM entry")
        return int(found[0] or 0) if found else 0

    def date_anew(self, after: int, now: int, before: int, least: int) -> None:
        """
        What came behind an arrival number counts as if it came now, where our clock was behind then.

        By `least` ms or more: its author had not written it yet, or it had been `before` already. Times in ms since
        1970.
        """
        self._connection.execute(
            "UPDATE entry SET arrived_at = ?2 WHERE entry > ?1 AND arrived_at < ?2 - ?4 "
            "AND (written_at > arrived_at + ?4 OR arrived_at < ?3 - ?4)",
            (after, now, before, least),
        )

    def head_at(self, stream: int, seq: int) -> bytes | None:
        """head(seq) of a stream, also just before its first entry; None if it is not here."""
        found = row(
            self._connection,
            "SELECT head FROM entry WHERE stream = ?1 AND seq = ?2 "
            "UNION ALL SELECT base FROM stream WHERE stream = ?1 AND first = ?2 + 1 "
            "UNION ALL SELECT head FROM hole WHERE stream = ?1 AND seq = ?2",
            (stream, seq),
        )
        return None if found is None else bytes(found[0])

    def move(self, places: Iterable[Place]) -> None:
        """Put entries into their new places (another stream of the same author); no stream's end moves by it."""
        self._connection.executemany(
            "UPDATE entry SET stream = ?2, seq = ?3, head = ?4 WHERE entry = ?1", (tuple(each) for each in places)
        )

    def move_away(self, places: Iterable[Place]) -> None:
        """Like `move`, and the heads where they stood stay known."""
        moving = list(places)
        self._connection.executemany(
            "INSERT INTO hole (stream, seq, head) SELECT stream, seq, head FROM entry WHERE entry = ?",
            ((each.entry,) for each in moving),
        )
        self.move(moving)

    def whole(self, stream: int, first: int, last: int) -> bool:
        """Whether every entry from `first` to `last` stands there, with its bytes."""
        found = row(
            self._connection,
            "SELECT count(*) FROM entry WHERE stream = ? AND seq BETWEEN ? AND ? AND bytes IS NOT NULL",
            (stream, first, last),
        )
        return found is not None and found[0] == max(0, last - first + 1)

    def rewrite(self, entry: int, kind: str, bytes: bytes | None) -> None:
        """Give an entry another kind and other bytes (a cancelled one becomes void); its heads are `move`d apart."""
        changed(self._connection, "UPDATE entry SET kind = ?, bytes = ? WHERE entry = ?", (kind, bytes, entry))

    def erase(self, entries: Iterable[int]) -> None:
        """Delete what was said; the ids stay, so that it does not come back."""
        self._connection.executemany("UPDATE entry SET bytes = NULL WHERE entry = ?", ((each,) for each in entries))

    def _first(self, rest: str, *values: Value) -> StoredEntry | None:
        found = row(self._connection, f"{SELECT} {rest}", values)
        return None if found is None else stored_entry(found)

    def _all(self, rest: str, *values: Value) -> list[StoredEntry]:
        return [stored_entry(found) for found in rows(self._connection, f"{SELECT} {rest}", values)]


_ABOVE_ALL = (1 << 63) - 1


def stored_entry(found: tuple[Any, ...]) -> StoredEntry:
    """What a row of `SELECT` gives."""
    return StoredEntry._make((*found[:13], bool(found[13]), found[14]))
