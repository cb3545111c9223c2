"""
What comes from the far side, in one transaction: its entries, and its word about ours.

The other half of peer/ledger.py: functions over the tables, run inside an operation of the store.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from ..core.bodies import EntryBody, ResetBody, decode_body
from ..core.effects import Received
from ..core.entries import AUTH_LINK, Kind, RefusalCode, author_in, conversation_in, moved_by_all
from ..storage.conversations import Stream
from ..storage.crash import Point, reach
from ..storage.entries import NewEntry, StoredEntry
from ..storage.peer_tables import PeerTables
from ..storage.remembered import StoredDoubt, without
from ..storage.vectors import Vector
from .ledger import Two

WAITING_SHOWN = 20
"""Numbers that are named where somebody is told what waits."""

TEXT, RESET = Kind.TEXT.value, Kind.RESET.value
"""Kinds that every entry is compared with: members of an enum take their time to be looked up."""

PAGE_ENTRIES, PAGE_BYTES = 1024, 1 << 20
"""What is read at once to find numbers."""


class Stored(Struct, frozen=True, gc=False):
    """What became of one received entry."""

    received: Received
    stream: int
    """The row of its stream."""
    entry: int = 0
    """Its own row; 0 for what is not stored as an entry."""
    refusal: RefusalCode | None = None
    """Why it cannot be taken; of a `reset` that is stored all the same: its author takes too much for agreed."""
    duplicate: bool = False
    doubt: tuple[int, int] | None = None
    """The author's numbers that may be missing here, first and last; (0, 0) if none is known."""


class Taken(NamedTuple):
    """What became of entries that were received together."""

    stored: list[Stored]
    """Of each, in the order in which they came."""
    until_told: list[tuple[int, int]]
    """Author's numbers in doubt, remembered in case we end before we tell them: nobody has to decide about them."""


def store_received(tables: PeerTables, two: Two, batch: Sequence[Received], now: int) -> Taken:
    """Store entries in the order in which they came, and move their streams."""
    lamport = tables.conversations.get(two.conversation).lamport
    intake = _Intake(tables, two, _twins(tables, two, batch), now)
    intake.take(batch)
    taken = intake.finish()
    lamport = moved_by_all(
        lamport, [each.received.judged.lamport for each in taken.stored if each.refusal is None or each.entry]
    )
    texts = [each for each in taken.stored if each.entry and each.received.judged.kind == TEXT]
    tables.search.add((each.entry, each.received.judged.text) for each in texts)
    tables.conversations.set_counts(two.conversation, 0, lamport)
    reach(Point.RECEIVED_WRITTEN)
    return taken


def _twins(tables: PeerTables, two: Two, batch: Sequence[Received]) -> dict[bytes, bytes | None]:
    """The ids among those that came which are here already, with their bytes (None if those were deleted)."""
    return tables.entries.bodies(two.them, [each.judged.id for each in batch if each.judged.refusal is None])


