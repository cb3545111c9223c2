"""What comes from the far side, and its word about ours, in one transaction each (docs/protocol.md, section 10)."""

from p2pchat.core.delivery import Exchange
from p2pchat.core.effects import Incoming, Received
from p2pchat.core.entries import (
    LAMPORT_LEAP,
    RefusalCode,
    first_head,
    judge,
    next_head,
    reset_entry,
    stream_name,
    text_entry,
    void_entry,
)
from p2pchat.core.messages import MAX_ENTRY, Holding
from p2pchat.peer import ledger, receipts
from p2pchat.peer.receipts import Stored, Taken
from p2pchat.peer.settlement import settle
from p2pchat.storage.remembered import StoredDoubt

from .examples import BOB, WALL
from .test_ledger import STORE, LedgerTestCase

NOISE = b"\xc1 no entry"


class Author:
    """Bob, as far as he writes into one stream."""

    def __init__(self, wire: bytes, random: bytes = b"1" * 16, first: int = 1, base: bytes | None = None) -> None:
        self.name = stream_name(wire, BOB.id, random)
        base = base or first_head(self.name)
        self.incoming = Incoming(None, self.name, first, base, first - 1, base)

    def entry(self, data: bytes) -> Received:
        """The next place of the stream."""
        incoming = self.incoming
        incoming.seq, incoming.head = incoming.seq + 1, next_head(incoming.head, data)
        return Received(incoming, incoming.seq, incoming.head, data, judge(data))

    def text(self, number: int, text: str = "hello", *, id: bytes | None = None, lamport: int = 1) -> Received:
        """A message."""
        return self.entry(
            text_entry(text, id=id or number.to_bytes(16, "big"), number=number, lamport=lamport, time=WALL)
        )

    def reset(self, old: bytes, seq: int, head: bytes, id: bytes = b"reset-reset-rese") -> Received:
        """The first entry of a stream that replaces another."""
        return self.entry(reset_entry(old, seq, head, id=id, lamport=1, time=WALL))


