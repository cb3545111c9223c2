"""What two peers owe each other over a link (docs/protocol.md, section 10)."""

from copy import deepcopy

from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.delivery import MAX_LINK_UP, MAX_QUESTIONS, Exchange
from p2pchat.core.effects import (
    Confirmed,
    Incoming,
    LinkUp,
    NothingOlder,
    Outgoing,
    Received,
    RefusedThere,
    SeenThere,
    Written,
)
from p2pchat.core.entries import conversation_of, first_head, stream_name
from p2pchat.core.errors import EndCode
from p2pchat.core.messages import (
    MAX_HOLDINGS,
    Ask,
    Entry,
    Have,
    History,
    Holding,
    Message,
    Refused,
    Seen,
    Window,
    decode,
    encode,
)

from .desks import Desks, Peer, refusal_of
from .examples import ALICE, BASE, BOB, CONVERSATION, ENTRIES, HEADS, SERVER, STREAM

BOBS = stream_name(CONVERSATION, BOB.id, b"b" * 16)
FOREIGN = (
    stream_name(conversation_of(ALICE.id, SERVER.id), ALICE.id, bytes(16)),
    stream_name(conversation_of(BOB.id, SERVER.id), BOB.id, bytes(16)),
    stream_name(CONVERSATION, SERVER.id, bytes(16)),
    bytes(80),
)
"""Streams of other conversations of either, of an author who is neither, and of nobody."""


def words(count: int, start: int = 0) -> list[str]:
    """Texts that differ."""
    return [f"message {number}" for number in range(start, start + count)]


class TwoPeersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.desks = Desks()
        self.alice, self.bob = self.desks.alice, self.desks.bob

    def whole(self, author: Peer, reader: Peer) -> None:
        """The reader must have all that the author wrote, once and in order."""
        written = [entry for stream in author.disk.written.values() if not stream.closed for entry in stream.entries]
        self.assertEqual(reader.texts, written)

    def test_both_ways(self) -> None:
        """What was written before and after the link arrives, in order, and is known to be delivered."""
        self.alice.write("one", "two")
        self.desks.link()
        self.bob.write("three")
        self.alice.write("four")
        self.desks.carry()
        self.whole(self.alice, self.bob)
        self.whole(self.bob, self.alice)
        self.assertEqual(self.alice.disk.delivered, [1, 2, 3])
        self.assertEqual(self.bob.disk.delivered, [1])

    def test_nothing_to_say(self) -> None:
        """A side with nothing sends one empty have, marked as the last."""
        self.desks.link()
        self.assertEqual(self.desks.sent, [Have(streams=(), last=True)] * 2)

    def test_a_stream_is_listed_before_its_first_entry(self) -> None:
        """A stream that begins on a link is listed there before its first entry."""
        self.desks.link()
        self.desks.sent.clear()
        self.alice.write("one")
        self.desks.carry()
        listing, entry, acknowledgement, *_ = self.desks.sent
        assert isinstance(listing, Have) and isinstance(entry, Entry) and isinstance(acknowledgement, Have)
        self.assertEqual([holding.stream for holding in listing.streams], [entry.stream])
        self.assertEqual([holding.seq for holding in acknowledgement.streams], [1])

    def test_acknowledged_after_the_commit(self) -> None:
        """Nothing is acknowledged before it is on the reader's disk."""
        self.bob.holds_commits = True
        self.desks.link()
        self.alice.write("one", "two")
        self.desks.carry()
        self.assertEqual(self.alice.disk.delivered, [])
        self.bob.commit()
        self.desks.carry()
        self.assertEqual(self.alice.disk.delivered, [1, 2])

    def test_only_what_is_missing_is_sent_again(self) -> None:
        """After a lost link what was committed is not sent again, and what was under way is."""
        self.desks.link()
        self.alice.write(*words(10))
        self.desks.carry()
        self.alice.write(*words(10, 10))
        self.desks.lose(self.alice)
        self.desks.link()
        self.assertEqual([entry.seq for entry in self.desks.entries], list(range(11, 21)))
        self.whole(self.alice, self.bob)
        self.assertEqual(self.alice.disk.delivered, list(range(1, 21)))

    def test_lost_acknowledgements(self) -> None:
        """Entries whose acknowledgement was lost are known to be delivered at the next link-up, and not sent again."""
        self.desks.link()
        self.alice.write("one", "two")
        self.desks._give(self.bob, self.desks._sessions[self.alice].data_to_send())
        self.desks.lose(self.bob)
        self.assertEqual(self.alice.disk.delivered, [])
        self.desks.link()
        self.assertEqual(self.desks.entries, [])
        self.assertEqual(self.alice.disk.delivered, [1, 2])

    def test_seen_repeated_while_the_author_compares(self) -> None:
        """A seen that is repeated at link-up is good for all that its sender listed, settled or not."""
        self.desks.link()
        self.alice.write("one", "two")
        self.desks._give(self.bob, self.desks._sessions[self.alice].data_to_send())
        self.bob.see()
        self.desks.lose(self.bob)
        self.alice.holds_settling = True
        self.desks.link()
        self.alice.settle()
        self.desks.carry()
        self.assertEqual(self.alice.disk.seen, [1, 2])

    def test_entries_that_were_not_committed_are_sent_again(self) -> None:
        """A reader that fell before its commit gets them again, once."""
        self.bob.holds_commits = True
        self.desks.link()
        self.alice.write(*words(5))
        self.desks.carry()
        self.bob.holds_commits = False
        self.desks.link()
        self.assertEqual(len(self.desks.entries), 5)
        self.whole(self.alice, self.bob)

    def test_window(self) -> None:
        """No more than 256 entries are under way until some are committed; then all arrive."""
        self.bob.holds_commits = True
        self.desks.link()
        self.alice.write(*words(1500))
        self.desks.carry()
        self.assertEqual(len(self.desks.entries), 256)
        while len(self.bob.texts) < 1500:
            self.bob.commit()
            self.desks.carry()
        self.whole(self.alice, self.bob)
        self.assertEqual(len(self.alice.disk.delivered), 1500)

    def test_window_in_bytes(self) -> None:
        """Nor more than 256 KiB, and nothing starves behind a large entry."""
        self.bob.holds_commits = True
        self.desks.link()
        self.alice.write(*["x" * 16_000 for _ in range(100)], "small")
        self.desks.carry()
        self.assertLessEqual(sum(len(entry.bytes) for entry in self.desks.entries), 262_144)
        for _ in range(40):
            self.bob.commit()
            self.desks.carry()
        self.assertEqual(len(self.bob.disk.read.popitem()[1].entries), 101)

    def test_seen(self) -> None:
        """Seen moves its own vector, and is repeated at link-up."""
        self.desks.link()
        self.alice.write("one", "two")
        self.desks.carry()
        self.bob.see()
        self.desks.lose(self.bob)
        self.assertEqual(self.alice.disk.seen, [])
        self.desks.link()
        self.assertEqual(self.alice.disk.seen, [1, 2])

    def test_P15_a_fast_chat_is_no_flood(self) -> None:
        """Entries that are committed and seen one by one, hundreds in a second, are not refused for their rate."""
        self.desks.link()
        for text in words(500):
            self.alice.write(text)
            self.desks.carry()
            self.bob.see()
            self.desks.carry()
        self.assertEqual(len(self.alice.disk.seen), 500)

    def test_refused(self) -> None:
        """An entry that cannot be taken is answered by refused before the have that covers it, and is not delivered."""
        self.desks.link()
        self.alice.write("one")
        self.alice.disk.number += 1
        self.alice.append(b"\xc1 not even MessagePack")
        self.alice.write("three")
        self.desks.carry()
        self.assertEqual(self.alice.disk.not_delivered, [2])
        self.assertEqual(self.alice.disk.delivered, [1, 3])
        stream = self.desks.entries[0].stream
        self.assertEqual(
            [message for message in self.desks.sent if isinstance(message, Refused)],
            [Refused(stream=stream, seq=2, code="malformed")],
        )
        self.assertEqual(self.bob.disk.read[stream].processed, 2)
        self.desks.link()
        self.assertNotIn(Refused, map(type, self.desks.sent))

    def test_refusals_are_repeated(self) -> None:
        """Refusals that the author has not processed are repeated at link-up, hundreds of them too."""
        self.bob.holds_commits = True
        self.desks.link()
        for _ in range(200):
            self.alice.disk.number += 1
            self.alice.append(b"\xc1")
        self.desks.carry()
        self.bob.commit()
        self.desks.lose(self.bob)
        self.assertEqual(self.alice.disk.not_delivered, [])
        self.alice.holds_settling = True
        self.desks.link()
        self.alice.settle()
        self.desks.carry()
        self.assertEqual(self.alice.disk.not_delivered, list(range(1, 201)))
        self.desks.link()
        self.assertNotIn(Refused, map(type, self.desks.sent))

    def test_F22_author_restored(self) -> None:
        """An author from a backup begins a new stream; nothing that it wrote is lost, and the reader is told."""
        self.desks.link()
        self.alice.write(*words(3))
        self.desks.carry()
        backup = deepcopy(self.alice.disk)
        self.alice.write(*words(3, 3))
        self.desks.carry()
        self.bob.see()
        self.desks.carry()
        self.desks.cut()
        self.alice.restore(backup)
        self.alice.write("after the backup")
        self.alice.holds_settling = True
        self.desks.link()
        self.alice.settle()
        self.desks.carry()
        self.assertEqual(self.alice.doubts, ["broken"])
        self.assertEqual(self.bob.doubts, ["reset"])
        self.assertTrue(any(b"after the backup" in entry for entry in self.bob.texts))
        for _ in range(2):
            self.desks.link()
            self.alice.settle()
            self.desks.carry()
            self.assertEqual(self.desks.entries, [])
        self.assertEqual(self.alice.doubts, ["broken"])

    def test_F22_a_doubt_outlives_the_link_on_which_it_arose(self) -> None:
        """A link that is lost before the reset arrived changes nothing: the next one brings it."""
        self.desks.link()
        self.alice.write(*words(3))
        self.desks.carry()
        backup = deepcopy(self.alice.disk)
        self.alice.write(*words(3, 3))
        self.desks.carry()
        self.bob.see()
        self.alice.disk = deepcopy(backup)
        self.alice.holds_settling = True
        self.desks.link()
        self.alice.settle()
        self.desks.lose(self.alice)
        # Bob still lists the old stream and repeats what he saw of it.
        self.desks.link()
        self.alice.settle()
        self.desks.carry()
        self.assertEqual(self.bob.doubts, ["reset"])

    def test_F22_author_lost_everything(self) -> None:
        """An author that does not know its own stream any more begins a new one, though the other has seen the old."""
        self.desks.link()
        self.alice.write(*words(3))
        self.desks.carry()
        self.bob.see()
        self.desks.carry()
        self.desks.cut()
        self.alice.disk = type(self.alice.disk)(b"alice's new disk")
        self.desks.link()
        self.alice.write("hello again")
        self.desks.carry()
        self.assertEqual((self.alice.doubts, self.bob.doubts), (["broken"], ["reset"]))
        self.assertTrue(any(b"hello again" in entry for entry in self.bob.texts))

    def test_F22_reader_restored(self) -> None:
        """A reader from a backup is told of, and gets again what it lost."""
        self.desks.link()
        self.alice.write(*words(3))
        self.desks.carry()
        backup = deepcopy(self.bob.disk)
        self.alice.write(*words(3, 3))
        self.desks.carry()
        self.bob.restore(backup)
        self.desks.link()
        self.assertEqual(self.alice.doubts, ["rolled back"])
        self.assertEqual([entry.seq for entry in self.desks.entries], [4, 5, 6])
        self.whole(self.alice, self.bob)

    def test_reader_lost_its_database(self) -> None:
        """A reader with another store goes on after what the old one confirmed; older entries are not sent unasked."""
        self.desks.link()
        self.alice.write(*words(3))
        self.desks.carry()
        self.desks.cut()
        self.bob.disk = type(self.bob.disk)(b"bob's new store ")
        self.alice.write("four")
        self.desks.link()
        self.assertEqual([entry.seq for entry in self.desks.entries], [4])
        (read,) = self.bob.disk.read.values()
        self.assertEqual((read.first, read.seq), (4, 4))
        self.desks.link()
        self.assertEqual(self.desks.entries, [])

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.sampled_from(["alice", "bob", "carry", "commit", "half", "cut", "link", "see"]), max_size=30))
    def test_whatever_happens_everything_arrives_once(self, steps: list[str]) -> None:
        """Links that are cut at any moment lose nothing, repeat nothing and change no order."""
        desks = Desks()
        desks.link()
        for number, step in enumerate(steps):
            linked = desks.alice.exchange is not None
            match step:
                case "alice" | "bob":
                    getattr(desks, step).write(*words(number % 4 + 1, 10 * number))
                case "carry" if linked:
                    desks.carry()
                case "half" if linked:
                    desks._give(desks.bob, desks._sessions[desks.alice].data_to_send())
                case "commit" if linked:
                    desks.bob.holds_commits = not desks.bob.holds_commits
                    desks.bob.commit()
                case "see" if linked:
                    desks.alice.see()
                case "cut":
                    desks.cut()
                case "link":
                    desks.link()
        desks.alice.holds_commits = desks.bob.holds_commits = False
        desks.link()
        for author, reader in ((desks.alice, desks.bob), (desks.bob, desks.alice)):
            self.whole(author, reader)
            self.assertEqual(sorted(author.disk.delivered), list(range(1, author.disk.number + 1)))


