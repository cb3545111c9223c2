"""
What was said, read back: pages of a chat, what a search found, the life of a message, what waits, what is in doubt.

Functions over the tables, run inside an operation of the store; what they give is turned into replies by
peer/history_commands.py, which knows the people.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ..core.entries import Kind, conversation_of, judge
from ..core.errors import NoSuchContact, UsageError, UserError
from ..core.search import query
from ..storage.entries import StoredEntry
from ..storage.lines import Part, Place, WaitingEntry
from ..storage.peer_tables import PeerTables
from ..storage.remembered import EVERYWHERE, StoredDoubt
from ..storage.vectors import Vector
from .ledger import Two

PAGE_LINES = 200
"""Lines that are asked for at once, at most."""

PAGE_BYTES = 96 * 1024
"""
Bytes of messages in one page, more or less: written as JSON, every byte of them an escape, they still fit into what
the local socket holds for a slow client.
"""

MAX_CURSORS = 1_000
"""Names that programs may use up, so that one which makes a new one at every start is noticed."""

ABOVE_ALL = (1 << 63) - 1
"""An arrival number that nothing has."""

BEGINNING = Place(-1, b"", 0)
"""Before everything."""


@dataclass(frozen=True, slots=True)
class FoundLine:
    """One line, and with whom the chat is."""

    entry: StoredEntry
    peer: bytes
    text: str
    state: str
    """api.StoredLine says which there are."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some lines, and whether there are more in that direction."""

    lines: Sequence[FoundLine]
    more: bool


NOTHING = Page((), False)


@dataclass(frozen=True, slots=True)
class Life:
    """What became of one of our messages; times in wall-clock ms."""

    line: FoundLine
    delivered: int | None
    seen: int | None
    refused: str


class Reader:
    """Makes lines of entries, and remembers between two of them what it had to look up."""

    def __init__(self, tables: PeerTables, me: bytes) -> None:
        self._tables = tables
        self._me = me
        self._peers: dict[int, bytes | None] = {}
        self._vectors: dict[int, Vector | None] = {}

    def lines(self, entries: Iterable[StoredEntry]) -> list[FoundLine]:
        """Those of chats of two."""
        found = (self.line(entry) for entry in entries)
        return [line for line in found if line is not None]

    def line(self, entry: StoredEntry) -> FoundLine | None:
        """One; None if it is not of a chat of two."""
        if entry.conversation not in self._peers:
            self._peers[entry.conversation] = self._tables.lines.peer_of(entry.conversation)
        peer = self._peers[entry.conversation]
        if peer is None:
            return None
        text = "" if entry.bytes is None else judge(entry.bytes).text
        return FoundLine(entry, peer, text, self._state(entry, peer))

    def _state(self, entry: StoredEntry, peer: bytes) -> str:
        if entry.author != self._me:
            return "" if entry.history or entry.seq <= self._seen_here(entry.stream) else "new"
        if entry.kind == Kind.VOID:
            return "taken back"
        if self._tables.refusals.get(entry.stream, peer, entry.seq) is not None:
            return "refused"
        vector = self._vector(entry.stream, peer)
        if vector is None or entry.seq > max(vector.seq, vector.first - 1):
            return "queued"
        return "seen" if entry.seq <= vector.seen else "delivered"

    def _seen_here(self, stream: int) -> int:
        vector = self._vector(stream, self._me)
        return 0 if vector is None else vector.seen

    def _vector(self, stream: int, reader: bytes) -> Vector | None:
        """Each stream has one reader: the other of the two."""
        if stream not in self._vectors:
            self._vectors[stream] = self._tables.vectors.get(stream, reader)
        return self._vectors[stream]


def page_of(tables: PeerTables, me: bytes, wire: bytes, count: int, before: int | None) -> Page:
    """The last lines of a conversation, or those before an entry, in the order of its history."""
    conversation = tables.conversations.by_id(wire)
    if conversation is None:
        return NOTHING
    place = None if before is None else _place(tables, conversation.conversation, before)
    found = tables.lines.older(conversation.conversation, me, _page_size(count) + 1, place)
    kept = _within(found[::-1], count)[::-1]
    return Page(Reader(tables, me).lines(kept), len(kept) < len(found))


def page_after(tables: PeerTables, me: bytes, wire: bytes, count: int, after: int) -> Page:
    """The first lines of a conversation, or those after an entry, in the order of its history."""
    conversation = tables.conversations.by_id(wire)
    if conversation is None:
        return NOTHING
    place = _place(tables, conversation.conversation, after) if after else BEGINNING
    found = tables.lines.newer(conversation.conversation, me, _page_size(count) + 1, place)
    kept = _within(found, count)
    return Page(Reader(tables, me).lines(kept), len(kept) < len(found))


