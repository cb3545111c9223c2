"""Questions about what was said that go over streams: pages of a chat, what waits, what a program has yet to read."""

from typing import NamedTuple

import apsw

from p2pchat.storage.entries import SELECT, StoredEntry, stored_entry
from p2pchat.storage.query import Value, row, rows

_SHOWN = "bytes IS NOT NULL AND kind != 'reset' AND NOT (kind = 'void' AND party.peer != ?)"
"""What a person is shown: everything that was said and not deleted; that others took something back is nothing."""

_ARRIVED = "kind != 'reset' AND NOT (kind = 'void' AND party.peer != ?)"
"""The same with what was deleted."""

_NEW = "history = 0 AND bytes IS NOT NULL AND kind NOT IN ('reset', 'void') AND party.peer != ?"
"""What a program is given: what others said, except what was sent again on request."""

_WAITING = (
    "FROM entry JOIN party ON party.party = entry.author JOIN stream USING (stream) "
    "LEFT JOIN vector ON vector.stream = entry.stream AND vector.reader != stream.author "
    "WHERE party.peer = ? AND stream.state = 'current' AND entry.seq > max(stream.first - 1, "
    "coalesce(vector.seq, 0), coalesce(vector.first - 1, 0)) AND entry.kind = 'text' AND entry.bytes IS NOT NULL"
)


class Place(NamedTuple):
    """Where an entry stands in the history of its conversation, the same for everybody."""

    lamport: int
    author: bytes
    seq: int


class Part(NamedTuple):
    """Some of what arrived: between two arrival numbers, from the first on or up to the newest."""

    after: int
    before: int
    newest: bool = False


class WaitingEntry(NamedTuple):
    """One of our messages that its reader has not confirmed."""

    conversation: int
    entry: int
    number: int
    seq: int
    sent: int
    """Up to where it may have left."""
    arrived_at: int
    bytes: bytes