class ExchangeTestCase(SynchronousTestCase):
    """Alice's exchange, and a Bob who says what the test wants."""

    def setUp(self) -> None:
        self.exchange = self.make()
        self.link()
        for seq in (1, 2, 3):
            self.assertEqual(len(self.exchange.send(self.outgoing, [self.written(seq)])), 1)

    def written(self, seq: int) -> Written:
        """One of Alice's entries, as it was committed."""
        return Written(seq, HEADS[seq], seq, ENTRIES[seq - 1])

    def make(self) -> Exchange:
        """Alice wrote three entries, none of which Bob has; Bob wrote one that she has."""
        listed = Holding(stream=STREAM, first=1, base=BASE, seq=3, head=HEADS[3])
        self.outgoing = Outgoing(1, STREAM, listed, 3, 1, 0, 3)
        self.incoming = Incoming(2, BOBS, 1, first_head(BOBS), 1, b"h" * 32)
        exchange = Exchange(ALICE.id, BOB.id, [self.outgoing], [self.incoming])
        list(exchange.opening())
        return exchange

    def link(self, *holdings: Holding) -> None:
        """Bob ends his part of link-up."""
        self.exchange.receive(Have(streams=(*holdings, self.of_bob()), last=True))
        self.exchange.resume([self.outgoing])

    def of_bob(self, **changes: object) -> Holding:
        """Bob's word about his own stream."""
        fields: dict[str, object] = {"stream": BOBS, "first": 1, "base": first_head(BOBS), "seq": 1, "head": b"h" * 32}
        return Holding(**(fields | changes))  # type: ignore[arg-type]

    def holds(self, seq: int, head: bytes | None = None, stream: bytes = STREAM) -> Holding:
        """Bob's word about a stream of Alice's."""
        return Holding(stream=stream, first=1, base=BASE, seq=seq, head=HEADS[seq] if head is None else head)

    def acknowledges(self, seq: int, head: bytes | None = None, stream: bytes = STREAM) -> Have:
        """Bob acknowledges."""
        return Have(streams=(self.holds(seq, head, stream),))

    def violates(self, *messages: Message, code: EndCode = EndCode.VIOLATION) -> None:
        """The last of these messages must be a violation, and those before it none."""
        for message in messages[:-1]:
            self.exchange.receive(message)
        error = refusal_of(lambda: self.exchange.receive(messages[-1]))
        self.assertIsNotNone(error, messages[-1])
        assert error is not None
        self.assertIs(error.code, code)


