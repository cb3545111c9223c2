"""What a conversation's tables do when we write, load and list (docs/protocol.md, sections 9 and 10)."""

from collections.abc import Callable
from typing import TypeVar

import apsw
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.effects import Batch, Outgoing, Written
from p2pchat.core.entries import LAMPORT_LEAP, first_head, judge, next_head
from p2pchat.core.window import NO_ROOM, Room
from p2pchat.peer import ledger, receipts
from p2pchat.peer.ledger import Draft
from p2pchat.storage.peer_tables import PeerTables

from .conversations import World
from .examples import BOB, WALL

ResultT = TypeVar("ResultT")

STORE, OTHER_STORE = b"s" * 16, b"o" * 16


class LedgerTestCase(SynchronousTestCase):
    """Alice's store, used directly: her conversation with Bob."""

    def setUp(self) -> None:
        self.world = World()
        self.addCleanup(self.world.close)
        self.two = self.world.alice.two
        self._drafts = 0

    def do(self, operation: Callable[[PeerTables], ResultT]) -> ResultT:
        """Commit an operation."""
        return self.world.alice.transact(operation)

    @property
    def tables(self) -> PeerTables:
        """To look at."""
        return self.world.alice.tables

    def write(
        self, count: int = 1, stream: bytes = b"r" * 16, room: Room = NO_ROOM, behind: bytes = b""
    ) -> tuple[Outgoing, list[Written]]:
        """Write messages called by their running count."""
        drafts = []
        for _ in range(count):
            self._drafts += 1
            drafts.append(Draft(f"message {self._drafts}", self._drafts.to_bytes(16, "big"), WALL))
        return self.do(lambda tables: ledger.append_texts(tables, self.two, drafts, stream, room, behind))

    def confirm(self, seq: int, store: bytes = STORE) -> None:
        """Bob committed our current stream up to `seq`."""
        row = self.tables.streams.current(self.two.conversation, self.two.me)
        assert row is not None
        head = self.tables.entries.head_at(row.stream, seq)
        assert head is not None
        self.do(lambda tables: receipts.confirm(tables, self.two, row.stream, store, seq, head, WALL))


