"""
What a conversation's tables do in one transaction: the bridge between core/delivery and the store.

Every function here runs inside an operation of `Database.write` or `read`, on its thread; it takes the tables and
values and gives values back. What they decide stands in core; what they store is committed, or nothing of it is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..core.doubt import Broken, Knowledge, RolledBack, compare, start_for
from ..core.effects import Batch, Incoming, Outgoing
from ..core.entries import (
    AUTH_LINK,
    Kind,
    first_head,
    next_head,
    reset_entry,
    stream_name,
    text_entry,
)
from ..core.messages import Holding
from ..storage.conversations import Conversation, Stream
from ..storage.entries import NewEntry, Place, StoredEntry
from ..storage.peer_tables import PeerTables
from ..storage.vectors import Vector

APPEND_BATCH = 256
"""Messages that one transaction appends."""

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


@dataclass(frozen=True, slots=True)
class Draft:
    """A message that a person or program wants to send."""

    text: str
    id: bytes
    """16 random bytes."""
    time: int
    """Wall clock, ms."""


@dataclass(frozen=True, slots=True)
class Written:
    """One of our entries, as it was committed."""

    seq: int
    head: bytes
    number: int
    data: bytes


# --- writing


def append_texts(
    tables: PeerTables, two: Two, drafts: Sequence[Draft], random: bytes, sent: bool
) -> tuple[Outgoing, list[Written]]:
    """
    Write messages into our current stream, beginning one named by the 16 bytes `random` if there is none.

    `sent`: they will leave as soon as they are committed, so the sent-up-to mark covers them.
    """
    row = tables.conversations.get(two.conversation)
    stream = _current(tables, two, random)
    number, lamport, seq, head = row.number, row.lamport, stream.seq, stream.head
    written: list[Written] = []
    rows: list[NewEntry] = []
    for draft in drafts:
        number, lamport, seq = number + 1, lamport + 1, seq + 1
        data = text_entry(draft.text, id=draft.id, number=number, lamport=lamport, time=draft.time)
        head = next_head(head, data)
        written.append(Written(seq, head, number, data))
        rows.append(
            NewEntry(seq, head, draft.id, number, lamport, draft.time, draft.time, Kind.TEXT, AUTH_LINK, False, data)
        )
    last = tables.entries.append_many(stream.stream, rows)
    tables.search.add((last - len(rows) + place, draft.text) for place, draft in enumerate(drafts, 1))
    tables.conversations.set_counts(two.conversation, number, lamport)
    vector = _vector(tables, stream, two)
    if sent:
        tables.vectors.set_sent(stream.stream, two.them, seq)
        vector = vector._replace(sent=seq)
    return _outgoing(tables, tables.streams.get(stream.stream), vector, vector.store or b""), written


def load_batch(tables: PeerTables, two: Two, batch: Batch) -> list[Written]:
    """The entries of a batch, their sent-up-to mark committed with this transaction."""
    found = tables.entries.load_range(batch.outgoing.stream, batch.from_seq, batch.max_entries, batch.max_bytes)
    written: list[Written] = []
    expected = batch.from_seq
    for entry in found:
        if entry.seq != expected or entry.bytes is None:
            break
        written.append(Written(entry.seq, entry.head, entry.number, entry.bytes))
        expected += 1
    if written:
        tables.vectors.set_sent(batch.outgoing.stream, two.them, written[-1].seq)
    return written


def load_history(tables: PeerTables, batch: Batch) -> list[tuple[int, bytes]]:
    """Older entries that were asked for, as (seq, bytes); what was deleted is left out."""
    found = tables.entries.load_range(batch.outgoing.stream, batch.from_seq, batch.max_entries, batch.max_bytes)
    last = batch.from_seq + batch.max_entries - 1
    return [(entry.seq, entry.bytes) for entry in found if entry.bytes is not None and entry.seq <= last]


def _current(tables: PeerTables, two: Two, random: bytes) -> Stream:
    stream = tables.streams.current(two.conversation, two.me)
    if stream is None:
        stream = _new_stream(tables, two, random)
    return stream


def _new_stream(tables: PeerTables, two: Two, random: bytes) -> Stream:
    name = stream_name(two.wire, two.me, random)
    stream = tables.streams.create(two.conversation, two.me, name, 1, first_head(name))
    _vector(tables, stream, two)
    return stream


def _vector(tables: PeerTables, stream: Stream, two: Two) -> Vector:
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


@dataclass(frozen=True, slots=True)
class Settlement:
    """What came of comparing."""

    own: list[Outgoing]
    delivered: tuple[int, ...]
    """Our numbers that turn out to be delivered."""
    doubts: list[tuple[int, int, str]]
    """(first, last, explanation) of our numbers."""


def open_link(tables: PeerTables, two: Two, store: bytes) -> Opening:
    """Everything that link-up lists, for a reader with this store."""
    own: list[Outgoing] = []
    theirs: list[Incoming] = []
    for stream in tables.streams.of_conversation(two.conversation, current_only=True):
        if stream.author == two.me:
            own.append(_outgoing(tables, stream, _vector(tables, stream, two), store))
        else:
            mine = tables.vectors.get(stream.stream, two.me)
            seen = 0 if mine is None else mine.seen
            theirs.append(
                Incoming(stream.stream, stream.name, stream.first, stream.base, stream.seq, stream.head, seen)
            )
    refusals = [
        (tables.streams.get(refusal.stream).name, refusal.seq, refusal.code)
        for refusal in tables.refusals.of_conversation(two.conversation, untold_only=True)
        if refusal.reader == two.me
    ]
    return Opening(own, theirs, refusals, tables.conversations.get(two.conversation))


def _outgoing(tables: PeerTables, stream: Stream, vector: Vector, store: bytes) -> Outgoing:
    known = _knowledge(tables, stream, vector)
    first, base = start_for(known, store)
    base = base or tables.entries.head_at(stream.stream, first - 1) or stream.base
    processed = max(
        (each.seq for each in tables.refusals.of_stream(stream.stream) if each.reader == vector.reader), default=None
    )
    listed = Holding(stream=stream.name, first=first, base=base, seq=stream.seq, head=stream.head, processed=processed)
    confirmed = max(vector.seq, first - 1)
    return Outgoing(stream.stream, stream.name, listed, stream.seq, confirmed + 1, confirmed, vector.sent, vector.seen)


def _knowledge(tables: PeerTables, stream: Stream, vector: Vector) -> Knowledge:
    first = max(vector.first, stream.first)
    confirmed = max(vector.seq, first - 1)
    head = vector.head if vector.head is not None and vector.seq == confirmed else None
    head = head or tables.entries.head_at(stream.stream, confirmed) or stream.base
    return Knowledge(stream.name, stream.seq, stream.head, vector.store, first, confirmed, head)


def settle(
    tables: PeerTables, two: Two, store: bytes, holdings: Iterable[Holding], random: bytes, now: int
) -> Settlement:
    """
    Compare what the reader says with what we wrote, and act on it.

    `random` are 32 random bytes, for a stream and an entry that may have to be begun.
    """
    listed = {holding.stream: holding for holding in holdings}
    delivered: list[int] = []
    doubts: list[tuple[int, int, str]] = []
    broken: list[tuple[Stream | None, bytes, int, bytes]] = []
    for stream in tables.streams.of_conversation(two.conversation):
        if stream.author != two.me:
            continue
        holding = listed.pop(stream.name, None)
        if stream.state != "current":
            continue
        vector = _vector(tables, stream, two)
        known = _knowledge(tables, stream, vector)
        verdict = compare(known, holding, store, lambda seq, row=stream.stream: tables.entries.head_at(row, seq))  # type: ignore[misc]
        if isinstance(verdict, Broken):
            broken.append((stream, stream.name, verdict.seq, verdict.head))
            continue
        first = start_for(known, store)[0]
        if isinstance(verdict, RolledBack):
            lost = _numbers(tables, stream.stream, verdict.seq + 1, known.confirmed_seq)
            doubts.append((min(lost, default=0), max(lost, default=0), "their history was reset; it is sent again"))
        else:
            delivered += _numbers(tables, stream.stream, known.confirmed_seq + 1, verdict.seq)
            if verdict.seq > vector.seq:
                tables.progress.note(stream.stream, two.them, "delivered", verdict.seq, now)
        tables.vectors.put(vector._replace(store=store, first=first, seq=verdict.seq, head=verdict.head))
    # What is left names streams of ours that we never wrote: our own disk was lost or rolled back.
    broken += [(None, name, 0, first_head(name)) for name in listed]
    if broken:
        doubts += _replace(tables, two, store, broken, random, now)
    own = [
        _outgoing(tables, stream, _vector(tables, stream, two), store)
        for stream in tables.streams.of_conversation(two.conversation, current_only=True)
        if stream.author == two.me
    ]
    return Settlement(own, tuple(delivered), doubts)


def _replace(
    tables: PeerTables,
    two: Two,
    store: bytes,
    broken: Sequence[tuple[Stream | None, bytes, int, bytes]],
    random: bytes,
    now: int,
) -> list[tuple[int, int, str]]:
    """Begin a stream that replaces the broken ones; the entries in doubt move there under their old ids."""
    for stream, _, _, _ in broken:
        if stream is not None:
            tables.streams.set_state(stream.stream, "closed")
    new = _new_stream(tables, two, random[:16])
    seq, head = 0, new.head
    lamport = tables.conversations.get(two.conversation).lamport
    doubts: list[tuple[int, int, str]] = []
    resets: list[NewEntry] = []
    for index, (_, name, agreed, agreed_head) in enumerate(broken):
        seq, lamport = seq + 1, lamport + 1
        entry_id = bytes([random[16] ^ index & 255]) + random[17:31] + bytes([index >> 8 & 255])
        data = reset_entry(name, agreed, agreed_head, id=entry_id, lamport=lamport, time=now)
        head = next_head(head, data)
        resets.append(NewEntry(seq, head, entry_id, 0, lamport, now, now, Kind.RESET, AUTH_LINK, False, data))
    tables.entries.append_many(new.stream, resets)
    for stream, _, agreed, _ in broken:
        moved = [] if stream is None else _after(tables, stream.stream, agreed)
        places: list[Place] = []
        for entry in moved:
            assert entry.bytes is not None
            seq, head = seq + 1, next_head(head, entry.bytes)
            places.append(Place(entry.entry, new.stream, seq, head))
        tables.entries.move(places)
        numbers = [entry.number for entry in moved if entry.number]
        doubts.append((min(numbers, default=0), max(numbers, default=0), "one of the two histories was reset"))
    tables.streams.update(new.stream, seq, head)
    tables.conversations.set_counts(two.conversation, 0, lamport)
    tables.vectors.put(Vector(new.stream, two.them, store, 1, 0, new.base, 0, 0))
    return doubts


def _after(tables: PeerTables, stream: int, seq: int) -> list[StoredEntry]:
    """Our entries beyond `seq` that still have their bytes, in order."""
    found: list[StoredEntry] = []
    while page := tables.entries.load_range(stream, seq + 1, 1024, 1 << 24):
        found += [entry for entry in page if entry.bytes is not None and entry.kind != Kind.RESET]
        seq = page[-1].seq
    return found


def _numbers(tables: PeerTables, stream: int, first: int, last: int) -> list[int]:
    numbers: list[int] = []
    while first <= last:
        page = tables.entries.load_range(stream, first, min(1024, last - first + 1), 1 << 24)
        if not page:
            break
        numbers += [entry.number for entry in page if entry.number and entry.seq <= last]
        first = page[-1].seq + 1
    return numbers
