"""
Link-up, as an author: what the reader lists is compared with what we wrote, and acted on, in one transaction.

docs/protocol.md, section 10, "Doubt". What one stream alone means is core/doubt's to say; here stands what follows for
all of them together. When one has to be replaced, whatever else the reader may lack moves to the new stream with it,
so that everything arrives in the order in which it was written.
"""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

from ..core.bodies import EntryBody, ResetBody, decode_body
from ..core.doubt import Broken, Fits, Verdict, compare, start_for
from ..core.effects import Outgoing
from ..core.entries import AUTH_LINK, Kind, first_head, next_head, reset_entry
from ..core.messages import MAX_INTEGER, Holding
from ..storage.conversations import Stream
from ..storage.crash import Point, reach
from ..storage.entries import NewEntry, Place
from ..storage.peer_tables import PeerTables
from ..storage.vectors import Vector
from .ledger import Two, knowledge_of, new_stream, outgoing_of, vector_of
from .receipts import measure_waiting

SENT_AGAIN = "their history was reset; it is sent again"
LOST_THERE = "their database is new: they no longer have these"
RESET = "one of the two histories was reset"
ROLLED_BACK = "by what they have your history was reset: some of yours may be missing here, and its numbers come again"
"""They have, or may have, what we do not know of: none of the numbers that are here is in doubt."""
PARTED = "both histories were reset: they may lack these"

MOVED_AT_ONCE, MOVED_BYTES = 256, 1024 * 1024
"""Entries that are in memory while a stream is replaced."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What came of comparing."""

    own: list[Outgoing]
    delivered: list[tuple[int, int, int]]
    """What turns out to be delivered: (stream, first seq, last seq)."""
    doubts: list[tuple[int, int, str]]
    """(first, last, explanation) of our numbers; zeros where none is known."""
    until_told: list[tuple[int, int]]
    """Of these the ones that nobody has to decide about: they are remembered in case we end before we tell them."""
    repeated: bool
    """Whether nothing in it is new: what it tells was told, unless we ended before that."""
    unsent: int
    """Our messages that are not delivered."""
    unsent_bytes: int
    """About how many bytes those are."""


@dataclass(frozen=True, slots=True)
class _Review:
    """One of our streams beside the reader's word about it."""

    stream: Stream
    vector: Vector
    holding: Holding | None
    verdict: Verdict

    @property
    def current(self) -> bool:
        """Whether we still go on with it; a closed one was replaced before."""
        return self.stream.state == "current"

    @property
    def lacking(self) -> bool:
        """Whether the reader lacks anything of it that we have."""
        return self.verdict.seq < self.stream.seq

    @property
    def broken(self) -> bool:
        """Whether it cannot be gone on with, and the reader may lack some of it."""
        return isinstance(self.verdict, Broken) if self.current else self.lacking