class Lines:
    """What was said, for people and programs."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def peer_of(self, conversation: int) -> bytes | None:
        """The id of whom a chat of two is with."""
        found = row(
            self._connection,
            "SELECT contact.peer FROM conversation JOIN contact USING (contact) WHERE conversation = ?",
            (conversation,),
        )
        return None if found is None else bytes(found[0])

    def older(self, conversation: int, me: bytes, count: int, before: Place | None) -> list[StoredEntry]:
        """The last lines of a conversation (before a place), in the order of its history."""
        if before is None:
            found = self._select(f"{_SHOWN} {_DOWN}", conversation, me, count)
        else:
            found = self._select(
                f"{_SHOWN} AND lamport <= ? AND (lamport, party.peer, seq) < (?, ?, ?) {_DOWN}",
                *(conversation, me, before.lamport, *before, count),
            )
        return found[::-1]

    def newer(self, conversation: int, me: bytes, count: int, after: Place) -> list[StoredEntry]:
        """The first lines of a conversation after a place, in the order of its history."""
        return self._select(
            f"{_SHOWN} AND lamport >= ? AND (lamport, party.peer, seq) > (?, ?, ?) {_UP}",
            *(conversation, me, after.lamport, *after, count),
        )

    def arrived(self, me: bytes, part: Part, count: int) -> list[StoredEntry]:
        """The first (or newest) so many of all that was said, by us too, in order of arrival; deleted ones included."""
        rest = f"AND entry > ? AND entry < ? ORDER BY entry {'DESC' if part.newest else ''} LIMIT ?"
        sql = f"{SELECT} WHERE {_ARRIVED} {rest}"
        found = [stored_entry(each) for each in rows(self._connection, sql, (me, part.after, part.before, count))]
        return found[::-1] if part.newest else found

    def new_to_program(self, me: bytes, part: Part, count: int, conversation: int | None) -> list[StoredEntry]:
        """The first (or newest) so many of what others said, everywhere or in one conversation, in order of arrival."""
        rest = f"AND entry > ? AND entry < ? ORDER BY entry {'DESC' if part.newest else ''} LIMIT ?"
        if conversation is None:
            sql = f"{SELECT} WHERE {_NEW} {rest}"
            found = [stored_entry(each) for each in rows(self._connection, sql, (me, part.after, part.before, count))]
        else:
            found = self._select(f"{_NEW} {rest}", conversation, me, part.after, part.before, count)
        return found[::-1] if part.newest else found

    def unseen(self, me: bytes, conversation: int | None = None) -> list[tuple[int, int, int]]:
        """How much of what others said nobody has seen yet: (conversation, count, newest entry), the newest first."""
        return rows(
            self._connection,
            "SELECT stream.conversation, count(*), max(entry.entry) "
            "FROM stream JOIN party ON party.party = stream.author "
            "LEFT JOIN vector ON vector.stream = stream.stream AND vector.reader != stream.author "
            "CROSS JOIN entry ON entry.stream = stream.stream AND entry.seq > coalesce(vector.seen, 0) "
            "WHERE party.peer != ? AND entry.history = 0 AND entry.bytes IS NOT NULL "
            "AND entry.kind NOT IN ('reset', 'void') AND (?2 IS NULL OR stream.conversation = ?2) "
            "GROUP BY stream.conversation ORDER BY max(entry.entry) DESC",
            (me, conversation),
        )

    def last_of_each_stream(self, me: bytes, after: int, upto: int, conversation: int | None) -> list[tuple[int, int]]:
        """The last entries of others that arrived after one and up to another, as (conversation, arrival number)."""
        return rows(
            self._connection,
            "SELECT conversation, max(entry) FROM entry JOIN party ON party.party = entry.author "
            "WHERE entry > ? AND entry <= ? AND party.peer != ? AND history = 0 AND (?4 IS NULL OR conversation = ?4) "
            "GROUP BY conversation, stream ORDER BY max(entry)",
            (after, upto, me, conversation),
        )

    def waiting(self, me: bytes, count: int, conversation: int | None = None) -> list[WaitingEntry]:
        """Our messages that are not confirmed, by conversation and number: the first so many."""
        found = rows(
            self._connection,
            "SELECT entry.conversation, entry, number, entry.seq, coalesce(vector.sent, 0), arrived_at, bytes "
            f"{_WAITING} AND (?2 IS NULL OR entry.conversation = ?2) ORDER BY entry.conversation, number LIMIT ?3",
            (me, conversation, count),
        )
        return [WaitingEntry(*each) for each in found]

    def count_waiting(self, me: bytes, conversation: int | None = None) -> int:
        """How many of our messages are not confirmed."""
        sql = f"SELECT count(*) {_WAITING} AND (?2 IS NULL OR entry.conversation = ?2)"
        found = row(self._connection, sql, (me, conversation))
        return 0 if found is None else int(found[0])

    def erasable(
        self, me: bytes, conversation: int, after: int, until: int, arrived_before: int, count: int
    ) -> list[tuple[int, str, bytes]]:
        """
        What may be deleted of a conversation, as (arrival number, kind, bytes) in order of arrival.

        Beyond `after` and up to `until`, of what arrived before a time (ms). Not what of ours its reader has still to
        confirm, nor what holds the streams together.
        """
        return rows(
            self._connection,
            "SELECT entry, kind, bytes FROM entry JOIN party ON party.party = entry.author JOIN stream USING (stream) "
            "LEFT JOIN vector ON vector.stream = entry.stream AND vector.reader != stream.author "
            "WHERE entry.conversation = ? AND entry > ? AND entry <= ? AND arrived_at < ? AND bytes IS NOT NULL "
            "AND kind != 'reset' AND (party.peer != ? OR stream.state = 'closed' OR entry.seq <= "
            "max(stream.first - 1, coalesce(vector.seq, 0), coalesce(vector.first - 1, 0))) ORDER BY entry LIMIT ?",
            (conversation, after, until, arrived_before, me, count),
        )

    def numbered(self, conversation: int, author: bytes, first: int, last: int, count: int) -> list[StoredEntry]:
        """An author's messages by their numbers, the first so many of a range; deleted ones left out."""
        return self._select(
            "party.peer = ? AND number BETWEEN ? AND ? AND kind = 'text' AND bytes IS NOT NULL "
            "ORDER BY number, entry LIMIT ?",
            *(conversation, author, first, last, count),
        )

    def numbers(self, conversation: int, author: bytes, last: int) -> tuple[int, int]:
        """The lowest and the highest number, up to `last`, of an author's messages that are here; zeros if none is."""
        found = row(
            self._connection,
            "SELECT min(number), max(number) FROM entry WHERE conversation = ? AND number BETWEEN 1 AND ? "
            "AND author = (SELECT party FROM party WHERE peer = ?) AND kind = 'text' AND bytes IS NOT NULL",
            (conversation, last, author),
        )
        return (0, 0) if found is None or found[0] is None else (int(found[0]), int(found[1]))

    def _select(self, rest: str, conversation: int, *values: Value) -> list[StoredEntry]:
        sql = f"{SELECT} WHERE conversation = ? AND {rest}"
        return [stored_entry(found) for found in rows(self._connection, sql, (conversation, *values))]


_DOWN = "ORDER BY lamport DESC, party.peer DESC, seq DESC LIMIT ?"
_UP = "ORDER BY lamport, party.peer, seq LIMIT ?"
