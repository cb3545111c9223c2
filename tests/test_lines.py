"""p2pchat.ui.lines, source, output: a file or a pipe to one person, and lines to a pipe."""

import os
import threading
from pathlib import Path

from hypothesis import given, settings, strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from p2pchat import api
from p2pchat.config import PeerSettings
from p2pchat.core.errors import OutboxFull, StoreFull, StoreUnsure
from p2pchat.core.text import CUT
from p2pchat.ui import lines
from p2pchat.ui.drawing import Line, Origin
from p2pchat.ui.lines import HANDLE_WAIT, Lines
from p2pchat.ui.output import WAITING_BYTES, Output
from p2pchat.ui.source import Source
from p2pchat.ui.splitter import LINE_BYTES, Splitter
from tests.fake_api import BOB, CAROL, FakeApi, person


class FakeSource:
    """An input of given pieces; a further read waits for `put`."""

    def __init__(self, *pieces, error=None):
        self.pieces, self.error, self.reads, self.closed = list(pieces), error, 0, False
        self.reader = None

    def open(self):
        return Deferred.fromCoroutine(self._open())

    async def _open(self):
        if self.error is not None:
            raise self.error
        return b""

    def read(self):
        self.reads += 1
        if self.pieces:
            return succeed(self.pieces.pop(0))
        self.reader = Deferred()
        return self.reader

    def put(self, data):
        self.reader.callback(data)

    def close(self):
        self.closed = True