def settle(
    tables: PeerTables,
    two: Two,
    store: bytes,
    holdings: Iterable[Holding],
    random: bytes,
    now: int,
    may_doubt: bool = True,
) -> Settlement | None:
    """
    Compare what the reader says with what we wrote, and act on it.

    `random` are 32 random bytes, for a stream and an entry that may have to be begun. Gives None, and changes nothing,
    if anything comes into doubt by it and that may not be now.
    """
    listed = {holding.stream: holding for holding in holdings}
    streams = [stream for stream in tables.streams.of_conversation(two.conversation) if stream.author == two.me]
    reviews = _review_all(tables, two, streams, listed, store)
    names = {stream.name for stream in streams}
    # Streams of ours that we never wrote: our own disk was lost or rolled back.
    unknown = [name for name in listed if name not in names]
    replacing = any(review.broken for review in reviews) or not _are_replaced(tables, reviews, unknown)
    lost = _lost_there(tables, two, streams, listed, store)
    ranges = [_range_in_doubt(tables, review) for review in reviews]
    parted = (_in_doubt(ranges, RESET) or [(0, 0, ROLLED_BACK)]) if replacing else _in_doubt(ranges, SENT_AGAIN)
    doubts = lost + parted
    if doubts and not may_doubt:
        return None
    repeated = bool(unknown) and not doubts
    if repeated:
        doubts = [(0, 0, ROLLED_BACK)]
    tables.doubts.remember(two.conversation, True, [(first, last) for first, last, _ in lost], now)
    delivered: list[tuple[int, int, int]] = []
    for review in reviews:
        if review.current and not review.broken:
            delivered += _accept(tables, two, review, store, now)
    if replacing:
        _replace(tables, two, store, reviews, unknown, random, now)
    told_once = [(first, last) for first, last, explanation in doubts if explanation != LOST_THERE]
    until_told = tables.doubts.remember(two.conversation, True, told_once, now)
    own = [
        outgoing_of(tables, stream, vector_of(tables, stream, two), store)
        for stream in tables.streams.of_conversation(two.conversation, current_only=True)
        if stream.author == two.me
    ]
    reach(Point.SETTLED_WRITTEN)
    return Settlement(own, delivered, doubts, until_told, repeated, *measure_waiting(tables, two))


def forget_told(tables: PeerTables, two: Two, ranges: Iterable[tuple[int, int]]) -> None:
    """What was remembered until it was told: it is sent again by itself, and nobody has to decide about it."""
    for first, last in ranges:
        tables.doubts.settle(two.conversation, True, first, last)


# --- comparing


def _review_all(
    tables: PeerTables, two: Two, streams: Sequence[Stream], listed: dict[bytes, Holding], store: bytes
) -> list[_Review]:
    """Those of our streams that matter on this link, the oldest first."""
    reviews: list[_Review] = []
    undone: set[bytes] = set()
    # A stream names in its first entries those that it replaced, which are older.
    for stream in reversed(streams):
        holding, vector = listed.get(stream.name), vector_of(tables, stream, two)
        if stream.state == "current":
            known = knowledge_of(tables, stream, vector)
            verdict = compare(known, holding, store, lambda seq, row=stream.stream: tables.entries.head_at(row, seq))  # type: ignore[misc]
            if not tables.entries.whole(stream.stream, verdict.seq + 1, known.confirmed_seq):
                # Some of what it lacks was deleted here, or stands elsewhere by now: the chain cannot be sent again.
                verdict = Broken(verdict.seq, verdict.head)
        elif holding is not None or (stream.name in undone and vector.store == store):
            verdict = _review_closed(tables, stream, vector, holding)
        else:
            continue
        undone |= _replaced_by(tables, stream.stream, verdict.seq)
        reviews.append(_Review(stream, vector, holding, verdict))
    return reviews[::-1]


def _are_replaced(tables: PeerTables, reviews: Sequence[_Review], unknown: Sequence[bytes]) -> bool:
    """Whether all of these streams that we never wrote are named in what the reader is sent anyway."""
    left = set(unknown)
    for review in reviews:
        if left and review.current:
            left -= _replaced_by(tables, review.stream.stream, review.verdict.seq)
    return not left


def _review_closed(tables: PeerTables, stream: Stream, vector: Vector, holding: Holding | None) -> Verdict:
    """
    A stream that we replaced, of which the reader never heard that, or no longer knows it.

    It ends here where both agreed; what lay beyond moved on to another stream.
    """
    if holding is None:
        first = max(stream.first, min(vector.first, stream.seq + 1))
        return Broken(first - 1, tables.entries.head_at(stream.stream, first - 1) or stream.base)
    if holding.seq >= stream.seq:
        return Fits(stream.seq, stream.head)
    if tables.entries.head_at(stream.stream, holding.seq) == holding.head:
        return Broken(holding.seq, holding.head)
    return Broken(stream.first - 1, stream.base)