class WritingTests(LedgerTestCase):
    def test_first(self) -> None:
        """The first message begins a stream with the random name that it was given."""
        outgoing, written = self.write()
        self.assertEqual(outgoing.name, self.two.wire + self.two.me + b"r" * 16)
        self.assertEqual((outgoing.listed.first, outgoing.listed.base), (1, first_head(outgoing.name)))
        self.assertEqual(
            (outgoing.last_seq, outgoing.next_seq, outgoing.confirmed_seq, outgoing.sent_mark), (1, 1, 0, 0)
        )
        self.assertEqual([(each.seq, each.number) for each in written], [(1, 1)])

    def test_chain(self) -> None:
        """Entries hang together by their heads, also over transactions; number and lamport go on."""
        outgoing, first = self.write(3)
        again, second = self.write(2, stream=b"never used" + bytes(6))
        self.assertEqual(again.name, outgoing.name)
        head = first_head(outgoing.name)
        for place, each in enumerate([*first, *second], 1):
            head = next_head(head, each.data)
            judged = judge(each.data)
            self.assertEqual((each.seq, each.number, each.head), (place, place, head))
            self.assertEqual((judged.number, judged.lamport, judged.text), (place, place, f"message {place}"))

    def test_over_streams(self) -> None:
        """The number and the lamport of a message go on in a new stream, the seq does not."""
        outgoing, _ = self.write(2)
        self.do(lambda tables: tables.streams.set_state(outgoing.stream, "closed"))
        other, written = self.write(1, stream=b"n" * 16)
        self.assertNotEqual(other.name, outgoing.name)
        self.assertEqual((written[0].seq, written[0].number, judge(written[0].data).lamport), (1, 3, 3))

    def test_lamport_goes_beyond_what_was_received(self) -> None:
        """A message has a greater lamport than all that was seen here before."""
        self.do(lambda tables: tables.conversations.set_counts(self.two.conversation, 0, LAMPORT_LEAP))
        _, (written,) = self.write()
        self.assertEqual(judge(written.data).lamport, LAMPORT_LEAP + 1)

    def test_sent_mark(self) -> None:
        """What leaves at once is marked as sent with its own commit; what waits is not."""
        self.assertEqual(self.write(2)[0].sent_mark, 0)
        outgoing, _ = self.write(2, room=Room(2, 1 << 20))
        self.assertEqual(outgoing.sent_mark, 4)
        self.assertEqual(self.write(1)[0].sent_mark, 4)
        vector = self.tables.vectors.get(outgoing.stream, BOB.id)
        assert vector is not None
        self.assertEqual(vector.sent, 4)

    def test_sent_mark_as_far_as_there_is_room(self) -> None:
        """What goes beyond the window, in entries or in bytes, is not marked."""
        self.assertEqual(self.write(3, room=Room(2, 1 << 20))[0].sent_mark, 2)
        size = len(self.write(1)[1][0].data)
        self.assertEqual(self.write(3, room=Room(9, 2 * size))[0].sent_mark, 6)
        self.assertEqual(self.write(3, room=Room(9, size - 1))[0].sent_mark, 6)

    def test_sent_mark_behind_what_waits(self) -> None:
        """What waits in the memory is marked with what follows it, unless something else stands there by now."""
        room = Room(9, 1 << 20)
        _, waiting = self.write(2)
        self.assertEqual(self.write(1, room=room, behind=waiting[-1].head)[0].sent_mark, 3)
        self.assertEqual(self.write(1, room=room, behind=waiting[-1].head)[0].sent_mark, 3)

    def test_nothing_of_a_failed_batch(self) -> None:
        """A batch with an id that is there already is not written at all, and uses no number up."""
        self.write()
        self._drafts = 0
        with self.assertRaises(apsw.ConstraintError):
            self.write(2)
        self._drafts = 9
        self.assertEqual(self.write()[1][0].number, 2)


class LoadingTests(LedgerTestCase):
    def load(self, from_seq: int, entries: int = 256, size: int = 1 << 18) -> list[int]:
        outgoing = self.outgoing
        batch = Batch(outgoing, from_seq, entries, size)
        return [each.seq for each in self.do(lambda tables: ledger.load_batch(tables, self.two, batch))]

    def mark(self) -> int:
        vector = self.tables.vectors.get(self.outgoing.stream, BOB.id)
        return 0 if vector is None else vector.sent

    def setUp(self) -> None:
        super().setUp()
        self.outgoing, self.written = self.write(6)

    def test_range(self) -> None:
        """A batch has what was asked for, and its sent-up-to mark is committed with it."""
        self.assertEqual(self.load(2, 3), [2, 3, 4])
        self.assertEqual(self.mark(), 4)
        self.assertEqual(self.load(1, 1), [1])
        self.assertEqual(self.mark(), 4)

    def test_kept(self) -> None:
        """What is still in the memory is marked and not read; if the disk has something else it is read."""
        kept = self.written[1:3]
        batch = Batch(self.outgoing, 2, 256, 1 << 18)
        self.assertEqual(self.do(lambda tables: ledger.load_batch(tables, self.two, batch, kept)), kept)
        self.assertEqual(self.mark(), 3)
        other = [*kept[:1], Written(3, b"h" * 32, 3, b"taken back")]
        loaded = self.do(lambda tables: ledger.load_batch(tables, self.two, batch, other))
        self.assertEqual(loaded, self.written[1:])
        self.assertEqual(self.mark(), 6)

    def test_bytes(self) -> None:
        """A batch is as large as was asked, but has one entry whatever its size."""
        size = len(self.written[0].data)
        self.assertEqual(self.load(1, size=size + 1), [1])
        self.assertEqual(self.load(1, size=2 * size), [1, 2])
        self.assertEqual(self.load(1, size=1), [1])

    def test_gap(self) -> None:
        """Nothing beyond a gap is sent: neither what was deleted nor what follows it; the mark stays before it."""
        row = self.tables.entries.at(self.outgoing.stream, 3)
        assert row is not None
        self.do(lambda tables: tables.entries.erase([row.entry]))
        self.assertEqual(self.load(1), [1, 2])
        self.assertEqual((self.load(3), self.mark()), ([], 2))
        self.assertEqual(self.load(99), [])

    def test_history(self) -> None:
        """Older entries are given without a mark, without what was deleted, and never beyond what is confirmed."""
        self.confirm(4)
        row = self.tables.entries.at(self.outgoing.stream, 2)
        assert row is not None
        self.do(lambda tables: tables.entries.erase([row.entry]))

        def ask(first: int, count: int) -> list[int]:
            batch = Batch(self.outgoing, first, count, 1 << 18, True, first + count - 1)
            return [seq for seq, _ in self.do(lambda tables: ledger.load_history(tables, self.two, batch))]

        self.assertEqual(ask(1, 3), [1, 3])
        self.assertEqual(ask(2, 1), [])
        self.assertEqual(ask(3, 99), [3, 4])
        self.assertEqual(ask(5, 99), [])
        self.assertEqual(self.mark(), 0)
        self.do(lambda tables: tables.streams.set_state(self.outgoing.stream, "closed"))
        self.assertEqual(ask(1, 3), [], "the reader may know a stream that was replaced as another one")