class LinesTests(SynchronousTestCase):
    """Sending an input."""

    closed_bob = person("bob", chat="none", contact=True)

    def start(self, *pieces, people=(), error=None, **options):
        self.api = FakeApi(*(people or (self.closed_bob, CAROL)))
        self.clock, self.ended = Clock(), []
        self.source = FakeSource(*pieces, error=error)
        options = {"to": "bob", "input": "-"} | options
        settings = PeerSettings(state=Path("/x"), **options)
        self.lines = Lines(self.api, self.clock, self.source, settings, lambda *ending: self.ended.append(ending))
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))
        self.addCleanup(self.lines.stop)
        self.lines.begin()

    def open(self):
        self.api.tell(api.Opened(person=BOB, again=False))

    def deliver(self, *numbers):
        self.api.tell(api.Delivered(person=BOB, numbers=numbers, at=0))

    def test_whole_way(self):
        """It connects, sends every line in order when the chat is open, waits for all, and exits 0 in silence."""
        self.start(b"one\n\ntwo\nthr", b"ee", b"")
        self.assertEqual(self.api.asked, [api.Connect(who="bob", contact_only=True)])
        self.open()
        self.assertEqual(self.api.said(), ["one", "", "two", "three"])
        self.deliver(1, 2, 3)
        self.assertEqual(self.ended, [])
        self.deliver(4)
        self.assertEqual(self.ended, [(0, "")])

    def test_timeout_of_a_pipe_that_goes_on(self):
        """What is said while nothing is delivered does not begin the timeout anew."""
        self.start(b"one\n", timeout=30.0)
        self.open()
        self.clock.advance(20)
        self.source.put(b"two\n")
        self.assertEqual(self.api.said(), ["one", "two"])
        self.clock.advance(9.9)
        self.assertEqual(self.ended, [])
        self.clock.advance(0.1)
        ((code, line),) = self.ended
        self.assertEqual(code, 3)
        self.assertIn("2 of 2 messages wait", line)

    def test_open_already(self):
        """Where the chat is open from before, nobody is waited for."""
        self.start(b"one\n", b"", people=(BOB,))
        self.assertEqual(self.api.said(), ["one"])

    def test_empty_input(self):
        """An empty input has nothing to deliver: exit 0 without waiting for consent."""
        self.start(b"")
        self.assertEqual(self.ended, [(0, "")])

    def test_pipe_that_goes_on(self):
        """A pipe is sent as it comes, and its end is waited for."""
        self.start(b"one\n")
        self.open()
        self.deliver(1)
        self.source.put(b"two\n")
        self.assertEqual(self.api.said(), ["one", "two"])
        self.deliver(2)
        self.assertEqual(self.ended, [])
        self.source.put(b"")
        self.assertEqual(self.ended, [(0, "")])

    def test_refused(self):
        """A refused request is 4, in one line; nothing was sent."""
        self.start(b"one\n", b"")
        self.api.tell(api.Ended(person=BOB, address="", reason="rejected"))
        self.assertEqual(self.ended, [(4, "p2pchat-peer: bob: refused to chat; nothing was sent")])
        self.assertEqual(self.api.said(), [])
        self.assertTrue(self.source.closed)

    def test_closed_in_the_middle(self):
        """A chat that is closed before all is delivered is 4, and says how much waits."""
        self.start(b"one\ntwo\n")
        self.open()
        self.deliver(1)
        self.api.tell(api.Ended(person=BOB, address="", reason="closed"))
        ((code, line),) = self.ended
        self.assertEqual(code, 4)
        self.assertIn("1 of 2 messages wait", line)

    def test_no_such_contact(self):
        """Nobody known is 5."""
        self.start(b"one\n", to="dora")
        self.assertEqual([code for code, _ in self.ended], [5])

    def test_trust_first(self):
        """--trust-first waits until the roster knows the handle; 5 if it never does."""
        self.start(b"one\n", to="dora", trust_first=True)
        self.assertEqual(self.ended, [])
        self.api.people[BOB.id] = person("dora", id=BOB.id)
        self.api.tell(api.PresenceChanged(person=BOB))
        self.assertEqual(self.api.asked[-1], api.Connect(who="dora"))
        self.open()
        self.assertEqual(self.api.said(), ["one"])
        self.start(b"one\n", to="dora", trust_first=True)
        self.clock.pump([1.0] * int(HANDLE_WAIT + 1))
        self.assertEqual([code for code, _ in self.ended], [5])

    def test_address(self):
        """With --trust-first, whoever answers at an address is taken."""
        self.start(b"one\n", to="10.0.0.9", trust_first=True)
        self.api.tell(api.Answered(person=BOB, address="10.0.0.9:6666"))
        self.assertEqual(self.api.asked[-1], api.Confirm(who=BOB.id))
        self.open()
        self.assertEqual(self.api.said(), ["one"])

    def test_timeout_before_consent(self):
        """Nobody reached within --timeout is 3."""
        self.start(b"one\n", timeout=30.0)
        self.clock.advance(30)
        ((code, line),) = self.ended
        self.assertEqual(
            (code, line), (3, "p2pchat-peer: not delivered within 30 s: bob was not reached; nothing was sent")
        )

    def test_timeout_over_links_that_end_at_once(self):
        """Whose disk is full opens links for ever and takes nothing: that begins no timeout anew."""
        self.start(b"one\n", timeout=30.0)
        self.open()
        for _ in range(2):
            self.clock.advance(20)
            self.api.tell(api.Opened(person=BOB, again=True))
        self.assertEqual([code for code, _ in self.ended], [3])

    def test_timeout_counts_from_the_last_delivery(self):
        """Every delivery gives new time; a silent pipe with everything delivered takes none."""
        self.start(b"one\ntwo\n", timeout=30.0)
        self.open()
        self.clock.advance(29)
        self.deliver(1)
        self.clock.advance(29)
        self.deliver(2)
        self.clock.advance(1000)
        self.assertEqual(self.ended, [])
        self.source.put(b"three\n")
        self.clock.advance(30)
        self.assertEqual([code for code, _ in self.ended], [3])

    def test_not_taken_by_the_other_side(self):
        """A message that the other side cannot take is 3 at the end, and named."""
        self.start(b"one\ntwo\n", b"")
        self.open()
        self.api.tell(api.NotDelivered(person=BOB, number=1, reason="too-big"))
        self.deliver(2)
        ((code, line),) = self.ended
        self.assertEqual(code, 3)
        self.assertIn("bob could not take #1", line)

    def test_disk_full(self):
        """A message that our own disk does not take is 1, in one line; nothing more is read."""
        self.start(b"one\n")
        self.api.refuse[api.SayAll] = StoreFull("the disk is full; make room")
        self.open()
        ((code, line),) = self.ended
        self.assertEqual(code, 1)
        self.assertEqual(line, "p2pchat-peer: not sent: the disk is full; make room; nothing was sent")

    def test_disk_failed_in_the_middle(self):
        """Where nobody knows whether our own disk has a message nothing says that it was not sent."""
        self.start(b"one\n")
        self.api.refuse[api.SayAll] = StoreUnsure("the disk failed: whether it is stored is not known")
        self.open()
        ((code, line),) = self.ended
        self.assertEqual(code, 3)
        self.assertTrue(line.startswith("p2pchat-peer: the disk failed: whether it is stored is not known; "), line)
        self.assertIn("whether 1 more are on this disk is not known", line)

    def test_vanished_file(self):
        """A file that cannot be read is one line and 1, and nobody is bothered."""
        self.start(error=FileNotFoundError(2, "No such file or directory"), input="/gone/notes.txt")
        self.assertEqual(
            self.ended, [(1, "p2pchat-peer: cannot read /gone/notes.txt: No such file or directory; nothing was sent")]
        )
        self.assertEqual(self.api.asked, [])

    def test_binary(self):
        """Bytes that are no UTF-8 become U+FFFD, and are counted on stderr; NUL goes as it is."""
        self.start(b"a\xff\xfeb\x00\n", b"")
        self.open()
        self.deliver(1)
        self.assertEqual(self.api.said(), ["a\ufffd\ufffdb\x00"])
        ((code, line),) = self.ended
        self.assertEqual(code, 0)
        self.assertIn("2 pieces of the input were no UTF-8", line)

    def test_back_pressure(self):
        """Lines that were read together are said together; nothing is said or read until they are committed."""
        self.start(b"x\n" * (2 * api.MOST_SAID + 100), b"last\n", b"")
        self.api.hold = True
        self.open()
        for count in (api.MOST_SAID, 2 * api.MOST_SAID, 2 * api.MOST_SAID + 100):
            self.assertEqual((len(self.api.said()), self.source.reads), (count, 1))
            self.api.commit(1)
        self.assertEqual(self.api.said()[-1], "last")
        self.api.commit()
        self.deliver(*range(1, 2 * api.MOST_SAID + 102))
        self.assertEqual(self.ended, [(0, "")])

    def test_F26_nothing_goes_out_behind_what_was_refused(self):
        """If lines are refused those behind them are not sent, though there may be room for fewer of them."""
        self.start(b"x\n" * (api.MOST_SAID + 1), b"last\n", b"")
        self.api.hold = True
        self.open()
        self.api.refuse[api.SayAll] = OutboxFull("250000 messages wait for them already")
        self.api.commit()
        del self.api.refuse[api.SayAll]
        self.assertEqual(len(self.api.said()), api.MOST_SAID + 1, "the second command was refused")
        ((code, line),) = self.ended
        self.assertEqual(code, 1)
        self.assertEqual(
            line,
            "p2pchat-peer: not sent: 250000 messages wait for them already; 256 of 256 messages wait on this disk "
            "and go out when the two of you chat again",
        )
        self.assertEqual(self.source.reads, 1)

    def test_ends_while_a_commit_is_under_way(self):
        """What is on its way to the disk is neither claimed nor denied."""
        self.start(b"one\n", b"two\nthree\n")
        self.api.hold = True
        self.open()
        self.api.commit(1)
        self.api.tell(api.Ended(person=BOB, address="", reason="closed"))
        ((_, line),) = self.ended
        self.assertIn("1 of 1 messages wait on this disk", line)
        self.assertIn("whether 2 more are on this disk is not known", line)

    def test_back_pressure_of_a_slow_reader(self):
        """No more than so many wait for their delivery; each that is delivered lets another one be read."""
        self.patch(lines, "MOST_UNDELIVERED", 3)
        self.start(b"1\n2\n3\n4\n5\n", b"")
        self.open()
        self.assertEqual(self.api.said(), ["1", "2", "3"])
        self.deliver(1)
        self.assertEqual(self.api.said(), ["1", "2", "3", "4"])
        self.deliver(2, 3, 4)
        self.deliver(5)
        self.assertEqual(self.ended, [(0, "")])

    def test_delivered_before_accepted(self):
        """A delivery that overtakes the reply counts."""
        self.start(b"one\n", b"")
        self.api.hold = True
        self.open()
        self.deliver(1)
        self.assertEqual(self.ended, [])
        self.api.commit()
        self.assertEqual(self.ended, [(0, "")])

    def test_older_messages_do_not_count(self):
        """What was delivered of an earlier run does not end this one."""
        self.start(b"one\n", b"")
        self.api.number = 7
        self.open()
        self.deliver(5, 6, 7)
        self.assertEqual(self.ended, [])
        self.deliver(8)
        self.assertEqual(self.ended, [(0, "")])

    def test_others_do_not_count(self):
        """Other people's chats, refusals and receipts change nothing."""
        self.start(b"one\n", b"")
        self.api.tell(api.Opened(person=CAROL, again=False), api.Ended(person=CAROL, address="", reason="rejected"))
        self.assertEqual(self.api.said(), [])
        self.open()
        self.api.tell(api.Delivered(person=CAROL, numbers=(1,), at=0))
        self.assertEqual(self.ended, [])

    def test_bug(self):
        """A bug is logged and ends with 1."""
        self.start(b"one\n")
        self.api.refuse[api.SayAll] = ZeroDivisionError()
        self.open()
        self.assertEqual([code for code, _ in self.ended], [1])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class SplitterTests(SynchronousTestCase):
    """Bytes into messages."""

    def messages(self, data, size):
        splitter = Splitter()
        told = [m for start in range(0, len(data), size) for m in splitter.feed(data[start : start + size])]
        return [*told, *splitter.end()], splitter

    @given(st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))), st.integers(1, 9))
    @settings(max_examples=100)
    def test_any_pieces(self, lines, size):
        """However the bytes arrive, the lines are the file's, empty ones too."""
        data = "".join(f"{line}\n" for line in lines).encode()
        self.assertEqual(self.messages(data, size)[0], lines)

    def test_ends_of_lines(self):
        """LF and CR LF end a line; the last one needs none."""
        self.assertEqual(self.messages(b"a\r\nb\n\r\nc", 3)[0], ["a", "b", "", "c"])

    def test_megabyte_line(self):
        """A line of megabytes is sent in marked parts without being held, and nothing of it is lost."""
        text = "".join(f"{number:07}é" for number in range(300_000))
        splitter, told, most = Splitter(), [], 0
        data = text.encode() + b"\nnext\n"
        for start in range(0, len(data), 50_001):
            told += splitter.feed(data[start : start + 50_001])
            most = max(most, len(splitter._rest))
        self.assertEqual(told.pop(), "next")
        self.assertTrue(all(len(part.encode()) <= 16_384 for part in told))
        self.assertTrue(all(part.startswith(CUT) for part in told[1:]))
        self.assertTrue(all(part.endswith(CUT) for part in told[:-1]))
        self.assertFalse(told[0].startswith(CUT) or told[-1].endswith(CUT))
        self.assertEqual("".join(part.strip(CUT) for part in told), text)
        self.assertEqual(splitter.replaced, 0)
        self.assertLess(most, LINE_BYTES + 50_001)


