"""What an author does at link-up (docs/protocol.md, section 10, "Doubt"), over real tables."""

from collections.abc import Sequence

from p2pchat.core.bodies import EntryBody, ResetBody, decode_body
from p2pchat.core.effects import Outgoing
from p2pchat.core.entries import first_head, next_head, stream_name
from p2pchat.core.messages import Holding
from p2pchat.peer import settlement
from p2pchat.peer.receipts import confirm, numbers_delivered
from p2pchat.peer.settlement import LOST_THERE, RESET, ROLLED_BACK, SENT_AGAIN, Settlement
from p2pchat.storage.entries import StoredEntry

from .examples import WALL
from .test_ledger import OTHER_STORE, STORE, LedgerTestCase

UNKNOWN = b"u" * 16


class SettlementTestCase(LedgerTestCase):
    """Alice wrote messages 1 to 6, of which Bob's first database confirmed 4."""

    def setUp(self) -> None:
        super().setUp()
        self.old, _ = self.write(6)
        self.confirm(4)
        self._settled = 0

    def settle(self, *holdings: Holding, store: bytes = STORE) -> Settlement:
        """Bob lists these."""
        self._settled += 1
        random = bytes([self._settled]) * 32
        settled = self.do(lambda tables: settlement.settle(tables, self.two, store, holdings, random, WALL))
        assert settled is not None
        return settled

    def settle_unless_doubted(self, *holdings: Holding, store: bytes = STORE) -> Settlement | None:
        """The same, where nothing may come into doubt."""
        return self.do(
            lambda tables: settlement.settle(tables, self.two, store, holdings, bytes(32), WALL, may_doubt=False)
        )

    def confirm_all(self, outgoing: Outgoing) -> None:
        """Bob has all of a stream."""
        row = self.tables.streams.get(outgoing.stream)
        self.do(lambda tables: confirm(tables, self.two, row.stream, STORE, row.seq, row.head, WALL))

    def has(self, seq: int, outgoing: Outgoing | None = None, first: int = 1, head: bytes | None = None) -> Holding:
        """Bob's word that he has a stream up to `seq`, by default with the right head."""
        outgoing = outgoing or self.old
        head = head or self.tables.entries.head_at(outgoing.stream, seq)
        assert head is not None
        return Holding(stream=outgoing.name, first=first, base=outgoing.listed.base, seq=seq, head=head)

    def entries(self, outgoing: Outgoing) -> list[StoredEntry]:
        """What stands in a stream, whose chain is checked."""
        found = self.tables.entries.load_range(outgoing.stream, 1, 10_000, 1 << 30)
        head = first_head(outgoing.name)
        for entry in found:
            assert entry.bytes is not None
            head = next_head(head, entry.bytes)
            self.assertEqual(entry.head, head)
        row = self.tables.streams.get(outgoing.stream)
        self.assertEqual((row.seq, row.head), (len(found), head))
        return found

    def numbers(self, outgoing: Outgoing) -> list[int]:
        """Numbers in a stream; 0 for `reset`."""
        return [entry.number for entry in self.entries(outgoing)]

    def resets(self, outgoing: Outgoing) -> list[tuple[bytes, int]]:
        """What a stream replaces: (name, seq)."""
        bodies = [
            decode_body(ResetBody, decode_body(EntryBody, entry.bytes or b"").body)
            for entry in self.entries(outgoing)
            if entry.kind == "reset"
        ]
        return [(body.stream, body.seq) for body in bodies]

    def delivered(self, settled: Settlement) -> Sequence[int]:
        """The numbers that turned out to be delivered."""
        return self.do(lambda tables: numbers_delivered(tables, self.two, settled.delivered))