def _replaced_by(tables: PeerTables, stream: int, seq: int) -> set[bytes]:
    """The streams whose `reset` stands in this one beyond `seq`."""
    names: set[bytes] = set()
    while page := tables.entries.load_range(stream, seq + 1, 16, MOVED_BYTES):
        for entry in page:
            if entry.kind != Kind.RESET or entry.bytes is None:
                return names
            names.add(decode_body(ResetBody, decode_body(EntryBody, entry.bytes).body).stream)
        seq = page[-1].seq
    return names


def _lost_there(
    tables: PeerTables, two: Two, streams: Sequence[Stream], listed: dict[bytes, Holding], store: bytes
) -> list[tuple[int, int, str]]:
    """If the reader has another database than before: what the old one had confirmed, which goes only on request."""
    lost = [
        (stream, vector)
        for stream in streams
        if (vector := vector_of(tables, stream, two)).store not in (None, store) and stream.name not in listed
    ]
    if all(stream.state == "closed" for stream, _ in lost):
        # It was told when that database was new.
        return []
    return _in_doubt(
        [tables.entries.numbered(stream.stream, vector.first, vector.seq) for stream, vector in lost], LOST_THERE
    )


def _range_in_doubt(tables: PeerTables, review: _Review) -> tuple[int, int, int]:
    """Of a stream, the messages that the reader may have lost: (how many, first, last)."""
    if review.broken:
        return tables.entries.numbered(review.stream.stream, review.verdict.seq + 1, MAX_INTEGER)
    if not review.current:
        return 0, 0, 0
    confirmed = knowledge_of(tables, review.stream, review.vector).confirmed_seq
    return tables.entries.numbered(review.stream.stream, review.verdict.seq + 1, confirmed)


def _in_doubt(ranges: Sequence[tuple[int, int, int]], explanation: str) -> list[tuple[int, int, str]]:
    """One doubt over ranges of (how many, first, last); none if nothing is in them."""
    found = [(first, last) for count, first, last in ranges if count]
    return [(min(found)[0], max(last for _, last in found), explanation)] if found else []


# --- going on


def _accept(tables: PeerTables, two: Two, review: _Review, store: bytes, now: int) -> list[tuple[int, int, int]]:
    """Go on with a stream after what the reader has of it; what turns out to be delivered."""
    stream, vector, verdict = review.stream, review.vector, review.verdict
    known = knowledge_of(tables, stream, vector)
    delivered: list[tuple[int, int, int]] = []
    if verdict.seq > known.confirmed_seq:
        delivered = [(stream.stream, known.confirmed_seq + 1, verdict.seq)]
        tables.progress.note(stream.stream, two.them, "delivered", verdict.seq, now)
    first = start_for(known, store)[0]
    if review.holding is not None:
        # It goes on after what it has, wherever that began and whichever of its databases confirmed more.
        first = max(stream.first, min(review.holding.first, verdict.seq + 1))
    tables.vectors.put(vector._replace(store=store, first=first, seq=verdict.seq, head=verdict.head))
    return delivered


# --- replacing


def replace_damaged(tables: PeerTables, two: Two, damaged: Container[int], random: bytes, now: int) -> None:
    """
    After a recovery: begin a stream that replaces those of ours in which something may be missing (by row).

    What is here of what the reader has not confirmed moves there; `random` are 32 random bytes.
    """
    streams = tables.streams.of_conversation(two.conversation, current_only=True)
    reviews = [_review_damaged(tables, two, stream, damaged) for stream in streams if stream.author == two.me]
    stores = [review.vector.store for review in reviews if review.vector.store is not None]
    _replace(tables, two, stores[-1] if stores else None, reviews, (), random, now)


