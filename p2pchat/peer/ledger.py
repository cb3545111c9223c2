"""
What a conversation's tables do in one transaction: the bridge between core/delivery and the store.

Here we write, load and list; peer/receipts takes what comes, and peer/settlement compares the two sides at link-up.

Every function here runs inside an operation of `Database.write` or `read`, on its thread; it takes the tables and
values and gives values back. What they decide stands in core; what they store is committed, or nothing of it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import Struct

from ..api import MOST_SAID
from ..core.doubt import Knowledge, start_for
from ..core.effects import Batch, Incoming, Outgoing, Written
from ..core.entries import AUTH_LINK, Kind, first_head, next_head, stream_name, text_entry
from ..core.messages import Holding
from ..core.window import Room
from ..storage.conversations import Conversation, Stream
from ..storage.crash import Point, reach
from ..storage.entries import NewEntry
from ..storage.peer_tables import PeerTables
from ..storage.vectors import Vector

APPEND_BATCH = MOST_SAID
"""Messages that one transaction appends: those of one command are stored together."""

ENTRY_OVERHEAD = 160
"""Bytes of an entry beside its text, at most."""


@dataclass(frozen=True, slots=True)
class Two:
    """Whose conversation it is."""

    conversation: int
    """Its row."""
    wire: bytes
    """Its id on the wire."""
    me: bytes
    them: bytes


class Draft(Struct, frozen=True, gc=False):
    """A message that a person or program wants to send."""

    text: str
    id: bytes
    """16 random bytes."""
    time: int
    """Wall clock, ms."""


# --- writing


def append_texts(
    tables: PeerTables, two: Two, drafts: Sequence[Draft], random: bytes, room: Room, behind: bytes = b""
) -> tuple[Outgoing, list[Written]]:
    """
    Write messages into our current stream, beginning one named by the 16 bytes `random` if there is none.

    The first of them, as far as there is `room`, will leave as soon as they are committed, so the sent-up-to mark
    covers them; together with what waits for that in the memory, up to the head `behind`, if it is what stands here.
    """
    row = tables.conversations.get(two.conversation)
    stream = current_stream(tables, two, random)
    number, lamport, seq, head = row.number, row.lamport, stream.seq, stream.head
    written: list[Written] = []
    rows: list[NewEntry] = []
    kind = Kind.TEXT.value
    for draft in drafts:
        number, lamport, seq = number + 1, lamport + 1, seq + 1
        data = text_entry(draft.text, id=draft.id, number=number, lamport=lamport, time=draft.time)
        head = next_head(head, data)
        written.append(Written(seq, head, number, data))
        rows.append(
            NewEntry(seq, head, draft.id, number, lamport, draft.time, draft.time, kind, AUTH_LINK, False, data)
        )
    last = tables.entries.append_many(stream.stream, rows)
    tables.search.add((last - len(rows) + place, draft.text) for place, draft in enumerate(drafts, 1))
    tables.conversations.set_counts(two.conversation, number, lamport)
    vector = vector_of(tables, stream, two)
    leaving = 0 if behind not in (b"", stream.head) else _leaving(written, room)
    if leaving:
        sent = written[leaving - 1].seq
        tables.vectors.set_sent(stream.stream, two.them, sent)
        vector = vector._replace(sent=sent)
    reach(Point.OWN_WRITTEN)
    return outgoing_of(tables, stream._replace(seq=seq, head=head), vector, vector.store or b""), written


def _leaving(written: Sequence[Written], room: Room) -> int:
    """How many of these there is room for."""
    left = room.bytes
    for count, each in enumerate(written[: room.entries]):
        left -= len(each.data)
        if left < 0:
            return count
    return min(len(written), room.entries)


def load_batch(tables: PeerTables, two: Two, batch: Batch, kept: Sequence[Written] = ()) -> list[Written]:
    """
    The entries of a batch, their sent-up-to mark committed with this transaction.

    If those that the memory has `kept` are what stands here, which their heads tell, they need not be read.
    """
    if kept and tables.entries.head_at(batch.outgoing.stream, kept[-1].seq) == kept[-1].head:
        written = list(kept)
    else:
        written = _read_batch(tables, batch)
    if written:
        tables.vectors.set_sent(batch.outgoing.stream, two.them, written[-1].seq)
    return written


def _read_batch(tables: PeerTables, batch: Batch) -> list[Written]:
    found = tables.entries.load_range(batch.outgoing.stream, batch.from_seq, batch.max_entries, batch.max_bytes)
    written: list[Written] = []
    expected = batch.from_seq
    for entry in found:
        if entry.seq != expected or entry.bytes is None:
            break
        # What was taken back is no message, and is not told as delivered.
        number = 0 if entry.kind == Kind.VOID else entry.number
        written.append(Written(entry.seq, entry.head, number, entry.bytes))
        expected += 1
    return written


def load_history(tables: PeerTables, two: Two, batch: Batch) -> list[tuple[int, bytes]]:
    """
    Older entries that were asked for, as (seq, bytes); what was deleted is left out.

    What the reader has not confirmed is no history: it goes out in its turn, after its sent-up-to mark. Nor is what is
    left of a stream that was replaced meanwhile: the reader may know it as another one.
    """
    stream = batch.outgoing.stream
    if tables.streams.get(stream).state == "closed":
        return []
    vector = tables.vectors.get(stream, two.them)
    last = min(batch.last_seq, 0 if vector is None else max(vector.seq, vector.first - 1))
    return tables.entries.load_present(stream, batch.from_seq, last, batch.max_entries, batch.max_bytes)


def current_stream(tables: PeerTables, two: Two, random: bytes) -> Stream:
    """The stream of ours that goes on; begun, and named by 16 random bytes, if there is none."""
    stream = tables.streams.current(two.conversation, two.me)
    if stream is None:
        stream = new_stream(tables, two, random)
    return stream


def new_stream(tables: PeerTables, two: Two, random: bytes) -> Stream:
    """A stream of ours, named by 16 random bytes; new messages go into the newest."""
    name = stream_name(two.wire, two.me, random)
    stream = tables.streams.create(two.conversation, two.me, name, 1, first_head(name))
    vector_of(tables, stream, two)
    return stream


def vector_of(tables: PeerTables, stream: Stream, two: Two) -> Vector:
    """How far the reader is in one of our streams; the row is made if there is none."""
    vector = tables.vectors.get(stream.stream, two.them)
    if vector is None:
        vector = Vector(stream.stream, two.them, None, stream.first, stream.first - 1, stream.base, 0, 0)
        tables.vectors.put(vector)
    return vector


# --- link-up


@dataclass(frozen=True, slots=True)
class Opening:
    """What we have when a link was selected."""

    own: list[Outgoing]
    theirs: list[Incoming]
    refusals: list[tuple[bytes, int, str]]
    """(stream, seq, code) to repeat."""
    conversation: Conversation


def open_link(tables: PeerTables, two: Two, store: bytes) -> Opening:
    """Everything that link-up lists, for a reader with this store."""
    own: list[Outgoing] = []
    theirs: list[Incoming] = []
    for stream in tables.streams.of_conversation(two.conversation, current_only=True):
        if stream.author == two.me:
            own.append(outgoing_of(tables, stream, vector_of(tables, stream, two), store))
        else:
            mine = tables.vectors.get(stream.stream, two.me)
            seen = 0 if mine is None else mine.seen
            theirs.append(
                Incoming(stream.stream, stream.name, stream.first, stream.base, stream.seq, stream.head, seen)
            )
    # Nothing hangs any more on a stream that was replaced, and its author would not know it.
    names = {incoming.stream: incoming.name for incoming in theirs}
    refusals = [
        (names[refusal.stream], refusal.seq, refusal.code)
        for refusal in tables.refusals.of_conversation(two.conversation, untold_only=True)
        if refusal.reader == two.me and refusal.stream in names
    ]
    return Opening(own, theirs, refusals, tables.conversations.get(two.conversation))


def outgoing_of(tables: PeerTables, stream: Stream, vector: Vector, store: bytes) -> Outgoing:
    """One of our streams, as it is listed for a reader with this store."""
    known = knowledge_of(tables, stream, vector)
    first, base = start_for(known, store)
    base = base or tables.entries.head_at(stream.stream, first - 1) or stream.base
    processed = tables.refusals.newest(stream.stream, vector.reader)
    listed = Holding(stream=stream.name, first=first, base=base, seq=stream.seq, head=stream.head, processed=processed)
    confirmed = max(vector.seq, first - 1)
    return Outgoing(stream.stream, stream.name, listed, stream.seq, confirmed + 1, confirmed, vector.sent, vector.seen)


def knowledge_of(tables: PeerTables, stream: Stream, vector: Vector) -> Knowledge:
    """What we know of one of our streams and of how far its reader is."""
    first = max(vector.first, stream.first)
    confirmed = max(vector.seq, first - 1)
    head = vector.head if vector.head is not None and vector.seq == confirmed else None
    head = head or tables.entries.head_at(stream.stream, confirmed) or stream.base
    return Knowledge(stream.name, stream.seq, stream.head, vector.store, first, confirmed, head)