class FittingTests(SettlementTestCase):
    def test_all_is_well(self) -> None:
        """A holding that fits says what more is delivered, and the rest is sent."""
        settled = self.settle(self.has(5))
        self.assertEqual((self.delivered(settled), settled.doubts, settled.unsent), ((5,), [], 1))
        (own,) = settled.own
        self.assertEqual((own.name, own.next_seq, own.confirmed_seq), (self.old.name, 6, 5))
        self.assertEqual(self.tables.progress.when(self.old.stream, self.two.them, "delivered", 5), WALL)

    def test_reader_rolled_back(self) -> None:
        """A reader with less than the same database confirmed: the range is told, and sent again."""
        settled = self.settle(self.has(2))
        self.assertEqual((self.delivered(settled), settled.doubts, settled.unsent), ((), [(3, 4, SENT_AGAIN)], 4))
        self.assertEqual(settled.own[0].next_seq, 3)
        self.assertEqual(self.settle(self.has(2)).doubts, [], "it is told once")

    def test_reader_rolled_back_to_nothing(self) -> None:
        """What the same database confirmed, and does not list, it lost."""
        settled = self.settle()
        self.assertEqual((settled.doubts, settled.own[0].next_seq), ([(1, 4, SENT_AGAIN)], 1))

    def test_new_database(self) -> None:
        """A reader with a new database gets what the old one had not confirmed; the person is told of the rest once."""
        settled = self.settle(store=OTHER_STORE)
        self.assertEqual((settled.doubts, settled.unsent), ([(1, 4, LOST_THERE)], 2))
        self.assertEqual((settled.own[0].listed.first, settled.own[0].next_seq), (5, 5))
        again = self.settle(store=OTHER_STORE)
        self.assertEqual((again.doubts, again.own[0].next_seq), ([], 5))

    def test_old_database_comes_back(self) -> None:
        """Who lost a database and restored a backup of it goes on after what that one holds."""
        self.settle(store=OTHER_STORE)
        self.confirm(6, OTHER_STORE)
        settled = self.settle(self.has(3))
        self.assertEqual((settled.doubts, settled.unsent), ([(4, 6, SENT_AGAIN)], 3))
        self.assertEqual((settled.own[0].next_seq, settled.own[0].confirmed_seq), (4, 3))
        self.assertEqual(self.settle(self.has(3)).own[0].next_seq, 4)

    def test_lying_first(self) -> None:
        """A holding that claims to begin beyond its end moves nothing beyond that end."""
        settled = self.settle(self.has(5, first=2**53 - 1))
        self.assertEqual(settled.own[0].next_seq, 6)

    def test_empty_stream(self) -> None:
        """A reader that lists our stream as empty is given all of it."""
        settled = self.settle(self.has(0))
        self.assertEqual((settled.doubts, settled.own[0].next_seq), ([(1, 4, SENT_AGAIN)], 1))


