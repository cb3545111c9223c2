"""p2pchat.core.fetching: what was said before the place from which a stream is read, asked for and checked."""

from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.delivery import Exchange
from p2pchat.core.effects import Effect, Fetched, Incoming, Received, ReceivedOld
from p2pchat.core.entries import conversation_of, first_head, next_head, stream_name, text_entry
from p2pchat.core.errors import EndCode, RemoteProtocolError
from p2pchat.core.fetching import NO_HEAD
from p2pchat.core.messages import Entry, Have, History, Holding, Message, Window
from p2pchat.core.window import FIRST_ENTRIES

from .examples import ALICE, BOB, CONVERSATION, SERVER, WALL

BOBS = stream_name(CONVERSATION, BOB.id, b"b" * 16)
SECOND = stream_name(CONVERSATION, BOB.id, b"c" * 16)
OWN = stream_name(CONVERSATION, ALICE.id, b"a" * 16)
FOREIGN = stream_name(conversation_of(ALICE.id, SERVER.id), BOB.id, bytes(16))


def written(count: int) -> list[bytes]:
    """Messages of Bob's."""
    return [
        text_entry(f"old {seq}", id=seq.to_bytes(16, "big"), number=seq, lamport=seq, time=WALL)
        for seq in range(1, count + 1)
    ]


def heads(stream: bytes, entries: list[bytes]) -> list[bytes]:
    """head(0) to the last."""
    found = [first_head(stream)]
    for entry in entries:
        found.append(next_head(found[-1], entry))
    return found


class FetchingCase(SynchronousTestCase):
    """Alice holds Bob's stream from 5 on, and asks for what lies before."""

    def setUp(self) -> None:
        self.entries = written(4)
        self.heads = heads(BOBS, self.entries)
        self.incoming = Incoming(7, BOBS, 5, self.heads[4], 4, self.heads[4])
        self.exchange = self.make(self.incoming)

    def make(self, *theirs: Incoming, listed: tuple[Holding, ...] = ()) -> Exchange:
        exchange = Exchange(ALICE.id, BOB.id, (), theirs)
        list(exchange.opening())
        of_ours = tuple(
            Holding(stream=each.name, first=each.first, base=each.base, seq=each.seq, head=each.head) for each in theirs
        )
        exchange.receive(Have(streams=of_ours + listed, last=True))
        return exchange

    def ask(self) -> None:
        self.assertTrue(self.exchange.fetch())
        self.assertEqual(self.exchange.questions(), [History(stream=BOBS, first=1, last=4)])

    def old(self, seq: int, stream: bytes = BOBS, data: bytes | None = None) -> Entry:
        return Entry(stream=stream, seq=seq, bytes=data or self.entries[seq - 1], history=True)

    def end(self, stream: bytes = BOBS, first: int = 1, last: int = 4) -> History:
        return History(stream=stream, first=first, last=last)

    def receive(self, *messages: Message) -> list[Effect]:
        return [effect for message in messages for effect in self.exchange.receive(message)[0]]

    def violates(self, *messages: Message) -> None:
        """The last message is a violation; those before it are not."""
        self.receive(*messages[:-1])
        error = self.assertRaises(RemoteProtocolError, self.exchange.receive, messages[-1])
        self.assertIs(error.code, EndCode.VIOLATION)