def _review_damaged(tables: PeerTables, two: Two, stream: Stream, damaged: Container[int]) -> _Review:
    vector = vector_of(tables, stream, two)
    seq = max(vector.seq, vector.first - 1)
    head = vector.head if vector.head is not None and vector.seq == seq else tables.entries.head_at(stream.stream, seq)
    if stream.stream not in damaged and head is not None:
        return _Review(stream, vector, None, Fits(seq, head))
    # Without the head nobody can agree on a place: all that is here goes again, and is known there by its ids.
    verdict = Broken(stream.first - 1, stream.base) if head is None else Broken(seq, head)
    heard = vector.store is not None
    holding = Holding(stream=stream.name, first=1, base=stream.base, seq=verdict.seq, head=verdict.head)
    return _Review(stream, vector, holding if heard else None, verdict)


def _replace(
    tables: PeerTables,
    two: Two,
    store: bytes | None,
    reviews: Sequence[_Review],
    unknown: Sequence[bytes],
    random: bytes,
    now: int,
) -> None:
    """Begin a stream that replaces others; what the reader may lack of them moves there under its old ids."""
    moved = _to_move(reviews)
    new = new_stream(tables, two, random[:16])
    resets = [
        (review.stream.name, review.verdict.seq, review.verdict.head)
        for review in reviews
        if review.holding is not None and (review in moved or not review.current)
    ]
    resets += [(name, 0, first_head(name)) for name in unknown]
    seq, head = _write_resets(tables, two, new, resets, random[16:], now)
    left = 0
    for review in moved:
        seq, head, left = _move(tables, review, new.stream, seq, head, left)
    tables.streams.update(new.stream, seq, head)
    # What left over an older stream can be taken back no more than there.
    tables.vectors.put(Vector(new.stream, two.them, store, 1, 0, new.base, left, 0))


def _to_move(reviews: Sequence[_Review]) -> list[_Review]:
    """
    What moves: the broken ones; those with a rest that the reader did not list, since it may know them as replaced;
    and those with a rest that would now arrive before what is older.
    """
    moved: list[_Review] = []
    for review in reviews:
        if review.broken or (review.current and review.lacking and (review.holding is None or moved)):
            moved.append(review)
    return moved


def _write_resets(
    tables: PeerTables, two: Two, new: Stream, resets: Sequence[tuple[bytes, int, bytes]], random: bytes, now: int
) -> tuple[int, bytes]:
    """Begin the new stream with a `reset` for each (stream, seq, head) that it replaces; its end."""
    seq, head, lamport = 0, new.head, tables.conversations.get(two.conversation).lamport
    entries: list[NewEntry] = []
    for name, agreed, agreed_head in resets:
        entry_id = (int.from_bytes(random[:16], "big") ^ seq).to_bytes(16, "big")
        seq, lamport = seq + 1, lamport + 1
        data = reset_entry(name, agreed, agreed_head, id=entry_id, lamport=lamport, time=now)
        head = next_head(head, data)
        entries.append(NewEntry(seq, head, entry_id, 0, lamport, now, now, Kind.RESET, AUTH_LINK, False, data))
    tables.entries.append_many(new.stream, entries)
    tables.conversations.set_counts(two.conversation, 0, lamport)
    return seq, head


def _move(tables: PeerTables, review: _Review, target: int, seq: int, head: bytes, left: int) -> tuple[int, bytes, int]:
    """
    Move what the reader may lack of a stream behind (seq, head) of another one, and close it.

    The new end there, and up to where it may have left before.
    """
    stream, verdict = review.stream, review.verdict
    after = verdict.seq
    while page := tables.entries.load_range(stream.stream, after + 1, MOVED_AT_ONCE, MOVED_BYTES):
        places: list[Place] = []
        for entry in page:
            if entry.bytes is not None and entry.kind != Kind.RESET:
                seq, head = seq + 1, next_head(head, entry.bytes)
                places.append(Place(entry.entry, target, seq, head))
                left = seq if entry.seq <= review.vector.sent else left
        tables.entries.move(places)
        after = page[-1].seq
    tables.streams.set_state(stream.stream, "closed")
    tables.streams.update(stream.stream, verdict.seq, verdict.head)
    return seq, head, left