class LinkUpTests(ExchangeTestCase):
    def test_nothing_before_the_end_of_link_up(self) -> None:
        """Entry, refused, seen, window and history come after the sender's own last have."""
        for message in (
            Entry(stream=BOBS, seq=2, bytes=ENTRIES[0]),
            Refused(stream=STREAM, seq=1, code="malformed"),
            Seen(stream=STREAM, seq=1),
            Window(entries=1280, bytes=1_310_720),
            History(stream=STREAM, first=1, last=2),
        ):
            self.exchange = self.make()
            self.violates(Have(streams=(self.holds(2),)), message)

    def test_ends_once(self) -> None:
        """There is one last have."""
        self.violates(Have(streams=(), last=True))

    def test_pages(self) -> None:
        """Everything that a side holds is listed, in as many haves as it takes, and only the last is marked."""
        theirs = [
            Incoming(number, stream_name(CONVERSATION, BOB.id, number.to_bytes(16, "big")), 1, BASE, 1, BASE)
            for number in range(300)
        ]
        pages = list(Exchange(ALICE.id, BOB.id, [], theirs).opening())
        self.assertEqual([len(page.streams) for page in pages], [MAX_HOLDINGS, MAX_HOLDINGS, 300 - 2 * MAX_HOLDINGS])
        self.assertEqual([page.last for page in pages], [False, False, True])
        self.exchange = Exchange(BOB.id, ALICE.id, [], [])
        effects = [effect for page in pages for effect in self.exchange.receive(page)[0]]
        (link_up,) = effects
        assert isinstance(link_up, LinkUp)
        self.assertEqual(len(link_up.holdings), 300)

    def test_too_many_streams(self) -> None:
        """Nobody can make us hold more than 1,024 listings, of our streams or of theirs."""
        for author in (ALICE.id, BOB.id):
            self.exchange = self.make()
            names = [stream_name(CONVERSATION, author, number.to_bytes(16, "big")) for number in range(MAX_LINK_UP + 1)]
            pages = [
                Have(streams=tuple(self.holds(1, stream=name) for name in names[at : at + MAX_HOLDINGS]))
                for at in range(0, len(names), MAX_HOLDINGS)
            ]
            self.violates(*pages)

    def test_nothing_is_sent_before_it_is_settled(self) -> None:
        """Until what was compared is settled nothing is sent."""
        self.exchange = self.make()
        self.assertIsNone(self.exchange.next_batch())
        self.exchange.receive(Have(streams=(), last=True))
        self.assertIsNone(self.exchange.next_batch())
        self.assertEqual(self.exchange.send(self.outgoing, [self.written(1)]), [])
        self.exchange.resume([self.outgoing])
        self.assertIsNotNone(self.exchange.next_batch())

    def test_no_other_messages(self) -> None:
        """What is no message of a conversation is not taken."""
        self.violates(Ask(), code=EndCode.UNEXPECTED)