class _Intake:
    """
    Entries on their way into the tables.

    Those that follow one another in a stream, and that nothing speaks against, are written together: the statements
    for one entry cost more than the entry, and each of them lets go of the interpreter, which the reactor then has.
    """

    def __init__(self, tables: PeerTables, two: Two, twins: dict[bytes, bytes | None], now: int) -> None:
        self._tables = tables
        self._two = two
        self._twins = twins
        self._now = now
        self._streams: dict[bytes, Stream] = {}
        self._run: list[Received] = []
        self._stored: list[Stored] = []
        self._until_told: list[tuple[int, int]] = []
        self._waiting: list[tuple[int, int]] = []
        """What was put in doubt and waits for a decision."""

    def take(self, batch: Sequence[Received]) -> None:
        """Store entries, now or with those that follow them."""
        run, twins = self._run, self._twins
        for received in batch:
            judged = received.judged
            follows = bool(run) and run[0].incoming is received.incoming
            if follows and judged.refusal is None and judged.kind != RESET and judged.id not in twins:
                twins[judged.id] = received.data
                run.append(received)
            else:
                self._begin(received)

    def _begin(self, received: Received) -> None:
        """Store an entry that does not just go on with the run: it begins another one, or is stored by itself."""
        self._write_run()
        judged = received.judged
        stream, missing = self._stream_of(received)
        strange = judged.refusal is not None or judged.kind == RESET or judged.id in self._twins
        if missing is None and not strange and stream.state == "current":
            self._twins[judged.id] = received.data
            self._run.append(received)
            return
        self._stored.append(self._store_alone(stream, received, missing))
        # It may have closed a stream.
        self._streams.clear()

    def finish(self) -> Taken:
        """What became of all of them."""
        self._write_run()
        return Taken(self._stored, without(self._until_told, self._waiting))

    def _stream_of(self, received: Received) -> tuple[Stream, tuple[int, int] | None]:
        """The row of a stream, made with its first entry; and what is not here, if it begins later."""
        incoming = received.incoming
        stream = self._streams.get(incoming.name) or self._tables.streams.by_name(incoming.name)
        missing = None
        if stream is None:
            author = author_in(incoming.name)
            stream = self._tables.streams.create(
                self._two.conversation, author, incoming.name, incoming.first, incoming.base
            )
            if incoming.first > 1:
                # What lies before went to a database of ours that is lost.
                missing = (1, received.judged.number - 1) if received.judged.number > 1 else (0, 0)
        self._streams[incoming.name] = stream
        return stream, missing

    def _write_run(self) -> None:
        run = self._run
        if not run:
            return
        stream = self._streams[run[0].incoming.name].stream
        last = self._tables.entries.append_many(stream, [_new_entry(each, self._now) for each in run])
        self._stored += [Stored(each, stream, entry) for entry, each in enumerate(run, last - len(run) + 1)]
        run.clear()

    def _store_alone(self, stream: Stream, received: Received, missing: tuple[int, int] | None) -> Stored:
        tables, two = self._tables, self._two
        result = self._store(stream, received)
        if missing and result.doubt is None:
            result = replace(result, doubt=missing)
            if missing[0]:
                self._waiting.append(missing)
                tables.doubts.put(StoredDoubt(two.conversation, False, *missing, self._now))
        if not result.entry:
            tables.streams.update(stream.stream, received.seq, received.head)
        if result.refusal is not None:
            tables.refusals.put(stream.stream, two.me, received.seq, result.refusal.value)
        return result

    def _store(self, stream: Stream, received: Received) -> Stored:
        judged = received.judged
        if judged.refusal is not None:
            return Stored(received, stream.stream, refusal=judged.refusal)
        if judged.id in self._twins:
            twin = self._twins[judged.id]
            same = twin is None or twin == received.data
            refusal = None if same else RefusalCode.CONFLICT
            return Stored(received, stream.stream, refusal=refusal, duplicate=same)
        if stream.state == "closed" and self._tables.entries.at(stream.stream, received.seq) is not None:
            # Its author was rolled back to before it replaced this stream, and writes here again.
            return Stored(received, stream.stream, refusal=RefusalCode.CONFLICT)
        entry = self._tables.entries.append(stream.stream, _new_entry(received, self._now))
        self._twins[judged.id] = received.data
        doubt, agreed = None, True
        if judged.kind == RESET and judged.reset is not None:
            doubt, agreed = _close_replaced(self._tables, self._two, judged.reset)
            if doubt is not None:
                doubts = self._tables.doubts
                self._until_told += doubts.remember(self._two.conversation, False, [doubt], self._now)
        return Stored(received, stream.stream, entry, None if agreed else RefusalCode.CONFLICT, doubt=doubt)


def _new_entry(received: Received, now: int) -> NewEntry:
    judged = received.judged
    return NewEntry(
        received.seq,
        received.head,
        judged.id,
        judged.number,
        judged.lamport,
        judged.time,
        now,
        judged.kind,
        AUTH_LINK,
        False,
        received.data,
    )


