"""
What a person changes of their own messages: take back what has not left, send again what was lost, forget.

Functions over the tables, run inside an operation of the store.
"""

from dataclasses import dataclass

from ..core.effects import Outgoing
from ..core.entries import Kind, judge, next_head, void_entry
from ..core.errors import UserError
from ..storage.conversations import Stream
from ..storage.entries import Place, StoredEntry
from ..storage.peer_tables import PeerTables
from .ledger import Two, current_stream, outgoing_of, vector_of

PAGE_ENTRIES, PAGE_BYTES = 256, 1 << 20
"""Entries that are in memory at once."""

ERASED_AT_ONCE = 128
"""Messages that one transaction deletes: what is taken out of the full-text index is slow."""


# --- taking back


def take_back(tables: PeerTables, two: Two, number: int) -> None:
    """
    Make one of our messages that has not left a `void`, under its seq.

    What follows it has not left either, so its heads may be made anew. Raises UserError.
    """
    entry = _own(tables, two, number)
    stream = tables.streams.get(entry.stream)
    vector = vector_of(tables, stream, two)
    if stream.state != "current" or entry.seq <= max(vector.sent, vector.seq):
        raise UserError(f"#{number} may have left already; it cannot be taken back")
    assert entry.bytes is not None
    tables.search.remove([(entry.entry, judge(entry.bytes).text)])
    data = void_entry(id=entry.id, number=entry.number, lamport=entry.lamport, time=entry.written_at)
    tables.entries.rewrite(entry.entry, Kind.VOID, data)
    _chain_anew(tables, stream, entry.seq)


def _own(tables: PeerTables, two: Two, number: int) -> StoredEntry:
    found = tables.entries.by_number(two.conversation, two.me, number)
    if not found or found[-1].bytes is None:
        raise UserError(f"there is no message #{number} of yours in that chat; /queue shows what waits")
    if found[-1].kind != Kind.TEXT:
        raise UserError(f"#{number} was taken back before")
    return found[-1]


def _chain_anew(tables: PeerTables, stream: Stream, seq: int) -> None:
    """Heads from `seq` to the end of a stream."""
    head = tables.entries.head_at(stream.stream, seq - 1)
    assert head is not None
    while page := tables.entries.load_range(stream.stream, seq, PAGE_ENTRIES, PAGE_BYTES):
        places: list[Place] = []
        for entry in page:
            assert entry.bytes is not None
            head = next_head(head, entry.bytes)
            places.append(Place(entry.entry, entry.stream, entry.seq, head))
        tables.entries.move(places)
        seq = page[-1].seq + 1
    tables.streams.update(stream.stream, stream.seq, head)


# --- sending again


@dataclass(frozen=True, slots=True)
class Resent:
    """What one step of sending again did."""

    outgoing: Outgoing | None
    """The stream that went on by it; None if nothing was found."""
    count: int
    """Messages that wait again."""
    bytes: int
    """Of their entries."""
    next_number: int
    """From where the next step goes on; 0: that was all."""


def send_again(tables: PeerTables, two: Two, first: int, last: int, random: bytes) -> Resent:
    """
    Put messages of ours that count as delivered to the end of our current stream, as the same bytes.

    `random` are 16 random bytes, for a stream that may have to be begun. What still waits goes out by itself.
    """
    page = tables.lines.numbered(two.conversation, two.me, first, last, PAGE_ENTRIES)
    next_number = page[-1].number + 1 if len(page) == PAGE_ENTRIES else 0
    again = [entry for entry in page if not _waits(tables, two, entry)]
    if not next_number:
        tables.doubts.settle(two.conversation, True, first, last)
    if not again:
        return Resent(None, 0, 0, next_number)
    stream = current_stream(tables, two, random)
    seq, head = stream.seq, stream.head
    places: list[Place] = []
    for entry in again:
        assert entry.bytes is not None
        seq, head = seq + 1, next_head(head, entry.bytes)
        places.append(Place(entry.entry, stream.stream, seq, head))
    tables.entries.move_away(places)
    tables.streams.update(stream.stream, seq, head)
    # They left once, so none of them can be taken back any more.
    tables.vectors.set_sent(stream.stream, two.them, seq)
    vector = vector_of(tables, stream, two)
    outgoing = outgoing_of(tables, tables.streams.get(stream.stream), vector, vector.store or b"")
    return Resent(outgoing, len(again), sum(len(entry.bytes or b"") for entry in again), next_number)


def _waits(tables: PeerTables, two: Two, entry: StoredEntry) -> bool:
    """Whether one of our messages is on its way, or to be."""
    stream = tables.streams.get(entry.stream)
    if stream.state != "current":
        return False
    vector = vector_of(tables, stream, two)
    return entry.seq > max(vector.seq, vector.first - 1)


# --- forgetting


def erase(
    tables: PeerTables, me: bytes, conversation: int, after: int, until: int, arrived_before: int
) -> tuple[int, int]:
    """
    Delete some of what was said in a conversation, in order of arrival behind the arrival number `after`.

    Up to the arrival number `until`, and what arrived before a time (ms); what of ours waits to be delivered stays.
    Gives how many were deleted, and the arrival number to go on after; 0: that was all.
    """
    found = tables.lines.erasable(me, conversation, after, until, arrived_before, ERASED_AT_ONCE)
    texts = [(entry, judge(data).text) for entry, kind, data in found if kind == Kind.TEXT]
    tables.search.remove(texts)
    tables.entries.erase(entry for entry, _, _ in found)
    return len(found), found[-1][0] if len(found) == ERASED_AT_ONCE else 0