class BrokenTests(SettlementTestCase):
    def test_heads_differ(self) -> None:
        """Other entries under our numbers: a new stream, whose reset names what was confirmed, and the rest moved."""
        before = {entry.number: entry for entry in self.entries(self.old)}
        settled = self.settle(self.has(6, head=b"x" * 32))
        (own,) = settled.own
        self.assertNotEqual(own.name, self.old.name)
        self.assertEqual(self.numbers(own), [0, 5, 6])
        self.assertEqual(self.resets(own), [(self.old.name, 4)])
        for entry in self.entries(own)[1:]:
            was = before[entry.number]
            self.assertEqual((entry.entry, entry.id, entry.bytes), (was.entry, was.id, was.bytes))
        self.assertEqual((settled.doubts, settled.unsent), ([(5, 6, RESET)], 2))
        self.assertEqual((own.next_seq, own.told), (1, False))

    def test_reader_has_more(self) -> None:
        """A reader that has more than we wrote: we were rolled back."""
        settled = self.settle(self.has(9, head=b"x" * 32))
        self.assertEqual(self.resets(settled.own[0]), [(self.old.name, 4)])

    def test_new_messages_go_on(self) -> None:
        """What is written afterwards goes into the new stream, under the next number."""
        (own,) = self.settle(self.has(6, head=b"x" * 32)).own
        outgoing, (written,) = self.write()
        self.assertEqual((outgoing.name, written.seq, written.number), (own.name, 4, 7))

    def test_replaced_once(self) -> None:
        """A stream that was replaced is not compared again, whatever a reader still says of it."""
        (own,) = self.settle(self.has(6, head=b"x" * 32)).own
        settled = self.settle(self.has(6, self.old, head=b"x" * 32))
        self.assertEqual(([each.name for each in settled.own], settled.doubts), ([own.name], []))

    def test_unknown_stream(self) -> None:
        """A stream of ours that we never wrote is replaced from its beginning; the person is told."""
        name = stream_name(self.two.wire, self.two.me, UNKNOWN)
        unknown = Holding(stream=name, first=1, base=first_head(name), seq=9, head=b"x" * 32)
        settled = self.settle(unknown, self.has(4))
        self.assertEqual(settled.doubts, [(0, 0, ROLLED_BACK)])
        self.assertEqual(settled.own[0].name, self.old.name)
        self.assertEqual(self.resets(settled.own[1]), [(name, 0)])

    def test_unknown_stream_that_is_replaced_already(self) -> None:
        """A reader that goes on listing it before it has the `reset` is sent the same; none is begun anew."""
        name = stream_name(self.two.wire, self.two.me, UNKNOWN)
        unknown = Holding(stream=name, first=1, base=first_head(name), seq=9, head=b"x" * 32)
        first = self.settle(unknown, self.has(4))
        self.assertFalse(first.repeated)
        again = self.settle(unknown, self.has(4))
        self.assertEqual([each.name for each in again.own], [each.name for each in first.own])
        self.assertEqual((again.doubts, again.repeated), ([(0, 0, ROLLED_BACK)], True))
        self.assertEqual(self.settle_unless_doubted(unknown, self.has(4)), again)
        self.confirm_all(again.own[1])
        later = self.settle(unknown, self.has(4), self.has(1, again.own[1]))
        self.assertEqual((len(later.own), later.repeated), (3, False), "who has the `reset` and lists it has it anew")

    def test_what_an_unknown_stream_hides(self) -> None:
        """Beside an unknown stream, what is not listed may be known as replaced: it moves, and is not written on."""
        name = stream_name(self.two.wire, self.two.me, UNKNOWN)
        unknown = Holding(stream=name, first=1, base=first_head(name), seq=9, head=b"x" * 32)
        settled = self.settle(unknown)
        (own,) = settled.own
        self.assertEqual(self.numbers(own), [0, 1, 2, 3, 4, 5, 6])
        self.assertEqual(self.resets(own), [(name, 0)], "what is not listed needs no reset")
        self.assertEqual(settled.unsent, 6)

    def test_many_unknown_streams(self) -> None:
        """A thousand streams that we never wrote make one new stream, and one line for the person."""
        names = [stream_name(self.two.wire, self.two.me, number.to_bytes(16, "big")) for number in range(1_000)]
        holdings = [Holding(stream=name, first=1, base=first_head(name), seq=1, head=b"x" * 32) for name in names]
        settled = self.settle(self.has(4), *holdings)
        self.assertEqual((len(settled.own), settled.doubts), (2, [(0, 0, ROLLED_BACK)]))
        self.assertEqual(len({entry.id for entry in self.entries(settled.own[1])}), 1_000)

    def test_large_backlog_moves(self) -> None:
        """More than one page of messages moves in order."""
        self.write(700)
        (own,) = self.settle(self.has(6, head=b"x" * 32)).own
        self.assertEqual(self.numbers(own), [0, *range(5, 707)])


class TooOftenTests(SettlementTestCase):
    """What comes when nothing may come into doubt now."""

    def test_what_fits(self) -> None:
        """Whatever fits goes on as always."""
        settled = self.settle_unless_doubted(self.has(5))
        assert settled is not None
        self.assertEqual((self.delivered(settled), settled.own[0].next_seq), ((5,), 6))

    def test_what_does_not_fit(self) -> None:
        """Nothing of what would put something in doubt is acted on: not a row is changed."""
        name = stream_name(self.two.wire, self.two.me, UNKNOWN)
        unknown = Holding(stream=name, first=1, base=first_head(name), seq=9, head=b"x" * 32)
        lies = [(self.has(6, head=b"x" * 32),), (self.has(2),), (self.has(4), unknown), (), (unknown,)]
        before = self.state()
        for holdings in lies:
            self.assertIsNone(self.settle_unless_doubted(*holdings))
        self.assertIsNone(self.settle_unless_doubted(store=OTHER_STORE))
        self.assertEqual(self.state(), before)

    def state(self) -> list[object]:
        """Our streams, how far the reader is in them, and what is in doubt."""
        streams = self.tables.streams.of_conversation(self.two.conversation)
        vectors = [self.tables.vectors.get(stream.stream, self.two.them) for stream in streams]
        return [streams, vectors, self.tables.doubts.all(), self.numbers(self.old)]


