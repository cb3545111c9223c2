"""Tables of how far each reader is in each stream, when that moved, and what a reader could not take."""

from typing import Any, Literal, NamedTuple

import apsw

from p2pchat.storage.conversations import Parties
from p2pchat.storage.query import Value, changed, row, rows

ProgressKind = Literal["delivered", "seen"]


class Vector(NamedTuple):
    """One row of `vector`, with its reader's peer id."""

    stream: int
    reader: bytes
    store: bytes | None
    """The reader's store id; None if nothing was heard from them yet."""
    first: int
    seq: int
    """Delivered up to here; 0: nothing."""
    head: bytes | None
    sent: int
    seen: int


class Refusal(NamedTuple):
    """One row of `refusal`, with its reader's peer id."""

    stream: int
    reader: bytes
    seq: int
    code: str
    told: bool


_VECTOR = (
    "SELECT vector.stream, party.peer, store, vector.first, vector.seq, vector.head, sent, seen "
    "FROM vector JOIN party ON party.party = vector.reader"
)
_REFUSAL = (
    "SELECT refusal.stream, party.peer, refusal.seq, code, told FROM refusal JOIN party ON party.party = refusal.reader"
)


class Vectors:
    """How far readers are."""

    def __init__(self, connection: apsw.Connection, parties: Parties) -> None:
        self._connection = connection
        self._parties = parties

    def get(self, stream: int, reader: bytes) -> Vector | None:
        """How far one reader is in one stream."""
        found = row(self._connection, f"{_VECTOR} WHERE vector.stream = ? AND party.peer = ?", (stream, reader))
        return None if found is None else Vector(*found)

    def of_conversation(self, conversation: int) -> list[Vector]:
        """All vectors of all streams of a conversation."""
        found = rows(
            self._connection,
            f"{_VECTOR} JOIN stream ON stream.stream = vector.stream WHERE stream.conversation = ? "
            "ORDER BY vector.stream, vector.reader",
            (conversation,),
        )
        return [Vector(*each) for each in found]

    def put(self, vector: Vector) -> None:
        """Store the whole row, in place of the one that was there. (Backwards too: a reader may lose its store.)"""
        changed(
            self._connection,
            "INSERT OR REPLACE INTO vector (stream, reader, store, first, seq, head, sent, seen) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (vector.stream, self._parties.of(vector.reader), *vector[2:]),
        )

    def set_sent(self, stream: int, reader: bytes, sent: int) -> None:
        """Raise the sent-up-to mark of a row that exists (`put` makes one); it never goes back by this."""
        number = changed(
            self._connection,
            "UPDATE vector SET sent = max(sent, ?) WHERE stream = ? "
            "AND reader = (SELECT party FROM party WHERE peer = ?)",
            (sent, stream, reader),
        )
        if number == 0:
            raise KeyError((stream, reader))


class Progress:
    """When vectors moved."""

    def __init__(self, connection: apsw.Connection, parties: Parties) -> None:
        self._connection = connection
        self._parties = parties

    def note(self, stream: int, reader: bytes, kind: ProgressKind, seq: int, at: int) -> None:
        """A vector reached `seq` at this time (wall-clock milliseconds); the first time counts."""
        changed(
            self._connection,
            "INSERT OR IGNORE INTO progress (stream, reader, kind, seq, at) VALUES (?, ?, ?, ?, ?)",
            (stream, self._parties.of(reader), kind, seq, at),
        )

    def when(self, stream: int, reader: bytes, kind: ProgressKind, seq: int) -> int | None:
        """When the entry at `seq` was delivered to, or seen by, the reader; None if not yet."""
        found = row(
            self._connection,
            "SELECT at FROM progress WHERE stream = ? AND reader = (SELECT party FROM party WHERE peer = ?) "
            "AND kind = ? AND seq >= ? ORDER BY seq LIMIT 1",
            (stream, reader, kind, seq),
        )
        return None if found is None else int(found[0])


class Refusals:
    """Entries that a reader could not take."""

    def __init__(self, connection: apsw.Connection, parties: Parties) -> None:
        self._connection = connection
        self._parties = parties

    def put(self, stream: int, reader: bytes, seq: int, code: str, told: bool = False) -> bool:
        """Note one; false if it is noted already (it then stays as it is)."""
        number = changed(
            self._connection,
            "INSERT OR IGNORE INTO refusal (stream, reader, seq, code, told) VALUES (?, ?, ?, ?, ?)",
            (stream, self._parties.of(reader), seq, code, told),
        )
        return number > 0

    def get(self, stream: int, reader: bytes, seq: int) -> Refusal | None:
        """What was refused at a place."""
        found = self._all("WHERE refusal.stream = ? AND party.peer = ? AND refusal.seq = ?", stream, reader, seq)
        return found[0] if found else None

    def newest(self, stream: int, reader: bytes) -> int | None:
        """The highest seq that a reader refused in a stream."""
        found = row(
            self._connection,
            "SELECT max(seq) FROM refusal WHERE stream = ? AND reader = (SELECT party FROM party WHERE peer = ?)",
            (stream, reader),
        )
        return None if found is None or found[0] is None else int(found[0])

    def count_after(self, stream: int, reader: bytes, seq: int) -> int:
        """How many messages (not taken back) beyond `seq` a reader refused."""
        found = row(
            self._connection,
            "SELECT count(*) FROM refusal JOIN entry USING (stream, seq) WHERE stream = ? "
            "AND reader = (SELECT party FROM party WHERE peer = ?) AND seq > ? AND number AND kind != 'void'",
            (stream, reader, seq),
        )
        return 0 if found is None else int(found[0])

    def set_told(self, stream: int, reader: bytes, seq: int) -> int:
        """The author has processed the reader's refusals up to `seq`; how many that were."""
        return changed(
            self._connection,
            "UPDATE refusal SET told = 1 WHERE stream = ? AND reader = (SELECT party FROM party WHERE peer = ?) "
            "AND seq <= ? AND NOT told",
            (stream, reader, seq),
        )

    def of_stream(self, stream: int, *, untold_only: bool = False) -> list[Refusal]:
        """The refusals in a stream, in its order."""
        where = "refusal.stream = ? AND NOT told" if untold_only else "refusal.stream = ?"
        return self._all(f"WHERE {where} ORDER BY refusal.seq, refusal.reader", stream)

    def of_conversation(self, conversation: int, *, untold_only: bool = False) -> list[Refusal]:
        """The refusals in all streams of a conversation."""
        return self._all(
            "JOIN stream ON stream.stream = refusal.stream WHERE stream.conversation = ? "
            + ("AND NOT told " if untold_only else "")
            + "ORDER BY refusal.stream, refusal.seq, refusal.reader",
            conversation,
        )

    def _all(self, rest: str, *values: Value) -> list[Refusal]:
        return [_refusal(found) for found in rows(self._connection, f"{_REFUSAL} {rest}", values)]


def _refusal(found: tuple[Any, ...]) -> Refusal:
    return Refusal._make((*found[:4], bool(found[4])))