def page_around(tables: PeerTables, me: bytes, wire: bytes, count: int, around: int) -> Page:
    """An entry, with so many lines before and after it."""
    conversation = tables.conversations.by_id(wire)
    place = None if conversation is None else _place(tables, conversation.conversation, around)
    if conversation is None or place is None:
        raise _no_line(around)
    size = min(_page_size(count), PAGE_LINES // 2)
    row = conversation.conversation
    found = tables.lines.older(row, me, size + 1, place)
    older = _within(found[::-1], size)[::-1]
    newer = _within(tables.lines.newer(row, me, size, place), size)
    middle = [entry for entry in (tables.entries.get(around),) if entry is not None and entry.bytes is not None]
    return Page(Reader(tables, me).lines([*older, *middle, *newer]), len(older) < len(found))


def search(tables: PeerTables, me: bytes, words: str, wire: bytes | None, count: int, before: int | None) -> Page:
    """The newest lines with all of these words, in all chats or in one; those before an entry for the next page."""
    wanted = query(words)
    if not wanted:
        raise UsageError("there is no word in that; say what to look for")
    conversation = None if wire is None else tables.conversations.by_id(wire)
    if wire is not None and conversation is None:
        return NOTHING
    row = None if conversation is None else conversation.conversation
    numbers = tables.search.find(wanted, _page_size(count) + 1, ABOVE_ALL if before is None else before, row)
    found = [entry for entry in map(tables.entries.get, numbers) if entry is not None and entry.bytes is not None]
    kept = _within(found, count)
    return Page(Reader(tables, me).lines(kept), len(kept) < len(found))


def new_to_program(tables: PeerTables, me: bytes, cursor: str, wire: bytes | None, count: int, part: Part) -> Page:
    """What others said after a cursor, if one is named, and within a part, in order of arrival."""
    row = _row_of(tables, wire)
    if wire is not None and not row:
        return NOTHING
    part = part._replace(after=max(part.after, _cursor_at(tables, cursor, row) if cursor else 0))
    found = tables.lines.new_to_program(me, part, _page_size(count) + 1, row or None)
    kept = _within(found[::-1], count)[::-1] if part.newest else _within(found, count)
    return Page(Reader(tables, me).lines(kept), len(kept) < len(found))


def arrivals(tables: PeerTables, me: bytes, count: int, part: Part) -> Page:
    """What was said in all chats within a part, ours too, in order of arrival; what was deleted without its text."""
    found = tables.lines.arrived(me, part, _page_size(count) + 1)
    kept = _within(found[::-1], count)[::-1] if part.newest else _within(found, count)
    lines = Reader(tables, me).lines(kept)
    return Page(
        [replace(line, state="deleted") if line.entry.bytes is None else line for line in lines],
        len(kept) < len(found),
    )


def unseen(tables: PeerTables, me: bytes, wire: bytes | None) -> list[tuple[bytes, int, int]]:
    """How much nobody has seen yet of what others said, or of what one said: (who, count, newest entry)."""
    row = _row_of(tables, wire)
    if wire is not None and not row:
        return []
    found = [(tables.lines.peer_of(chat), count, last) for chat, count, last in tables.lines.unseen(me, row or None)]
    return [(peer, count, last) for peer, count, last in found if peer is not None]


def life_of(tables: PeerTables, me: bytes, them: bytes, wire: bytes, number: int) -> Life | None:
    """What became of our message `number`; None if there is none."""
    conversation = tables.conversations.by_id(wire)
    entries = [] if conversation is None else tables.entries.by_number(conversation.conversation, me, number)
    line = Reader(tables, me).line(entries[-1]) if entries else None
    if line is None:
        return None
    entry = line.entry
    refusal = tables.refusals.get(entry.stream, them, entry.seq)
    arrived = line.state in ("delivered", "seen")
    return Life(
        line,
        tables.progress.when(entry.stream, them, "delivered", entry.seq) if arrived else None,
        tables.progress.when(entry.stream, them, "seen", entry.seq) if line.state == "seen" else None,
        "" if refusal is None else refusal.code,
    )


def queue_of(tables: PeerTables, me: bytes, wire: bytes | None) -> tuple[list[tuple[bytes, WaitingEntry]], int]:
    """What waits, for everybody or for one: the first of it with whom it is for, and how much there is in all."""
    row = _row_of(tables, wire)
    if wire is not None and not row:
        return [], 0
    found: list[tuple[bytes, WaitingEntry]] = []
    size = 0
    for entry in tables.lines.waiting(me, PAGE_LINES, row or None):
        size += len(entry.bytes)
        peer = tables.lines.peer_of(entry.conversation)
        if found and size > PAGE_BYTES:
            break
        if peer is not None:
            found.append((peer, entry))
    return found, tables.lines.count_waiting(me, row or None)


def doubts(tables: PeerTables) -> list[tuple[bytes, StoredDoubt, bool]]:
    """What is in doubt, with whom the chat is, and whether it is here: then they may lack what they said themselves."""
    found = ((tables.lines.peer_of(doubt.conversation), doubt) for doubt in tables.doubts.all())
    return [(peer, doubt, _is_here(tables, peer, doubt)) for peer, doubt in found if peer is not None]


def _is_here(tables: PeerTables, them: bytes, doubt: StoredDoubt) -> bool:
    ends = (doubt.first, doubt.last)
    return not doubt.mine and all(tables.entries.by_number(doubt.conversation, them, number) for number in ends)


def retention(tables: PeerTables) -> tuple[int | None, list[tuple[bytes, int | None]]]:
    """For how many days what is said is kept (None: for ever): in all chats, and where one has its own setting."""
    kept = tables.retentions.all()
    everywhere = kept.pop(EVERYWHERE, None)
    chats = ((tables.lines.peer_of(conversation), days) for conversation, days in kept.items())
    return everywhere, [(peer, days) for peer, days in chats if peer is not None]


def move_cursor(tables: PeerTables, me: bytes, cursor: str, wire: bytes | None, entry: int) -> list[tuple[Two, int]]:
    """
    Everything up to `entry` is done with; what is seen by that: (whose chat, arrival number), the last of each stream.

    Raises UsageError for an entry that is not there yet.
    """
    if entry < 0 or entry > tables.entries.newest():
        raise UsageError(f"there is no entry {entry} yet; name one that was received")
    row = _row_of(tables, wire)
    if wire is not None and not row:
        raise NoSuchContact("nothing was said in that chat yet; name the cursor that was received from")
    after = _cursor_at(tables, cursor, row)
    tables.cursors.move(cursor, row, entry)
    seen = tables.lines.last_of_each_stream(me, after, entry, row or None)
    peers = ((conversation, tables.lines.peer_of(conversation), last) for conversation, last in seen)
    return [
        (Two(conversation, conversation_of(me, peer), me, peer), last)
        for conversation, peer, last in peers
        if peer is not None
    ]


def cursors(tables: PeerTables) -> list[tuple[str, bytes | None, int]]:
    """All cursors by name: of whose chat alone, None for all chats, and up to which entry everything is done with."""
    return [
        (name, tables.lines.peer_of(row) if row != EVERYWHERE else None, entry)
        for name, row, entry in tables.cursors.all()
    ]


def drop_cursor(tables: PeerTables, cursor: str, wire: bytes | None) -> None:
    """Its program is no more. Raises UserError if there is none."""
    row = _row_of(tables, wire)
    is_known = wire is None or row != EVERYWHERE  # with whom nothing was said there is no cursor either
    if not is_known or not tables.cursors.drop(cursor, row):
        raise UserError(f"there is no cursor {cursor} for that; p2pchat recv --cursors shows which there are")


def _cursor_at(tables: PeerTables, cursor: str, row: int) -> int:
    """Where it stands; a new one there is no room for is refused before its program does what it could not confirm."""
    after = tables.cursors.get(cursor, row)
    if after == 0 and tables.cursors.names() >= MAX_CURSORS:
        raise UserError(
            f"there are {MAX_CURSORS} cursors already; delete one: p2pchat recv --cursors, then --cursor NAME --drop"
        )
    return after


def _row_of(tables: PeerTables, wire: bytes | None) -> int:
    """The row of a conversation; 0 for none, and for all of them."""
    conversation = None if wire is None else tables.conversations.by_id(wire)
    return 0 if conversation is None else conversation.conversation


def _place(tables: PeerTables, conversation: int, number: int) -> Place:
    entry = tables.entries.get(number)
    if entry is None or entry.conversation != conversation:
        raise _no_line(number)
    return _place_of(entry)


def _place_of(entry: StoredEntry) -> Place:
    return Place(entry.lamport, entry.author, entry.seq)


def _no_line(number: int) -> UsageError:
    return UsageError(f"there is no line {number} in that chat; name one that was shown")


def _page_size(count: int) -> int:
    if count < 1:
        raise UsageError("ask for one line at least")
    return min(count, PAGE_LINES)


def _within(entries: Sequence[StoredEntry], count: int) -> Sequence[StoredEntry]:
    """The first so many, of so many bytes; one at least."""
    size = 0
    for index, entry in enumerate(entries[: _page_size(count)]):
        size += len(entry.bytes or b"")
        if index and size > PAGE_BYTES:
            return entries[:index]
    return entries[: _page_size(count)]
