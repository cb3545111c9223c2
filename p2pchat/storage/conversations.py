"""Tables of the conversations and of the streams that their members write."""

from typing import Any, Literal, NamedTuple

import apsw

from p2pchat.storage.query import Value, changed, row, rows

StreamState = Literal["current", "closed"]


class Conversation(NamedTuple):
    """One row of `conversation`."""

    conversation: int
    id: bytes
    contact: int | None
    number: int
    lamport: int
    open: bool


class Stream(NamedTuple):
    """One row of `stream`, with its author's peer id; an empty one has `seq == first - 1`, `head == base`."""

    stream: int
    conversation: int
    author: bytes
    name: bytes
    first: int
    base: bytes
    seq: int
    head: bytes
    state: StreamState


_CONVERSATION = "SELECT conversation, id, contact, number, lamport, open FROM conversation"
_STREAM = (
    "SELECT stream, conversation, party.peer, name, first, base, seq, head, state "
    "FROM stream JOIN party ON party.party = stream.author"
)


class Parties:
    """Peer ids as small integers."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def of(self, peer: bytes) -> int:
        """The number of this peer id; given out if it has none."""
        found = self.known(peer)
        if found is None:
            changed(self._connection, "INSERT INTO party (peer) VALUES (?)", (peer,))
            return self._connection.last_insert_rowid()
        return found

    def known(self, peer: bytes) -> int | None:
        """The number of this peer id, or None."""
        found = row(self._connection, "SELECT party FROM party WHERE peer = ?", (peer,))
        return None if found is None else int(found[0])


class Conversations:
    """Conversations by number, wire id, or contact."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def open_for(self, contact: int | None, id: bytes) -> Conversation:
        """The conversation with this wire id, made (with this contact, or None for a room) if there is none."""
        changed(
            self._connection,
            "INSERT INTO conversation (id, contact, number, lamport, open) VALUES (?, ?, 0, 0, 0) "
            "ON CONFLICT (id) DO NOTHING",
            (id, contact),
        )
        found = self.by_id(id)
        assert found is not None
        return found

    def get(self, conversation: int) -> Conversation:
        """The row. Raises `KeyError` if there is none."""
        found = self._one("conversation = ?", conversation)
        if found is None:
            raise KeyError(conversation)
        return found

    def by_id(self, id: bytes) -> Conversation | None:
        """The conversation with this wire id."""
        return self._one("id = ?", id)

    def all(self) -> list[Conversation]:
        """All, the oldest first."""
        return self._all("ORDER BY conversation")

    def all_open(self) -> list[Conversation]:
        """Those that are to be dialled again after a restart."""
        return self._all("WHERE open ORDER BY conversation")

    def set_open(self, conversation: int, open: bool) -> None:
        """Remember whether the chat is to be dialled again after a restart."""
        changed(self._connection, "UPDATE conversation SET open = ? WHERE conversation = ?", (open, conversation))

    def set_counts(self, conversation: int, number: int, lamport: int) -> None:
        """Store our running count and our Lamport clock; neither ever goes back."""
        changed(
            self._connection,
            "UPDATE conversation SET number = max(number, ?), lamport = max(lamport, ?) WHERE conversation = ?",
            (number, lamport, conversation),
        )

    def _one(self, where: str, value: Value) -> Conversation | None:
        found = row(self._connection, f"{_CONVERSATION} WHERE {where}", (value,))
        return None if found is None else _conversation(found)

    def _all(self, rest: str, *values: Value) -> list[Conversation]:
        return [_conversation(found) for found in rows(self._connection, f"{_CONVERSATION} {rest}", values)]


class Streams:
    """Streams by number, wire name, or conversation."""

    def __init__(self, connection: apsw.Connection, parties: Parties) -> None:
        self._connection = connection
        self._parties = parties

    def create(self, conversation: int, author: bytes, name: bytes, first: int, base: bytes) -> Stream:
        """A new, empty, current stream; `base` is head(first - 1). The author's older ones stay as they are."""
        changed(
            self._connection,
            "INSERT INTO stream (conversation, author, name, first, base, seq, head, state) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, 'current')",
            (conversation, self._parties.of(author), name, first, base, first - 1, base),
        )
        return self.get(self._connection.last_insert_rowid())

    def get(self, stream: int) -> Stream:
        """The row. Raises `KeyError` if there is none."""
        found = self._all("WHERE stream = ?", stream)
        if not found:
            raise KeyError(stream)
        return found[0]

    def by_name(self, name: bytes) -> Stream | None:
        """The stream with this wire name."""
        found = self._all("WHERE name = ?", name)
        return found[0] if found else None

    def of_conversation(self, conversation: int, *, current_only: bool = False) -> list[Stream]:
        """The streams of a conversation, the oldest first."""
        where = "conversation = ? AND state = 'current'" if current_only else "conversation = ?"
        return self._all(f"WHERE {where} ORDER BY stream", conversation)

    def current(self, conversation: int, author: bytes) -> Stream | None:
        """The newest current stream of an author in a conversation."""
        found = self._all(
            "WHERE conversation = ? AND party.peer = ? AND state = 'current' ORDER BY stream DESC LIMIT 1",
            conversation,
            author,
        )
        return found[0] if found else None

    def update(self, stream: int, seq: int, head: bytes) -> None:
        """Store how far the stream goes (`Entries.append_many` does it by itself)."""
        changed(self._connection, "UPDATE stream SET seq = ?, head = ? WHERE stream = ?", (seq, head, stream))

    def set_base(self, stream: int, first: int, base: bytes) -> None:
        """Store where the stream begins here; `base` is head(first - 1)."""
        changed(self._connection, "UPDATE stream SET first = ?, base = ? WHERE stream = ?", (first, base, stream))

    def set_state(self, stream: int, state: StreamState) -> None:
        """Close it, for instance."""
        changed(self._connection, "UPDATE stream SET state = ? WHERE stream = ?", (state, stream))

    def _all(self, rest: str, *values: Value) -> list[Stream]:
        return [Stream(*found) for found in rows(self._connection, f"{_STREAM} {rest}", values)]


def _conversation(found: tuple[Any, ...]) -> Conversation:
    return Conversation._make((*found[:5], bool(found[5])))