def _close_replaced(tables: PeerTables, two: Two, reset: ResetBody) -> tuple[tuple[int, int] | None, bool]:
    """
    The author began anew: the old stream is not compared any more.

    Which of its numbers are in doubt here, and whether what the author takes for agreed is ours.
    """
    if conversation_in(reset.stream) != two.wire or author_in(reset.stream) != two.them:
        return None, True
    old = tables.streams.by_name(reset.stream)
    if old is None:
        return (0, 0), True
    if old.state == "closed":
        return None, True
    tables.streams.set_state(old.stream, "closed")
    if (old.seq, old.head) == (reset.seq, reset.head):
        return None, True
    # If both sides were rolled back the chains may part before it.
    agreed = tables.entries.head_at(old.stream, reset.seq) in (None, reset.head)
    _, first, last = tables.entries.numbered(old.stream, reset.seq + 1 if agreed else old.first, old.seq)
    return (first, last), agreed


# --- the far side's word about our entries


def confirm(tables: PeerTables, two: Two, stream: int, store: bytes, seq: int, head: bytes, now: int) -> None:
    """The reader committed our entries up to `seq`."""
    vector = tables.vectors.get(stream, two.them)
    assert vector is not None
    tables.vectors.put(vector._replace(store=store, seq=seq, head=head))
    tables.progress.note(stream, two.them, "delivered", seq, now)
    reach(Point.CONFIRMED_WRITTEN)


def see(tables: PeerTables, two: Two, stream: int, seq: int, now: int) -> tuple[int, ...]:
    """
    Our entries up to `seq` were seen; the numbers of those that were not before.

    None of a stream that link-up found to be another one there, and replaced: what was seen are other entries.
    """
    vector = tables.vectors.get(stream, two.them)
    assert vector is not None
    if seq <= vector.seen or tables.streams.get(stream).state == "closed":
        return ()
    tables.vectors.put(vector._replace(seen=seq))
    tables.progress.note(stream, two.them, "seen", seq, now)
    reach(Point.SEEN_WRITTEN)
    return tuple(numbers_between(tables, two, stream, max(vector.seen, vector.first - 1) + 1, seq))


def numbers_between(tables: PeerTables, two: Two, stream: int, first: int, last: int) -> list[int]:
    """Our numbers at seqs `first` to `last`; what the reader refused is left out."""
    refused = {each.seq for each in tables.refusals.of_stream(stream) if each.reader == two.them}
    numbers: list[int] = []
    while first <= last:
        page = tables.entries.load_range(stream, first, min(PAGE_ENTRIES, last - first + 1), PAGE_BYTES)
        if not page:
            break
        numbers += [each.number for each in page if _told(each) and each.seq <= last and each.seq not in refused]
        first = page[-1].seq + 1
    return numbers


def _told(entry: StoredEntry) -> bool:
    """Whether it is a message: what was taken back keeps its number, and is none."""
    return bool(entry.number) and entry.kind != Kind.VOID


def numbers_delivered(tables: PeerTables, two: Two, ranges: Iterable[tuple[int, int, int]]) -> tuple[int, ...]:
    """Our numbers in ranges of (stream, first seq, last seq); what the reader refused is left out."""
    return tuple(number for each in ranges for number in numbers_between(tables, two, *each))


class Noted(NamedTuple):
    """What a new refusal means."""

    number: int
    """Of the message that is not delivered; 0 if it is none."""
    waited: bool
    """Whether it was waiting."""
    doubt: tuple[int, int] | None = None
    """Our numbers, first and last, that the reader may lack without our knowing."""