class ListingTests(LedgerTestCase):
    def listed(self, store: bytes = STORE) -> tuple[int, int, int]:
        """(first, seq, what is sent next) of the only stream."""
        (outgoing,) = self.do(lambda tables: ledger.open_link(tables, self.two, store)).own
        self.assertEqual(outgoing.listed.base, self.tables.entries.head_at(outgoing.stream, outgoing.listed.first - 1))
        return outgoing.listed.first, outgoing.listed.seq, outgoing.next_seq

    def test_nothing(self) -> None:
        """Somebody with whom nothing was said has nothing to list."""
        opening = self.do(lambda tables: ledger.open_link(tables, self.two, STORE))
        self.assertEqual((opening.own, opening.theirs, opening.refusals), ([], [], []))

    def test_never_linked(self) -> None:
        """A reader of whom nothing was heard is given everything."""
        self.write(5)
        self.assertEqual(self.listed(), (1, 5, 1))

    def test_same_store(self) -> None:
        """A reader with the database that confirmed is given the rest."""
        self.write(5)
        self.confirm(3)
        self.assertEqual(self.listed(), (1, 5, 4))

    def test_new_store(self) -> None:
        """For a reader with another database our stream begins after what the old one had confirmed."""
        self.write(5)
        self.confirm(3)
        self.assertEqual(self.listed(OTHER_STORE), (4, 5, 4))
        self.confirm(5)
        self.assertEqual(self.listed(OTHER_STORE), (6, 5, 6))

    def test_closed_streams_are_not_listed(self) -> None:
        """What was replaced is not listed by its author."""
        outgoing, _ = self.write(2)
        self.do(lambda tables: tables.streams.set_state(outgoing.stream, "closed"))
        self.assertEqual(self.do(lambda tables: ledger.open_link(tables, self.two, STORE)).own, [])

    def test_processed(self) -> None:
        """An author lists up to where it has committed its reader's refusals."""
        outgoing, _ = self.write(3)
        self.assertIsNone(outgoing.listed.processed)

        def refuse(seq: int) -> None:
            self.do(lambda tables: receipts.note_refusal(tables, self.two, outgoing.stream, seq, "conflict", WALL))

        for seq in (1, 3):
            refuse(seq)
        (listed,) = self.do(lambda tables: ledger.open_link(tables, self.two, STORE)).own
        self.assertEqual(listed.listed.processed, 3)