class EntryTests(ExchangeTestCase):
    def entry(self, seq: int, stream: bytes = BOBS) -> Entry:
        return Entry(stream=stream, seq=seq, bytes=ENTRIES[0])

    def test_in_order(self) -> None:
        """The next entry is taken, and its head follows."""
        effects, moved = self.exchange.receive(self.entry(2))
        (received,) = effects
        assert isinstance(received, Received)
        self.assertEqual((received.seq, moved), (2, True))

    def test_P12_replay(self) -> None:
        """An entry that came already, on this link or an older one, is a violation."""
        self.violates(self.entry(2), self.entry(2))
        self.violates(self.entry(1))

    def test_P12_gap_and_future(self) -> None:
        """An entry that is not the next one is a violation."""
        for seq in (3, 4, 2**53 - 1):
            self.setUp()
            self.violates(self.entry(seq))

    def test_P12_stream_that_was_not_listed(self) -> None:
        """An entry of a stream that its author did not list on this link is a violation."""
        other = stream_name(CONVERSATION, BOB.id, b"c" * 16)
        self.violates(self.entry(1, other))
        listing = Have(streams=(self.of_bob(stream=other, base=first_head(other), seq=0, head=first_head(other)),))
        self.exchange.receive(listing)
        self.exchange.receive(self.entry(1, other))
        self.assertEqual(self.exchange.theirs[other].seq, 1)

    def test_P12_first_entry_is_the_one_that_was_listed(self) -> None:
        """A reader starts at the author's first and base, and a stream that starts at 1 has its own beginning."""
        other = stream_name(CONVERSATION, BOB.id, b"c" * 16)
        self.exchange.receive(Have(streams=(self.of_bob(stream=other, first=5, base=b"x" * 32, seq=9),)))
        self.violates(self.entry(1, other))
        self.exchange.receive(self.entry(5, other))
        self.assertEqual(self.exchange.theirs[other].holding(5, b"y" * 32).first, 5)
        wrong = stream_name(CONVERSATION, BOB.id, b"d" * 16)
        self.exchange.receive(Have(streams=(self.of_bob(stream=wrong, base=b"x" * 32, seq=9),)))
        self.violates(self.entry(1, wrong))

    def test_history_that_nobody_asked_for(self) -> None:
        """Entries marked as history, and the end of such an answer, come only when asked for."""
        self.violates(Entry(stream=BOBS, seq=2, bytes=ENTRIES[0], history=True))
        self.violates(History(stream=BOBS, first=1, last=2))

    def test_more_than_the_window(self) -> None:
        """A sender that exceeds the window commits a violation."""
        for seq in range(2, 258):
            self.exchange.receive(Entry(stream=BOBS, seq=seq, bytes=b"x"))
        self.violates(Entry(stream=BOBS, seq=258, bytes=b"x"))

    def test_undecodable_entries_keep_their_place(self) -> None:
        """An entry that cannot be read is received like any other, with what it will be refused for."""
        (received,) = self.exchange.receive(Entry(stream=BOBS, seq=2, bytes=b"\xc1"))[0]
        assert isinstance(received, Received)
        self.assertEqual(received.judged.refusal, "malformed")
        self.exchange.receive(self.entry(3))