class SourceTests(TestCase):
    """Reading in a thread."""

    def read_all(self, source):
        async def run():
            data = await source.open()
            while piece := await source.read():
                data += piece
            source.close()
            return data

        return Deferred.fromCoroutine(run())

    def source(self, origin):
        from twisted.internet import reactor

        return Source(reactor, origin)

    async def test_file(self):
        """A file is read whole, piece by piece."""
        path = Path(self.mktemp())
        path.write_bytes(os.urandom(200_000))
        self.assertEqual(await self.read_all(self.source(path)), path.read_bytes())

    async def test_pipe(self):
        """A pipe is read until its writer closes it, and an idle one holds nothing up."""
        reading, writing = os.pipe()
        source = self.source(reading)
        await source.open()
        piece = source.read()
        self.assertNoResult(piece)
        os.write(writing, b"hello")
        self.assertEqual(await piece, b"hello")
        os.close(writing)
        self.assertEqual(await source.read(), b"")
        source.close()

    async def test_faults(self):
        """A file that is not there, and a directory, fail with OSError."""
        for path in (Path(self.mktemp()), Path(".")):
            with self.assertRaises(OSError):
                await self.read_all(self.source(path))


class OutputTests(TestCase):
    """Writing in a thread."""

    def setUp(self):
        from twisted.internet import reactor

        self.reading, self.writing = os.pipe()
        self.closed = Deferred()
        self.output = Output(reactor, self.writing, self.closed.callback)

    def show(self, text):
        self.output.show(Line(Origin.THEIRS, text, "bob#1: "))

    def drain(self, into):
        while data := os.read(self.reading, 65_536):
            into.append(data)

    async def test_lines(self):
        """Every line is written in order before the end."""
        got = []
        reader = threading.Thread(target=self.drain, args=(got,))
        reader.start()
        self.output.start()
        for number in range(5_000):
            self.show(str(number))
        await self.output.stop()
        os.close(self.writing)
        reader.join()
        os.close(self.reading)
        self.assertEqual(b"".join(got).decode(), "".join(f"  bob#1: {number}\n" for number in range(5_000)))

    async def test_closed(self):
        """A reader that goes away is told of, once, and ends nothing else."""
        os.close(self.reading)
        self.output.start()
        self.show("x")
        self.assertIsInstance(await self.closed, BrokenPipeError)
        self.show("y")
        await self.output.stop()
        os.close(self.writing)

    async def test_closed_while_nothing_is_said(self):
        """That a reader went away is noticed without a line to write."""
        self.output.start()
        self.show("x")
        os.read(self.reading, 100)
        os.close(self.reading)
        self.assertIsInstance(await self.closed, BrokenPipeError)
        await self.output.stop()
        os.close(self.writing)

    async def test_stalled(self):
        """A reader that stalls costs no more than a bounded memory, and is told how much it missed."""
        for _ in range(1_200):
            self.show("x" * 10_000)
        self.assertLess(self.output._bytes, WAITING_BYTES + 1)
        got = []
        reader = threading.Thread(target=self.drain, args=(got,))
        reader.start()
        self.output.start()
        await self.output.stop()
        os.close(self.writing)
        reader.join()
        os.close(self.reading)
        last = b"".join(got).decode().splitlines()[-1]
        self.assertRegex(last, r"^-- \d+ lines were left out here")