class AnswersTest(FetchingCase):
    """Honest answers."""

    def test_whole(self) -> None:
        """An answer without gaps whose chain fits makes the stream begin at its beginning."""
        self.ask()
        *old, ended = self.receive(*(self.old(seq) for seq in range(1, 5)), self.end())
        assert all(isinstance(each, ReceivedOld) for each in old)
        found = [(each.seq, each.head, each.judged.text) for each in old if isinstance(each, ReceivedOld)]
        self.assertEqual(found, [(seq, self.heads[seq], f"old {seq}") for seq in range(1, 5)])
        self.assertEqual(ended, Fetched(self.incoming, 4, True, True))
        self.assertEqual((self.incoming.first, self.incoming.base), (1, first_head(BOBS)))
        self.assertFalse(self.exchange.fetch())

    def test_gaps(self) -> None:
        """Where the author deleted something the rest is taken; where the stream begins stays as it was."""
        for missing in ({1}, {2}, {4}, {1, 2, 3, 4}):
            with self.subTest(missing=missing):
                self.setUp()
                self.ask()
                came = [seq for seq in range(1, 5) if seq not in missing]
                *old, ended = self.receive(*map(self.old, came), self.end())
                self.assertEqual(ended, Fetched(self.incoming, len(came), False, True))
                self.assertEqual((self.incoming.first, self.incoming.base), (5, self.heads[4]))
                unknown = [each.seq for each in old if isinstance(each, ReceivedOld) and each.head == NO_HEAD]
                self.assertEqual(unknown, [seq for seq in came if seq > min(missing)])

    def test_new_ones_between(self) -> None:
        """New entries come between older ones, and are told apart."""
        self.ask()
        new = Entry(stream=BOBS, seq=5, bytes=written(5)[4])
        _, said, _ = self.receive(self.old(1), new, self.old(2))
        assert isinstance(said, Received)
        self.assertEqual((said.seq, self.incoming.seq), (5, 5))

    def test_streams_one_after_the_other(self) -> None:
        """Each stream is asked for in its turn, also one of which nothing is here yet; the last answer says so."""
        base = heads(SECOND, self.entries)[3]
        listed = Holding(stream=SECOND, first=4, base=base, seq=9, head=b"h" * 32)
        self.exchange = self.make(self.incoming, listed=(listed,))
        self.assertTrue(self.exchange.fetch())
        self.assertEqual(self.exchange.questions(), [self.end()])
        self.assertEqual(self.exchange.questions(), [])
        (ended,) = self.receive(self.end())
        self.assertEqual(ended, Fetched(self.incoming, 0, False, False))
        self.assertEqual(self.exchange.questions(), [History(stream=SECOND, first=1, last=3)])
        self.assertFalse(self.exchange.fetch(), "one is under way")
        *_, ended = self.receive(*(self.old(seq, SECOND) for seq in (1, 2, 3)), self.end(SECOND, last=3))
        assert isinstance(ended, Fetched)
        self.assertEqual((ended.count, ended.complete, ended.last, ended.incoming.first), (3, True, True, 1))

    def test_nothing_to_ask(self) -> None:
        """What is held from its beginning, or not listed, is not asked for."""
        whole = Incoming(7, BOBS, 1, first_head(BOBS), 4, self.heads[4])
        self.assertFalse(self.make(whole).fetch())
        self.assertFalse(self.make().fetch())
        self.assertEqual(self.make(whole).questions(), [])

    def test_not_before_link_up(self) -> None:
        """Nothing is asked for before the far side listed what it has."""
        exchange = Exchange(ALICE.id, BOB.id, (), [self.incoming])
        self.assertFalse(exchange.fetch())

    def test_uses_the_window(self) -> None:
        """Older entries take room in the window like all others."""
        count = FIRST_ENTRIES + 1
        self.entries = written(count)
        self.heads = heads(BOBS, self.entries)
        self.exchange = self.make(Incoming(7, BOBS, count + 1, self.heads[-1], count, self.heads[-1]))
        self.exchange.fetch()
        self.exchange.questions()
        self.violates(*(self.old(seq) for seq in range(1, count + 1)))

    def test_room_is_given_back(self) -> None:
        """What is committed of them makes room again."""
        self.ask()
        self.receive(self.old(1))
        (window,) = self.exchange.committed(1, len(self.entries[0]), ())
        self.assertIsInstance(window, Window)


class LiesTest(FetchingCase):
    """P12 to P15 for ranges of history."""

    def test_P13_not_asked(self) -> None:
        """Nothing comes that was not asked for: neither entries, nor an end, nor after an end."""
        self.violates(self.old(1))
        self.violates(self.end())
        self.ask()
        self.violates(self.end(), self.old(1))

    def test_P13_another_stream(self) -> None:
        """An answer is of the stream that was asked for, and of no other."""
        self.ask()
        for stream in (SECOND, FOREIGN, OWN, bytes(80)):
            self.violates(self.old(1, stream))
            self.violates(self.end(stream))

    def test_P12_outside_the_range(self) -> None:
        """What lies outside the range was not asked for."""
        self.ask()
        for seq in (5, 6, 2**53 - 1):
            self.violates(self.old(seq, data=self.entries[0]))

    def test_P12_backwards_or_twice(self) -> None:
        """Older entries come in order, each once."""
        self.ask()
        self.violates(self.old(2), self.old(2))
        self.violates(self.old(1))

    def test_P14_the_end_of_another_range(self) -> None:
        """The end names what was asked for."""
        self.ask()
        for first, last in ((1, 3), (2, 4), (1, 5), (4, 4)):
            self.violates(self.end(first=first, last=last))

    def test_P15_other_bodies(self) -> None:
        """A whole answer whose chain does not lead to what was said before is a violation, and nothing moves."""
        other = text_entry("forged", id=bytes(16), number=2, lamport=2, time=WALL)
        self.ask()
        self.violates(self.old(1), self.old(2, data=other), self.old(3), self.old(4), self.end())
        self.assertEqual((self.incoming.first, self.incoming.base), (5, self.heads[4]))

    def test_P15_undecodable(self) -> None:
        """What cannot be read has its place in the chain, and is judged."""
        self.entries[1] = b"\xc1"
        self.heads = heads(BOBS, self.entries)
        self.incoming = Incoming(7, BOBS, 5, self.heads[4], 4, self.heads[4])
        self.exchange = self.make(self.incoming)
        self.ask()
        effects = self.receive(*(self.old(seq) for seq in range(1, 5)), self.end())
        refusals = [each.judged.refusal for each in effects if isinstance(each, ReceivedOld)]
        self.assertEqual(refusals, [None, "malformed", None, None])
        self.assertTrue(isinstance(effects[-1], Fetched) and effects[-1].complete)

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=8))
    def test_whatever_comes(self, steps: list[tuple[int, bool]]) -> None:
        """Whatever is answered, the stream begins earlier only after exactly the entries of its chain."""
        self.setUp()
        self.ask()
        came: list[bytes] = []
        try:
            for seq, honest in steps:
                data = self.entries[seq - 1] if honest and 1 <= seq <= 4 else b"other"
                self.receive(self.end() if seq == 0 else self.old(seq, data=data))
                came += [data] if seq else []
        except RemoteProtocolError as error:
            self.assertIs(error.code, EndCode.VIOLATION)
        self.assertEqual(self.incoming.first == 1, self.incoming.base == first_head(BOBS))
        if self.incoming.first == 1:
            self.assertEqual(came, self.entries)