class NameTests(ExchangeTestCase):
    """P13: streams that do not belong to the two, or not to the one who speaks."""

    def test_P13_have(self) -> None:
        """Have names streams of these two alone, at link-up and later."""
        for stream in FOREIGN:
            self.setUp()
            self.violates(self.acknowledges(1, stream=stream))
            self.exchange = self.make()
            self.violates(self.acknowledges(1, stream=stream))

    def test_P13_entry(self) -> None:
        """Entry names streams of its sender alone."""
        for stream in (*FOREIGN, STREAM):
            self.violates(Entry(stream=stream, seq=4, bytes=ENTRIES[0]))

    def test_P13_refused(self) -> None:
        """Refused names streams of its receiver alone."""
        for stream in (*FOREIGN, BOBS):
            self.violates(Refused(stream=stream, seq=1, code="malformed"))

    def test_P13_seen(self) -> None:
        """Seen names streams of its receiver alone."""
        for stream in (*FOREIGN, BOBS):
            self.violates(Seen(stream=stream, seq=1))

    def test_P13_history(self) -> None:
        """A question names streams of its receiver alone, and one that somebody listed."""
        for stream in (*FOREIGN, BOBS, stream_name(CONVERSATION, ALICE.id, b"?" * 16)):
            self.violates(History(stream=stream, first=1, last=2))


