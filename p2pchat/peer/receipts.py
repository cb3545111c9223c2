"""
What comes from the far side, in one transaction: its entries, and its word about ours.

The other half of peer/ledger.py: functions over the tables, run inside an operation of the store.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.bodies import ResetBody
from ..core.effects import Received
from ..core.entries import Kind, RefusalCode, author_in, conversation_in, moved_lamport
from ..storage.conversations import Stream
from ..storage.entries import NewEntry
from ..storage.peer_tables import PeerTables
from ..storage.vectors import Vector
from .ledger import Two

WAITING_SHOWN = 20
"""Numbers that are named where somebody is told what waits."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of one received entry."""

    received: Received
    stream: int
    """The row of its stream."""
    entry: int = 0
    """Its own row; 0 for what is not stored as an entry."""
    refusal: RefusalCode | None = None
    duplicate: bool = False
    doubt: tuple[int, int] | None = None
    """For a `reset`: the author's numbers that may be missing here, first and last; (0, 0) if none is known."""


def store_received(tables: PeerTables, two: Two, batch: Sequence[Received], now: int) -> list[Stored]:
    """Store entries in the order in which they came, and move their streams."""
    lamport = tables.conversations.get(two.conversation).lamport
    stored: list[Stored] = []
    for received in batch:
        stream = _stream_of(tables, two, received)
        result = _store(tables, two, stream, received, now)
        if not result.entry:
            tables.streams.update(stream.stream, received.seq, received.head)
        if result.refusal is not None:
            tables.refusals.put(stream.stream, two.me, received.seq, result.refusal.value)
        else:
            lamport = moved_lamport(lamport, received.judged.lamport)
        stored.append(result)
    texts = [each for each in stored if each.entry and each.received.judged.kind == Kind.TEXT]
    tables.search.add((each.entry, each.received.judged.text) for each in texts)
    tables.conversations.set_counts(two.conversation, 0, lamport)
    return stored


def _stream_of(tables: PeerTables, two: Two, received: Received) -> Stream:
    incoming = received.incoming
    stream = tables.streams.by_name(incoming.name)
    if stream is None:
        stream = tables.streams.create(
            two.conversation, author_in(incoming.name), incoming.name, incoming.first, incoming.base
        )
    return stream


def _store(tables: PeerTables, two: Two, stream: Stream, received: Received, now: int) -> Stored:
    judged = received.judged
    if judged.refusal is not None:
        return Stored(received, stream.stream, refusal=judged.refusal)
    twin = tables.entries.by_author_id(two.them, judged.id)
    if twin is not None:
        same = twin.bytes is None or twin.bytes == received.data
        refusal = None if same else RefusalCode.CONFLICT
        return Stored(received, stream.stream, refusal=refusal, duplicate=same)
    entry = tables.entries.append(
        stream.stream,
        NewEntry(
            received.seq,
            received.head,
            judged.id,
            judged.number,
            judged.lamport,
            judged.time,
            now,
            judged.kind,
            "link",
            False,
            received.data,
        ),
    )
    doubt = None
    if judged.kind == Kind.RESET and judged.reset is not None:
        doubt = _close_replaced(tables, two, judged.reset)
    return Stored(received, stream.stream, entry, doubt=doubt)


def _close_replaced(tables: PeerTables, two: Two, reset: ResetBody) -> tuple[int, int]:
    """The author began anew: the old stream is not compared any more; which of its numbers are in doubt here."""
    if conversation_in(reset.stream) != two.wire or author_in(reset.stream) != two.them:
        return 0, 0
    old = tables.streams.by_name(reset.stream)
    if old is None:
        return 0, 0
    tables.streams.set_state(old.stream, "closed")
    page = tables.entries.load_range(old.stream, reset.seq + 1, 100_000, 1 << 26)
    numbers = [entry.number for entry in page if entry.number]
    return min(numbers, default=0), max(numbers, default=0)


# --- the far side's word about our entries


def confirm(tables: PeerTables, two: Two, stream: int, store: bytes, seq: int, head: bytes, now: int) -> None:
    """The reader committed our entries up to `seq`."""
    vector = tables.vectors.get(stream, two.them)
    assert vector is not None
    tables.vectors.put(vector._replace(store=store, seq=seq, head=head))
    tables.progress.note(stream, two.them, "delivered", seq, now)


def see(tables: PeerTables, two: Two, stream: int, seq: int, now: int) -> tuple[int, ...]:
    """Our entries up to `seq` were seen; the numbers of those that were not before."""
    vector = tables.vectors.get(stream, two.them)
    assert vector is not None
    if seq <= vector.seen:
        return ()
    tables.vectors.put(vector._replace(seen=seq))
    tables.progress.note(stream, two.them, "seen", seq, now)
    page = tables.entries.load_range(stream, max(vector.seen, vector.first - 1) + 1, seq - vector.seen, 1 << 24)
    return tuple(entry.number for entry in page if entry.number and entry.seq <= seq)


def note_refusal(tables: PeerTables, two: Two, stream: int, seq: int, code: str) -> int | None:
    """The reader cannot take an entry of ours; its number, or None if that was known."""
    if not tables.refusals.put(stream, two.them, seq, code):
        return None
    entry = tables.entries.at(stream, seq)
    return None if entry is None else entry.number


def processed(tables: PeerTables, two: Two, stream: int, seq: int) -> None:
    """The author committed our refusals up to `seq`: they are repeated no more."""
    tables.refusals.set_told(stream, two.me, seq)


# --- what we displayed, and what waits


def display(tables: PeerTables, two: Two, entry: int) -> tuple[bytes, int] | None:
    """
    Everything up to an entry of the far side was displayed; (stream, seq) to say `seen` about.

    None if it was said, or is no entry of theirs.
    """
    found = tables.entries.get(entry)
    if found is None or found.author != two.them or found.conversation != two.conversation:
        return None
    stream = tables.streams.get(found.stream)
    vector = tables.vectors.get(found.stream, two.me)
    if vector is None:
        vector = Vector(found.stream, two.me, None, stream.first, stream.first - 1, stream.base, 0, 0)
    if found.seq <= vector.seen:
        return None
    tables.vectors.put(vector._replace(seen=found.seq))
    return stream.name, found.seq


def waiting(tables: PeerTables, two: Two) -> tuple[tuple[int, ...], int]:
    """Our messages that are not delivered: the first few numbers, and how many in all."""
    numbers: list[int] = []
    total = 0
    for stream in tables.streams.of_conversation(two.conversation, current_only=True):
        if stream.author != two.me:
            continue
        vector = tables.vectors.get(stream.stream, two.them)
        confirmed = stream.first - 1 if vector is None else max(vector.seq, vector.first - 1)
        total += stream.seq - confirmed
        if len(numbers) < WAITING_SHOWN:
            page = tables.entries.load_range(stream.stream, confirmed + 1, WAITING_SHOWN - len(numbers), 1 << 24)
            numbers += [entry.number for entry in page if entry.number]
    return tuple(numbers), total