class SeveralStreamsTests(SettlementTestCase):
    """The first stream, agreed up to 4, was replaced by a second one with messages 5 to 8."""

    def setUp(self) -> None:
        super().setUp()
        (self.second,) = self.settle(self.has(6, head=b"x" * 32)).own
        self.write(2)

    def test_reader_never_heard_of_it(self) -> None:
        """A reader that still lists the replaced stream, with all that was agreed, is sent the second one."""
        settled = self.settle(self.has(6, head=b"x" * 32))
        self.assertEqual(([own.next_seq for own in settled.own], settled.doubts), ([1], []))

    def test_reader_rolled_back_into_a_replaced_stream(self) -> None:
        """A reader that lost part of a replaced stream is sent that first, then what came later, in order."""
        self.confirm(5)
        settled = self.settle(self.has(2))
        (own,) = settled.own
        self.assertEqual(self.numbers(own), [0, 3, 4, 5, 6, 7, 8])
        self.assertEqual(self.resets(own), [(self.old.name, 2)])
        self.assertEqual(settled.doubts, [(3, 8, RESET)])

    def test_reader_rolled_back_before_a_replaced_stream(self) -> None:
        """A reader that lost a replaced stream altogether, together with its replacement, is sent both."""
        self.confirm(5)
        (own,) = self.settle().own
        self.assertEqual(self.numbers(own), [1, 2, 3, 4, 5, 6, 7, 8])

    def test_reader_lost_what_was_replaced_with_another_head(self) -> None:
        """Where not even the beginning fits, all of the replaced stream is sent again."""
        (own,) = self.settle(self.has(2, head=b"x" * 32)).own
        self.assertEqual(self.numbers(own), [0, 1, 2, 3, 4, 5, 6, 7, 8])
        self.assertEqual(self.resets(own), [(self.old.name, 0)])

    def test_both_broken(self) -> None:
        """Several streams that must be replaced move into one, the older first; each is named."""
        settled = self.settle(self.has(2), self.has(5, self.second, head=b"y" * 32))
        (own,) = settled.own
        self.assertEqual(self.resets(own), [(self.old.name, 2), (self.second.name, 0)])
        self.assertEqual(self.numbers(own), [0, 0, 3, 4, 5, 6, 7, 8])

    def test_second_broken_before_its_reset_arrived(self) -> None:
        """Where the replacement is replaced itself, what is still listed of the first is named again."""
        settled = self.settle(self.has(6, head=b"x" * 32), self.has(5, self.second, head=b"y" * 32))
        (own,) = settled.own
        self.assertEqual(self.resets(own), [(self.old.name, 4), (self.second.name, 0)])
        self.assertEqual(self.numbers(own), [0, 0, 5, 6, 7, 8])

    def test_listed_rest_follows_what_is_older(self) -> None:
        """A stream that fits moves too, where its rest would arrive before what is older."""
        settled = self.settle(self.has(2), self.has(3, self.second))
        (own,) = settled.own
        self.assertEqual(self.resets(own), [(self.old.name, 2), (self.second.name, 3)])
        self.assertEqual(self.numbers(own), [0, 0, 3, 4, 7, 8])

    def test_new_database(self) -> None:
        """All that the lost database had confirmed is told, of replaced streams too, and told once."""
        self.confirm(5)
        settled = self.settle(store=OTHER_STORE)
        self.assertEqual(settled.doubts, [(1, 8, LOST_THERE)])
        self.assertEqual([own.next_seq for own in settled.own], [6])
        self.assertEqual(self.settle(store=OTHER_STORE).doubts, [])

    def test_nothing_of_a_lost_database_is_sent_again(self) -> None:
        """A new database that is rolled back is not sent what only the lost one had confirmed."""
        self.settle(store=OTHER_STORE)
        self.confirm(5, OTHER_STORE)
        settled = self.settle(store=OTHER_STORE)
        self.assertEqual(([own.name for own in settled.own], settled.unsent), ([self.second.name], 4))