class AcknowledgementTests(ExchangeTestCase):
    """P14: forged acknowledgements."""

    def test_confirmed(self) -> None:
        """A moved holding confirms all up to it, and the same again moves nothing."""
        effects, moved = self.exchange.receive(self.acknowledges(2))
        self.assertEqual((effects, moved), ([Confirmed(self.outgoing, 2, HEADS[2], (1, 2))], True))
        self.assertEqual(self.exchange.receive(self.acknowledges(2)), ([], False))
        effects, _ = self.exchange.receive(self.acknowledges(3))
        self.assertEqual(effects, [Confirmed(self.outgoing, 3, HEADS[3], (3,))])

    def test_P14_ahead(self) -> None:
        """What was not sent on this link cannot be confirmed."""
        for seq in (4, 2**53 - 1):
            self.setUp()
            self.violates(self.acknowledges(seq, HEADS[3]))

    def test_P14_wrong_head(self) -> None:
        """A head that does not fit is a violation, moved or not."""
        self.violates(self.acknowledges(2, HEADS[1]))
        self.setUp()
        self.violates(self.acknowledges(2), self.acknowledges(2, HEADS[1]))
        self.setUp()
        self.violates(self.acknowledges(0, HEADS[1]))

    def test_P14_wrong_head_after_link_up(self) -> None:
        """Nor may the head change that was listed at link-up."""
        self.exchange = self.make()
        self.outgoing.confirmed_seq, self.outgoing.next_seq = 2, 3
        self.link(self.holds(2))
        self.assertEqual(self.exchange.receive(self.acknowledges(2)), ([], False))
        self.violates(self.acknowledges(2, HEADS[1]))

    def test_P14_backwards(self) -> None:
        """A holding does not move backwards on one link."""
        self.violates(self.acknowledges(2), self.acknowledges(1))
        self.setUp()
        self.violates(self.acknowledges(2), self.acknowledges(0))

    def test_P14_unknown_stream(self) -> None:
        """A stream of ours that we did not send cannot be confirmed."""
        self.violates(self.acknowledges(1, stream=stream_name(CONVERSATION, ALICE.id, b"?" * 16)))

    def test_P14_before_it_is_settled(self) -> None:
        """Nothing is confirmed before anything was sent."""
        self.exchange = self.make()
        self.violates(Have(streams=(self.holds(0),), last=True), self.acknowledges(1))

    def test_P14_seen_ahead(self) -> None:
        """Seen never goes beyond what its sender said that it holds."""
        self.violates(Seen(stream=STREAM, seq=1))
        self.setUp()
        self.violates(self.acknowledges(2), Seen(stream=STREAM, seq=3))
        self.setUp()
        self.violates(Seen(stream=stream_name(CONVERSATION, ALICE.id, b"?" * 16), seq=1))

    def test_seen_moves_up(self) -> None:
        """A seen that moves is told once; one that does not move is charged, and changes nothing."""
        self.exchange.receive(self.acknowledges(3))
        self.assertEqual(self.exchange.receive(Seen(stream=STREAM, seq=2)), ([SeenThere(self.outgoing, 2)], True))
        for seq in (2, 1):
            self.assertEqual(self.exchange.receive(Seen(stream=STREAM, seq=seq)), ([], False))

    def test_seen_of_what_we_no_longer_know(self) -> None:
        """A reader that repeats what it saw of a stream that we lost says nothing wrong."""
        lost = stream_name(CONVERSATION, ALICE.id, b"l" * 16)
        self.exchange = self.make()
        self.link(self.holds(3, stream=lost), self.holds(7, HEADS[3]))
        self.assertEqual(self.exchange.receive(Seen(stream=lost, seq=3)), ([], False))
        self.assertEqual(self.exchange.receive(Seen(stream=STREAM, seq=7)), ([], False))
        self.violates(Seen(stream=STREAM, seq=8))

    def test_P14_refused_ahead(self) -> None:
        """What was neither sent nor listed cannot be refused."""
        self.violates(Refused(stream=STREAM, seq=4, code="malformed"))

    def test_refused(self) -> None:
        """What was sent may be refused before it is confirmed; each refusal moves something once."""
        refused = Refused(stream=STREAM, seq=2, code="malformed")
        self.assertEqual(self.exchange.receive(refused), ([RefusedThere(self.outgoing, 2, "malformed")], True))
        self.assertFalse(self.exchange.receive(refused)[1])
        self.exchange.refused(self.outgoing, 2)
        (confirmed,) = self.exchange.receive(self.acknowledges(3))[0]
        self.assertEqual(confirmed, Confirmed(self.outgoing, 3, HEADS[3], (1, 3)))

    def test_refused_of_what_we_no_longer_know(self) -> None:
        """A reader that repeats a refusal in a stream that we lost, wholly or in part, says nothing wrong."""
        lost = stream_name(CONVERSATION, ALICE.id, b"l" * 16)
        self.exchange = self.make()
        self.link(self.holds(3, stream=lost), self.holds(7, HEADS[3]))
        self.assertEqual(self.exchange.receive(Refused(stream=lost, seq=3, code="malformed")), ([], False))
        self.assertEqual(self.exchange.receive(Refused(stream=STREAM, seq=6, code="malformed")), ([], False))

    def test_processed_moves_once(self) -> None:
        """What the author processed is told when it moves; said again it is charged."""
        processed = Have(streams=(self.of_bob(processed=1),))
        self.assertEqual(len(self.exchange.receive(processed)[0]), 1)
        self.assertEqual(self.exchange.receive(processed), ([], False))

    def test_have_that_says_nothing_new_is_charged(self) -> None:
        """Haves that move no vector count against the rate."""
        self.assertEqual(self.exchange.receive(Have(streams=())), ([], False))
        self.assertEqual(self.exchange.receive(Have(streams=(self.of_bob(),))), ([], False))