class ReceiptsTestCase(LedgerTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.author = Author(self.two.wire)

    def store(self, *batch: Received) -> list[Stored]:
        """Commit what came."""
        return self.take(*batch).stored

    def take(self, *batch: Received) -> Taken:
        """The same, with what is to be told."""
        return self.do(lambda tables: receipts.store_received(tables, self.two, batch, WALL + 5))

    def doubts(self) -> list[tuple[int, int]]:
        """Bob's numbers in doubt, as they are remembered."""
        return [(doubt.first, doubt.last) for doubt in self.tables.doubts.all()]

    def numbers(self) -> list[int]:
        """Bob's messages here, in order of arrival."""
        return [entry.number for entry in self.world.alice.received()]

    def held(self, author: Author | None = None) -> tuple[int, bytes]:
        """Up to where a stream is on the disk."""
        row = self.tables.streams.by_name((author or self.author).name)
        assert row is not None
        return row.seq, row.head

    def refusals(self) -> list[tuple[bytes, int, str]]:
        """What link-up repeats."""
        return self.do(lambda tables: ledger.open_link(tables, self.two, STORE)).refusals


class StoringTests(ReceiptsTestCase):
    def test_in_order(self) -> None:
        """What came is stored as its author encoded it, in the order in which it came, and the stream's end with it."""
        batch = [self.author.text(number) for number in (1, 2, 3)]
        stored = self.store(*batch)
        self.assertEqual(self.numbers(), [1, 2, 3])
        self.assertEqual([(each.refusal, each.duplicate, each.doubt) for each in stored], [(None, False, None)] * 3)
        rows = self.world.alice.received()
        self.assertEqual([row.bytes for row in rows], [each.data for each in batch])
        self.assertEqual([row.entry for row in rows], [each.entry for each in stored])
        self.assertEqual(self.held(), (3, batch[2].head))
        self.assertEqual({(row.author, row.arrived_at, row.written_at) for row in rows}, {(BOB.id, WALL + 5, WALL)})

    def test_lamport(self) -> None:
        """Our own lamport follows what came, but not a leap that could only exhaust it."""
        for lamport, own in ((7, 7), (3, 7), (7 + LAMPORT_LEAP + 1, 7), (7 + LAMPORT_LEAP, 7 + LAMPORT_LEAP)):
            self.store(self.author.text(self.author.incoming.seq + 1, lamport=lamport))
            self.assertEqual(self.tables.conversations.get(self.two.conversation).lamport, own)

    def test_duplicate(self) -> None:
        """An entry with a known id and equal bytes is acknowledged, takes its place, and is not stored again."""
        first = self.author.text(1)
        self.store(first)
        (again,) = self.store(self.author.entry(first.data))
        self.assertEqual((again.duplicate, again.refusal, again.entry), (True, None, 0))
        self.assertEqual((self.numbers(), self.held()[0]), ([1], 2))

    def test_duplicate_within_a_batch(self) -> None:
        """The same holds for two in one batch, and in two streams."""
        first, other = self.author.text(1), Author(self.two.wire, b"2" * 16)
        stored = self.store(first, self.author.entry(first.data), other.entry(first.data))
        self.assertEqual([each.duplicate for each in stored], [False, True, True])
        self.assertEqual((self.numbers(), self.held(other)[0]), ([1], 1))

    def test_P12_same_id_with_another_body(self) -> None:
        """An entry with a known id and other bytes is refused, and the one that is there stays."""
        self.store(self.author.text(1, "hello"))
        (second,) = self.store(self.author.text(1, "HELLO"))
        self.assertEqual((second.refusal, second.entry), (RefusalCode.CONFLICT, 0))
        self.assertEqual(self.refusals(), [(self.author.name, 2, "conflict")])
        self.assertEqual([judge(row.bytes or b"").text for row in self.world.alice.received()], ["hello"])

    def test_deleted_does_not_come_back(self) -> None:
        """What was deleted here is known by its id, whatever bytes come under it."""
        self.store(self.author.text(1, "hello"))
        self.do(lambda tables: tables.entries.erase([self.world.alice.received()[0].entry]))
        (again,) = self.store(self.author.text(1, "other"))
        self.assertTrue(again.duplicate)

    def test_our_own_ids(self) -> None:
        """An id that we gave to a message of ours is free for others."""
        self.write(1)
        self.store(self.author.text(1, id=(1).to_bytes(16, "big")))
        self.assertEqual(self.numbers(), [1])

    def test_undecodable(self) -> None:
        """What cannot be read takes its place in the chain, and is refused; what follows it is stored."""
        noise, large = self.author.entry(NOISE), self.author.entry(bytes(MAX_ENTRY + 1))
        stored = self.store(noise, large, self.author.text(1))
        self.assertEqual([each.refusal for each in stored], [RefusalCode.MALFORMED, RefusalCode.TOO_BIG, None])
        self.assertEqual((self.numbers(), self.held()[0]), ([1], 3))
        self.assertEqual(self.refusals(), [(self.author.name, 1, "malformed"), (self.author.name, 2, "too-big")])

    def test_chain_over_restarts(self) -> None:
        """After a restart the stream goes on where the disk says."""
        self.store(self.author.text(1), self.author.entry(NOISE))
        (incoming,) = self.do(lambda tables: ledger.open_link(tables, self.two, STORE)).theirs
        self.assertEqual((incoming.seq, incoming.head), (2, self.author.incoming.head))
        self.assertEqual((incoming.first, incoming.base), (1, first_head(self.author.name)))

    def test_unknown_kind(self) -> None:
        """What a newer version says is kept."""
        data = void_entry(id=b"v" * 16, number=1, lamport=1, time=WALL).replace(b"void", b"newl")
        (stored,) = self.store(self.author.entry(data))
        self.assertNotEqual(stored.entry, 0)

    def test_stream_that_begins_later(self) -> None:
        """Where a stream begins after what a lost database of ours held, the person is told what is not here, once."""
        author = Author(self.two.wire, first=41, base=b"b" * 32)
        first, second = self.store(author.text(38), author.text(39))
        self.assertEqual((first.doubt, second.doubt), ((1, 37), None))
        self.assertEqual(self.numbers(), [38, 39])

    def test_exchange_goes_on_after_what_is_stored(self) -> None:
        """What is stored is what the next link lists."""
        self.store(self.author.text(1))
        opening = self.do(lambda tables: ledger.open_link(tables, self.two, STORE))
        ((holding,),) = [
            have.streams for have in Exchange(self.two.me, self.two.them, opening.own, opening.theirs).opening()
        ]
        self.assertEqual((holding.seq, holding.head), self.held())


class ResetTests(ReceiptsTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.batch = [self.author.text(number) for number in (1, 2, 3)]
        self.store(*self.batch)
        self.new = Author(self.two.wire, b"2" * 16)

    def streams(self) -> list[bytes]:
        """What link-up lists of Bob's streams."""
        return [incoming.name for incoming in self.do(lambda tables: ledger.open_link(tables, self.two, STORE)).theirs]

    def test_reset(self) -> None:
        """A reset closes the stream that it names, and tells the range in doubt; what moved is no second message."""
        reset = self.new.reset(self.author.name, 1, self.batch[0].head)
        stored = self.store(reset, self.new.entry(self.batch[1].data), self.new.text(2, id=b"another-two-here"))
        self.assertEqual([each.doubt for each in stored], [(2, 3), None, None])
        self.assertEqual([each.duplicate for each in stored], [False, True, False])
        self.assertEqual((self.numbers(), self.streams()), ([1, 2, 3, 2], [self.new.name]))

    def test_nothing_in_doubt(self) -> None:
        """A reset that agrees with all that is here is told to nobody."""
        (stored,) = self.store(self.new.reset(self.author.name, 3, self.batch[2].head))
        self.assertEqual((stored.doubt, self.streams()), (None, [self.new.name]))

    def test_chains_that_part_before_the_place_that_is_named(self) -> None:
        """Where a reset names a place that is not on our chain, both sides were rolled back: all of it is in doubt."""
        (stored,) = self.store(self.new.reset(self.author.name, 2, b"h" * 32))
        self.assertEqual((stored.doubt, self.streams()), ((1, 3), [self.new.name]))
        self.assertEqual((stored.refusal, self.refusals()), (RefusalCode.CONFLICT, [(self.new.name, 1, "conflict")]))

    def test_told_once(self) -> None:
        """A stream is replaced once: who says it again tells nobody anything."""
        first = self.new.reset(self.author.name, 1, self.batch[0].head)
        second = self.new.reset(self.author.name, 0, self.batch[0].head, id=b"r" * 16)
        self.assertEqual([each.doubt for each in self.store(first, second)], [(2, 3), None])

    def test_until_told(self) -> None:
        """What a reset leaves in doubt is remembered until it is told, and not what waited for a decision before."""
        taken = self.take(self.new.reset(self.author.name, 1, self.batch[0].head))
        self.assertEqual((taken.until_told, self.doubts()), ([(2, 3)], [(2, 3)]))

    def test_until_told_beside_what_waits(self) -> None:
        """What waited before, or waits because of what came together with the reset, is not forgotten with it."""
        self.tables.doubts.put(StoredDoubt(self.two.conversation, False, 3, 3, WALL))
        late = Author(self.two.wire, b"3" * 16, 10, b"h" * 32)
        taken = self.take(self.new.reset(self.author.name, 0, self.author.incoming.base), late.text(2, id=b"i" * 16))
        self.assertEqual([each.doubt for each in taken.stored], [(1, 3), (1, 1)])
        self.assertEqual((taken.until_told, self.doubts()), ([(2, 2)], [(1, 3)]))

    def test_until_told_of_two_that_overlap(self) -> None:
        """Of two resets that came together everything is forgotten once it is told."""
        newer = Author(self.two.wire, b"3" * 16)
        texts = [self.new.text(number, id=bytes([number] * 16)) for number in (2, 3, 4)]
        first = self.new.entry(reset_entry(self.author.name, 1, self.batch[0].head, id=b"r" * 16, lamport=1, time=WALL))
        taken = self.take(*texts, first, newer.reset(self.new.name, 0, self.new.incoming.base))
        ranges = {number for begin, end in taken.until_told for number in range(begin, end + 1)}
        self.assertEqual((ranges, self.doubts()), ({2, 3, 4}, [(2, 4)]))

    def test_of_a_stream_that_is_not_here(self) -> None:
        """A reset of a stream that is not here is told without numbers."""
        (stored,) = self.store(self.new.reset(stream_name(self.two.wire, BOB.id, b"9" * 16), 4, b"h" * 32))
        self.assertEqual(stored.doubt, (0, 0))

    def test_P13_of_others(self) -> None:
        """A reset closes only streams of its author in this conversation."""
        outgoing, _ = self.write(1)
        mine = self.new.reset(outgoing.name, 0, b"h" * 32)
        elsewhere = self.new.reset(b"w" * 32 + BOB.id + b"1" * 16, 0, b"h" * 32, id=b"e" * 16)
        self.assertEqual([each.doubt for each in self.store(mine, elsewhere)], [None, None])
        self.assertEqual(len(self.do(lambda tables: ledger.open_link(tables, self.two, STORE)).own), 1)
        self.assertIn(self.author.name, self.streams())

    def test_refusals_of_a_replaced_stream(self) -> None:
        """What was refused in a stream that was replaced is repeated no more."""
        self.store(self.author.entry(NOISE))
        self.assertEqual(len(self.refusals()), 1)
        self.store(self.new.reset(self.author.name, 3, self.batch[2].head))
        self.assertEqual(self.refusals(), [])

    def test_author_writes_on_in_a_replaced_stream(self) -> None:
        """Where an author that was rolled back writes again in a replaced stream, what does not fit is refused."""
        self.store(self.new.reset(self.author.name, 3, self.batch[2].head))
        again = Author(self.two.wire)
        stored = self.store(
            again.entry(self.batch[0].data), again.text(2, id=b"another-two-here"), again.text(9), again.text(10)
        )
        self.assertEqual([each.duplicate for each in stored], [True, False, False, False])
        self.assertEqual([each.refusal for each in stored], [None, RefusalCode.CONFLICT, RefusalCode.CONFLICT, None])


class WordTests(ReceiptsTestCase):
    """Their word about ours."""

    def setUp(self) -> None:
        super().setUp()
        self.outgoing, _ = self.write(6)

    def waiting(self) -> tuple[tuple[int, ...], int]:
        return self.do(lambda tables: receipts.waiting(tables, self.two))

    def see(self, seq: int) -> tuple[int, ...]:
        return self.do(lambda tables: receipts.see(tables, self.two, self.outgoing.stream, seq, WALL))

    def refuse(self, seq: int) -> tuple[int, bool] | None:
        stream = self.outgoing.stream
        noted = self.do(lambda tables: receipts.note_refusal(tables, self.two, stream, seq, "conflict", WALL))
        return None if noted is None else (noted.number, noted.waited)

    def test_confirm(self) -> None:
        """What was confirmed waits no more, and when it was is kept."""
        self.assertEqual(self.waiting(), ((1, 2, 3, 4, 5, 6), 6))
        self.confirm(4)
        self.assertEqual(self.waiting(), ((5, 6), 2))
        when = self.tables.progress.when
        self.assertEqual(when(self.outgoing.stream, BOB.id, "delivered", 3), WALL)
        self.assertIsNone(when(self.outgoing.stream, BOB.id, "delivered", 5))

    def test_seen(self) -> None:
        """Seen tells the numbers that were not seen before, each once."""
        self.confirm(6)
        self.assertEqual([self.see(seq) for seq in (2, 2, 1, 5)], [(1, 2), (), (), (3, 4, 5)])

    def test_seen_of_a_replaced_stream(self) -> None:
        """What was seen of a stream that link-up has replaced are other entries."""
        self.confirm(6)
        self.do(lambda tables: tables.streams.set_state(self.outgoing.stream, "closed"))
        self.assertEqual(self.see(3), ())

    def test_much_seen_at_once(self) -> None:
        """All of them are told, however many pages they fill."""
        self.write(2_500)
        self.confirm(2_506)
        self.assertEqual(self.see(2_506), tuple(range(1, 2_507)))

    def test_refused(self) -> None:
        """A refusal is noted once; what was refused waits no more, and is neither delivered nor seen."""
        self.assertEqual((self.refuse(2), self.refuse(2)), ((2, True), None))
        self.assertEqual(self.waiting(), ((1, 3, 4, 5, 6), 5))
        self.confirm(4)
        self.assertEqual(self.waiting(), ((5, 6), 2))
        self.assertEqual(self.see(3), (1, 3))
        ranges = [(self.outgoing.stream, 1, 4)]
        self.assertEqual(self.do(lambda tables: receipts.numbers_delivered(tables, self.two, ranges)), (1, 3, 4))

    def test_refused_after_it_was_confirmed(self) -> None:
        """A refusal that comes after the holding that covers it did not wait."""
        self.confirm(4)
        self.assertEqual((self.refuse(2), self.refuse(6)), ((2, False), (6, True)))
        self.assertEqual(self.waiting(), ((5,), 1))

    def test_refused_of_nothing(self) -> None:
        """A refusal of a place where nothing is tells nobody anything."""
        self.assertIsNone(self.refuse(99))

    def test_many_wait(self) -> None:
        """Only the first are named; all are counted."""
        self.write(3_000)
        self.confirm(3)
        self.assertEqual(self.waiting(), (tuple(range(4, 24)), 3_003))

    def test_resets_are_no_messages(self) -> None:
        """What is no message is not counted among those that wait."""
        listed = Holding(stream=self.outgoing.name, first=1, base=self.outgoing.listed.base, seq=6, head=b"x" * 32)
        settled = self.do(lambda tables: settle(tables, self.two, STORE, [listed], bytes(32), WALL))
        assert settled is not None
        self.assertEqual((settled.unsent, self.waiting()), (6, ((1, 2, 3, 4, 5, 6), 6)))

    def test_processed(self) -> None:
        """Refusals up to what their author processed are repeated no more."""
        self.store(self.author.entry(NOISE), self.author.entry(NOISE), self.author.entry(NOISE))
        row = self.tables.streams.by_name(self.author.name)
        assert row is not None
        self.do(lambda tables: receipts.processed(tables, self.two, row.stream, 2))
        self.assertEqual([seq for _, seq, _ in self.refusals()], [3])
        self.do(lambda tables: receipts.processed(tables, self.two, row.stream, 2**53 - 1))
        self.assertEqual(self.refusals(), [])
        self.store(self.author.entry(NOISE))
        self.assertEqual([seq for _, seq, _ in self.refusals()], [4], "nobody processes what was not yet refused")


class DisplayTests(ReceiptsTestCase):
    def display(self, entry: int) -> tuple[bytes, int] | None:
        return self.do(lambda tables: receipts.display(tables, self.two, entry))

    def test_displayed(self) -> None:
        """What was displayed is said as a place in its stream, never backwards, and remembered."""
        entries = [each.entry for each in self.store(*[self.author.text(number) for number in (1, 2, 3)])]
        self.assertEqual(self.display(entries[1]), (self.author.name, 2))
        self.assertIsNone(self.display(entries[1]))
        self.assertIsNone(self.display(entries[0]))
        (incoming,) = self.do(lambda tables: ledger.open_link(tables, self.two, STORE)).theirs
        self.assertEqual(incoming.seen, 2)

    def test_of_nobody(self) -> None:
        """Our own messages, and what is not there, cannot be seen."""
        outgoing, _ = self.write(1)
        own = self.tables.entries.at(outgoing.stream, 1)
        assert own is not None
        self.assertIsNone(self.display(own.entry))
        self.assertIsNone(self.display(10_000))