def note_refusal(tables: PeerTables, two: Two, stream: int, seq: int, code: str, now: int) -> Noted | None:
    """
    The reader cannot take an entry of ours; None if the refusal was known.

    It does not wait any more if it counted as delivered: what is repeated at link-up comes after the holdings.
    """
    if not tables.refusals.put(stream, two.them, seq, code):
        return None
    entry, vector = tables.entries.at(stream, seq), tables.vectors.get(stream, two.them)
    if entry is None or vector is None:
        return None
    if entry.kind == RESET:
        return Noted(0, False, _parted(tables, two, entry, now))
    return Noted(entry.number, seq > vector.seq) if entry.number else None


def _parted(tables: PeerTables, two: Two, entry: StoredEntry, now: int) -> tuple[int, int] | None:
    """The reader is not where a `reset` of ours says that both agree: of what lies before it may lack anything."""
    if entry.bytes is None:
        return None
    reset = decode_body(ResetBody, decode_body(EntryBody, entry.bytes).body)
    old = tables.streams.by_name(reset.stream)
    vector = None if old is None else tables.vectors.get(old.stream, two.them)
    if old is None or vector is None:
        return None
    count, first, last = tables.entries.numbered(old.stream, vector.first, reset.seq)
    if not count:
        return None
    tables.doubts.put(StoredDoubt(two.conversation, True, first, last, now))
    return first, last


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
    if found is None or found.author != two.them or found.conversation != two.conversation or found.history:
        return None
    stream = tables.streams.get(found.stream)
    vector = _own_vector(tables, two, stream)
    if found.seq <= vector.seen:
        return None
    tables.vectors.put(vector._replace(seen=found.seq))
    if stream.state == "current":
        _see_closed(tables, two)
    return stream.name, found.seq


def _see_closed(tables: PeerTables, two: Two) -> None:
    """All that stands in streams that the far side has given up came before what is in its current one."""
    for stream in tables.streams.of_conversation(two.conversation):
        if stream.author == two.them and stream.state == "closed":
            vector = _own_vector(tables, two, stream)
            if vector.seen < stream.seq:
                tables.vectors.put(vector._replace(seen=stream.seq))


def _own_vector(tables: PeerTables, two: Two, stream: Stream) -> Vector:
    """How far we are in a stream of the far side."""
    vector = tables.vectors.get(stream.stream, two.me)
    return vector or Vector(stream.stream, two.me, None, stream.first, stream.first - 1, stream.base, 0, 0)


def waiting(tables: PeerTables, two: Two) -> tuple[tuple[int, ...], int]:
    """Our messages that are not delivered: the first few numbers, and how many in all."""
    numbers: list[int] = []
    for stream, confirmed in _own(tables, two):
        if len(numbers) >= WAITING_SHOWN:
            break
        after = min(stream.seq, confirmed + 2 * WAITING_SHOWN)
        numbers += numbers_between(tables, two, stream.stream, confirmed + 1, after)
    return tuple(numbers[:WAITING_SHOWN]), count_waiting(tables, two)


def count_waiting(tables: PeerTables, two: Two) -> int:
    """How many of our messages are not delivered."""
    return sum(
        tables.entries.numbered(stream.stream, confirmed + 1, stream.seq)[0]
        - tables.refusals.count_after(stream.stream, two.them, confirmed)
        for stream, confirmed in _own(tables, two)
    )


def measure_waiting(tables: PeerTables, two: Two) -> tuple[int, int]:
    """How many of our messages are not delivered, and about how many bytes those are: refused ones are in them."""
    size = sum(tables.entries.size(stream.stream, confirmed + 1, stream.seq) for stream, confirmed in _own(tables, two))
    return count_waiting(tables, two), size


def _own(tables: PeerTables, two: Two) -> list[tuple[Stream, int]]:
    """Our streams that we go on with, and up to where each is delivered."""
    found: list[tuple[Stream, int]] = []
    for stream in tables.streams.of_conversation(two.conversation, current_only=True):
        if stream.author == two.me:
            vector = tables.vectors.get(stream.stream, two.them)
            found.append((stream, stream.first - 1 if vector is None else max(vector.seq, vector.first - 1)))
    return found