class WindowTests(ExchangeTestCase):
    def test_window(self) -> None:
        """A window that grew lets what waits go on; one that stays is charged; one that shrank is a violation."""
        self.assertEqual(self.exchange.receive(Window(entries=256, bytes=262_144)), ([], False))
        effects, moved = self.exchange.receive(Window(entries=300, bytes=262_144))
        self.assertEqual((len(effects), moved), (1, True))
        self.violates(Window(entries=299, bytes=300_000))


class HistoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.desks = Desks()
        self.alice, self.bob = self.desks.alice, self.desks.bob
        self.alice.write(*words(10))
        self.desks.link()
        (self.stream,) = self.alice.disk.written

    def answered(self, first: int, last: int) -> list[Message]:
        """What Alice says to a question of Bob's; each can be read again."""
        exchange = self.alice.exchange
        assert exchange is not None
        said: list[Message] = []
        self.alice.send = said.append
        self.alice.take(History(stream=self.stream, first=first, last=last))
        for message in said:
            self.assertEqual(decode(encode(message)), message)
        return said

    def test_answered_in_order(self) -> None:
        """Older entries come in order, marked as history, and then the range that was answered."""
        said = self.answered(3, 5)
        self.assertEqual([message.seq for message in said if isinstance(message, Entry)], [3, 4, 5])
        self.assertTrue(all(message.history for message in said if isinstance(message, Entry)))
        self.assertEqual(said[-1], History(stream=self.stream, first=3, last=5))

    def test_beyond_what_there_is(self) -> None:
        """A question that goes beyond what was written is answered with what there is, and ends with its range."""
        for first, last, seqs in ((9, 2**53 - 1, [9, 10]), (11, 12, []), (2**53 - 1, 2**53 - 1, [])):
            said = self.answered(first, last)
            self.assertEqual([message.seq for message in said if isinstance(message, Entry)], seqs)
            self.assertEqual(said[-1], History(stream=self.stream, first=first, last=last))

    def test_of_an_empty_stream(self) -> None:
        """Where nothing was written yet there is nothing to answer but the range."""
        self.desks = Desks()
        self.alice = self.desks.alice
        self.alice._current()
        self.desks.link()
        (self.stream,) = self.alice.disk.written
        self.assertEqual(self.answered(1, 5), [History(stream=self.stream, first=1, last=5)])

    def test_F22_of_a_stream_that_is_no_more(self) -> None:
        """An author that was rolled back has nothing of a stream that it replaced, or never wrote, and says so."""
        exchange = self.alice.exchange
        assert exchange is not None
        exchange.resume(())
        lost = stream_name(CONVERSATION, BOB.id, b"l" * 16)
        holding = Holding(stream=lost, first=1, base=first_head(lost), seq=5, head=b"h" * 32)
        bob = Exchange(BOB.id, ALICE.id, (), ())
        bob.receive(Have(streams=(holding,), last=True))
        for asked, name in ((exchange, self.stream), (bob, lost)):
            question = History(stream=name, first=1, last=5)
            self.assertEqual(asked.receive(question), ([NothingOlder(question)], False))

    def test_backwards(self) -> None:
        """A range that ends before it begins is a violation."""
        error = refusal_of(lambda: self.answered(5, 4))
        assert error is not None
        self.assertIs(error.code, EndCode.VIOLATION)

    def test_inside_the_window(self) -> None:
        """An answer waits for room like everything else, and goes on when there is some."""
        exchange = self.alice.exchange
        assert exchange is not None
        exchange.credit.spend([1] * (exchange.credit.entries - 2))
        said = self.answered(1, 5)
        self.assertEqual([message.seq for message in said if isinstance(message, Entry)], [1, 2])
        self.alice.take(Window(entries=5000, bytes=5_000_000))
        self.assertEqual([message.seq for message in said if isinstance(message, Entry)], [1, 2, 3, 4, 5])
        self.assertEqual(said[-1], History(stream=self.stream, first=1, last=5))

    def test_too_many_questions(self) -> None:
        """Questions that wait are few."""
        exchange = self.alice.exchange
        assert exchange is not None
        for _ in range(MAX_QUESTIONS):
            exchange.receive(History(stream=self.stream, first=1, last=5))
        error = refusal_of(lambda: exchange.receive(History(stream=self.stream, first=1, last=5)))
        assert error is not None
        self.assertIs(error.code, EndCode.RATE)
