"""p2pchat.ui.transcript: what is written, and what a reader can rely on."""

import os
import re
import stat
from datetime import datetime
from pathlib import Path

from hypothesis import given, settings, strategies as st
from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2pchat import api
from p2pchat.config import PeerSettings
from p2pchat.core.errors import StoreError, UserError
from p2pchat.core.text import Kind, clean
from p2pchat.ui import front
from p2pchat.ui.front import FrontEnd
from p2pchat.ui.transcript import Transcript
from p2pchat.ui.words import short_id
from tests.appended import AtOnce
from tests.fake_api import BOB, CAROL, FakeApi, stored


def said(text, number=1, who=BOB):
    return api.Said(person=who, number=number, text=text, kind="text", at=0, entry=number)


def queued(text, number=1, who=BOB):
    return api.Queued(person=who, author="alice", number=number, text=text, at=0)


def parse(text):
    """A reader written from the docstring alone: (chat, author, number, text) of every message."""
    messages, chat = [], None
    for line in text.splitlines():
        if line.startswith("  | "):
            messages[-1][3] += f"\n{line[4:]}"
            continue
        rest = line[20:]
        if found := re.fullmatch(r"-- chat: (\S+) \(\S+\)", rest):
            chat = found[1]
        elif found := re.fullmatch(r"(\S+)#(\d+): (.*)", rest):
            messages.append([chat, found[1], int(found[2]), found[3]])
    return messages


class TranscriptTests(SynchronousTestCase):
    """A file that grows."""

    def setUp(self):
        self.path = Path(self.mktemp())
        self.failed = []
        self.transcript = Transcript(AtOnce(self.path), lambda: 1_795_338_000.0, self.failed.append)
        self.addCleanup(self.transcript.close)

    def take(self, *events):
        for event in events:
            self.transcript.take(event)
        return self.path.read_text()

    def texts(self):
        return [line[20:] for line in self.path.read_text().splitlines()]

    def test_format(self):
        """Both sides with numbers and receipts, each with its time, as they happen."""
        self.transcript.open()
        self.take(
            queued("hello\nthere", 13),
            api.Delivered(person=BOB, numbers=(13,), at=0),
            said("hi", 7),
            api.Seen(person=BOB, numbers=(12, 13, 14), at=0),
        )
        self.assertEqual(
            self.texts(),
            [
                f"-- chat: bob ({short_id(BOB.id)})",
                "alice#13: hello",
                "",
                "-- bob: delivered #13",
                "bob#7: hi",
                "-- bob: seen #12-#14",
            ],
        )
        lines = self.path.read_text().splitlines()
        self.assertEqual(lines[2], "  | there")
        self.assertRegex(lines[1], r"^2026-11-2\d \d\d:\d\d:00 alice#13: hello$")

    def test_as_it_happens(self):
        """A line is in the file when `take` returns."""
        self.transcript.open()
        self.assertIn("alice#1: a", self.take(queued("a")))

    def test_chats(self):
        """Where the chat changes a line says so, so that it is clear to whom one's own lines went."""
        self.transcript.open()
        self.take(queued("a"), said("b"), queued("c", who=CAROL), queued("d", 2))
        self.assertEqual(
            parse(self.path.read_text()),
            [["bob", "alice", 1, "a"], ["bob", "bob", 1, "b"], ["carol", "alice", 1, "c"], ["bob", "alice", 2, "d"]],
        )

    def test_what_happens(self):
        """Servers and chats come and go in it; presence and requests do not."""
        self.transcript.open()
        online = api.ServerStatus(id="s", address="lab1:8888", state="online", handle="alice")
        lost = api.ServerStatus(id="s", address="lab1:8888", state="lost")
        self.take(
            api.ServerChanged(server=online, open_chats=0),
            api.ServerChanged(server=lost, open_chats=1),
            api.PresenceChanged(person=CAROL),
            api.Back(person=BOB),
        )
        self.assertEqual(
            [text for text in self.texts() if "-- chat:" not in text][1:],
            ["-- server lost; 1 chat goes on", "-- bob is back"],
        )

    @given(st.lists(st.tuples(st.booleans(), st.text(max_size=80)), max_size=8))
    @settings(max_examples=60)
    def test_X6_no_text_imitates_a_record(self, texts):
        """Whatever is said, a reader finds exactly the messages that were said, cleaned."""
        path = Path(self.mktemp())
        transcript = Transcript(AtOnce(path), lambda: 0.0, self.failed.append)
        transcript.open()
        for number, (mine, text) in enumerate(texts, 1):
            transcript.take((queued if mine else said)(text, number))
        transcript.close()
        self.assertEqual(
            [message[1:] for message in parse(path.read_text())],
            [["alice" if mine else "bob", n, clean(text, Kind.BODY)] for n, (mine, text) in enumerate(texts, 1)],
        )

    def test_all_receipts(self):
        """Receipts are written whole, however many gaps they have."""
        self.transcript.open()
        self.take(api.Delivered(person=BOB, numbers=tuple(range(1, 100, 2)), at=0))
        self.assertEqual(self.texts()[-1].count("#"), 50)

    def test_private_and_appended(self):
        """The file is 0600, is appended to, and half a line of a killed process is marked first."""
        self.path.write_text("half a li")
        self.path.chmod(0o600)
        self.transcript.open()
        self.take(queued("a"))
        self.successResultOf(Deferred.fromCoroutine(self.transcript.catch_up(FakeApi())))
        self.assertTrue(self.path.read_text().startswith("half a li... [cut off]\n20"))
        new = Path(self.mktemp())
        other = Transcript(AtOnce(new), lambda: 0.0, self.failed.append)
        other.open()
        other.close()
        self.assertEqual(stat.S_IMODE(new.stat().st_mode), 0o600)

    def test_cannot_open(self):
        """A file that cannot be opened is one line."""
        for path in (Path(self.mktemp()) / "no" / "such", Path(".")):
            transcript = Transcript(AtOnce(path), lambda: 0.0, self.failed.append)
            self.assertIn("choose another file", str(self.assertRaises(StoreError, transcript.open)))

    def test_full_disk(self):
        """A disk that takes no more is told once, and nothing more is tried."""
        transcript = Transcript(AtOnce(Path("/dev/full")), lambda: 0.0, self.failed.append)
        transcript.open()
        transcript.take(queued("a"))
        transcript.take(queued("b"))
        self.assertEqual(len(self.failed), 1)
        self.assertIn("No space left", str(self.failed[0]))

    def test_no_room(self):
        """What finds no room is counted, and said before what follows, which names its chat."""
        file = AtOnce(self.path)
        transcript = Transcript(file, lambda: 1_795_338_000.0, self.failed.append)
        transcript.open()
        transcript.take(queued("a"))
        file.full = True
        transcript.take(said("lost", who=CAROL))
        transcript.take(queued("lost too", 2, who=CAROL))
        file.full = False
        transcript.take(said("found", 2, who=CAROL))
        self.assertEqual(
            self.texts()[2:],
            ["-- 2 records are missing here", f"-- chat: carol ({short_id(CAROL.id)})", "carol#2: found"],
        )
        self.assertEqual(parse(self.path.read_text())[-1], ["carol", "carol", 2, "found"])
        file.full = True
        transcript.take(queued("lost", 3, who=CAROL))
        transcript.close()
        self.assertEqual(self.texts()[-1], "-- 1 record is missing here")

    def test_pipe(self):
        """It may be a pipe."""
        reading, writing = os.pipe()
        transcript = Transcript(AtOnce(Path(f"/dev/fd/{writing}")), lambda: 0.0, self.failed.append)
        transcript.open()
        transcript.take(queued("a"))
        self.assertIn(b"alice#1: a\n", os.read(reading, 1000))
        transcript.close()
        os.close(reading)
        os.close(writing)


class ContinuedTests(SynchronousTestCase):
    """A file that is gone on with, by a peer whose store has more than it."""

    def setUp(self):
        self.path = Path(self.mktemp())
        self.held = FakeApi()
        self.failed = []

    def store(self, *lines):
        """Lines that arrive, as the events that tell of them."""
        self.held.lines += lines
        return [
            queued(line.text, line.number, line.person)
            if line.mine
            else api.Said(
                person=line.person, number=line.number, text=line.text, kind=line.kind, at=0, entry=line.entry
            )
            for line in lines
        ]

    def run_once(self, *events, meanwhile=()):
        """A process that writes these, and is killed."""
        transcript = Transcript(AtOnce(self.path), lambda: 1_795_338_000.0, self.failed.append)
        transcript.open()
        for event in meanwhile:
            transcript.take(event)
        self.successResultOf(Deferred.fromCoroutine(transcript.catch_up(self.held)))
        for event in events:
            transcript.take(event)
        transcript.close()
        return self.messages()

    def messages(self):
        return [(chat, author, number) for chat, author, number, _ in parse(self.path.read_text())]

    def bodies(self):
        return [line[20:] for line in self.path.read_text().splitlines() if "-- chat:" not in line]

    def test_new_begins_now(self):
        """A file that is new, or empty, has nothing of what was said before."""
        self.store(stored(1, "a"), stored(2, "b"))
        self.assertEqual(self.run_once(), [])
        self.assertEqual(self.run_once(*self.store(stored(3, "c"))), [("bob", "bob", 3)])

    def test_lacking(self):
        """What it lacks of all chats comes first, in order of arrival; and nothing twice, however often it starts."""
        self.run_once(*self.store(stored(1, "a")))
        lacking = self.store(stored(2, "b", mine=True), stored(3, "c", person=CAROL), stored(4, "d"))
        wanted = [("bob", "bob", 1), ("bob", "alice", 2), ("carol", "carol", 3), ("bob", "bob", 4)]
        # The last of them came while it caught up, and so did one that is not committed yet for whoever reads.
        late = said("e", 5)
        self.assertEqual(self.run_once(meanwhile=[*lacking[1:], late]), [*wanted, ("bob", "bob", 5)])
        self.store(stored(5, "e"))
        self.assertEqual(self.run_once(), [*wanted, ("bob", "bob", 5)])
        self.assertEqual(self.run_once(), [*wanted, ("bob", "bob", 5)])

    def test_time_of_arrival(self):
        """What is written late carries the time at which it arrived."""
        self.run_once(*self.store(stored(1, "a")))
        at = 1_795_338_777
        self.store(stored(2, "b", arrived=at * 1000))
        self.run_once()
        (line,) = [line for line in self.path.read_text().splitlines() if "bob#2" in line]
        self.assertEqual(datetime.fromisoformat(line[:19]).timestamp(), at)

    def test_many(self):
        """However much it lacks, and however little of a page it takes."""
        self.run_once(*self.store(stored(1, "a")))
        self.store(*(stored(entry, str(entry), mine=entry % 3 == 0) for entry in range(2, 1_000)))
        self.assertEqual([number for _, _, number in self.run_once()], list(range(1, 1_000)))

    def test_receipts_of_long_ago(self):
        """What was delivered is told of every message, however many were said between it and its receipt."""
        lines = [stored(entry, "x", mine=entry % 2 == 0, state="queued") for entry in range(1, 4_001)]
        self.run_once(*self.store(*lines))
        self.held.lines = [replace(line, state="delivered") if line.mine else line for line in lines]
        self.run_once()
        told = [line for line in self.bodies() if "delivered" in line]
        self.assertEqual(len(told), 1)
        numbers = [int(number) for number in re.findall(r"#(\d+)", told[0])]
        self.assertEqual(numbers, [line.number for line in lines if line.mine])

    @given(st.lists(st.integers(0, 400), max_size=8), st.integers(3, 12))
    @settings(max_examples=40, deadline=None)
    def test_killed_anywhere(self, cuts, count):
        """Killed within any byte, as often as you like: in the end every message stands there once, in order."""
        self.path, self.held = Path(self.mktemp()), FakeApi()
        self.run_once(*self.store(stored(1, "first")))
        keep = self.path.stat().st_size
        for turn, cut in enumerate(cuts):
            first = len(self.held.lines) + 1
            self.store(
                *(
                    stored(entry, f"text\n{turn}", mine=entry % 2 == 0, person=BOB if entry % 3 else CAROL)
                    for entry in range(first, first + count)
                )
            )
            self.run_once()
            with self.path.open("r+b") as file:
                file.truncate(max(keep, self.path.stat().st_size - cut))
        self.run_once()
        self.assertEqual([number for _, _, number in self.messages()], list(range(1, len(self.held.lines) + 1)))
        texts = [text for *_, text in parse(self.path.read_text())]
        self.assertEqual(texts, [line.text for line in self.held.lines])

    def test_deleted(self):
        """What was deleted does not come back, and what came after it is found behind it."""
        self.run_once(*self.store(stored(1, "a"), stored(2, "b")))
        gone = [stored(entry, "", state="deleted") for entry in (1, 2, 3)]
        self.held.lines = [*gone, stored(4, "d")]
        self.assertEqual([number for _, _, number in self.run_once()], [1, 2, 4])

    def test_receipts(self):
        """Receipts that were not written are told of what is compared or added, once."""
        first, second = (stored(n, "a", mine=True) for n in (1, 2))
        self.run_once(*self.store(first, second), api.Delivered(person=BOB, numbers=(1,), at=0))
        self.run_once(api.Seen(person=BOB, numbers=(2,), at=0))
        states = ("seen", "seen", "queued", "delivered", "taken back")
        self.held.lines = [stored(n, "a", mine=True, state=state) for n, state in enumerate(states, 1)]
        meanwhile = [api.Delivered(person=BOB, numbers=(2, 3), at=0), api.TakenBack(person=BOB, number=5)]
        self.run_once(meanwhile=meanwhile)
        told = ["alice#3: a", "alice#4: a", "-- bob: delivered #2 #4", "-- bob: seen #1"]
        told += ["-- #5 to bob was taken back before it left", "-- bob: delivered #3"]
        self.assertEqual(self.bodies()[4:], told)
        before = self.path.read_text()
        self.held.lines[2] = stored(3, "a", mine=True, state="delivered")
        self.run_once()
        self.assertEqual(self.path.read_text(), before)

    def test_nothing_said_yet(self):
        """Where no message stands there yet, what arrived since its first record is what it lacks."""
        self.run_once(api.Back(person=BOB))
        begun = 1_795_338_000
        times = (begun - 5, begun, begun + 1)
        self.store(*(stored(entry, "a", arrived=at * 1000) for entry, at in enumerate(times, 1)))
        self.assertEqual([number for _, _, number in self.run_once()], [2, 3])

    def test_another_store(self):
        """Where nothing of it is known, it goes on with what arrived since."""
        self.run_once(said("a", 77))
        times = (1_795_337_000, 1_795_338_001)
        self.store(*(stored(entry, "b", arrived=at * 1000) for entry, at in enumerate(times, 1)))
        self.assertEqual([number for _, _, number in self.run_once()], [77, 2])

    def test_held_back(self):
        """Nothing is written before it has caught up; and nothing if the peer does not say what it has."""
        self.run_once(*self.store(stored(1, "a")))
        before = self.path.read_text()
        self.held.refuse[api.ShowArrivals] = UserError("the disk failed")
        transcript = Transcript(AtOnce(self.path), lambda: 0.0, self.failed.append)
        transcript.open()
        transcript.take(said("b", 2))
        self.failureResultOf(Deferred.fromCoroutine(transcript.catch_up(self.held)), UserError)
        transcript.close()
        transcript.take(said("c", 3))
        self.assertEqual(self.path.read_text(), before)

    def test_what_found_no_room(self):
        """What was left out is written when the file is gone on with."""
        self.run_once(*self.store(stored(1, "a")))
        file = AtOnce(self.path)
        transcript = Transcript(file, lambda: 1_795_338_000.0, self.failed.append)
        transcript.open()
        self.successResultOf(Deferred.fromCoroutine(transcript.catch_up(self.held)))
        one, other, last = self.store(stored(2, "b"), stored(3, "c"), stored(4, "d", mine=True))
        file.full = True
        transcript.take(one)
        transcript.take(other)
        file.full = False
        transcript.take(last)
        transcript.close()
        self.assertEqual(self.run_once()[-3:], [("bob", "alice", 4), ("bob", "bob", 2), ("bob", "bob", 3)])


class FrontEndTests(SynchronousTestCase):
    """What a front end makes of a transcript that is gone on with."""

    def setUp(self):
        self.held, self.ended = FakeApi(), []
        path = Path(self.mktemp()).absolute()
        path.write_text("half a li")
        settings = PeerSettings(state=path.parent, transcript=path)
        self.patch(front, "InThread", AtOnce)
        self.front = FrontEnd(settings, self.held, Clock(), lambda: 0.0, lambda *end: self.ended.append(end))
        self.begun = []
        self.front.caught_up = lambda: self.begun.append(True)
        self.front.startService()

    def test_waits(self):
        """Nothing that may end the process begins before it has caught up, and not once it is stopped."""
        waiting, answer = Deferred(), self.held.execute
        self.held.execute = lambda asked: waiting if isinstance(asked, api.ShowArrivals) else answer(asked)
        self.front.begin()
        self.assertEqual(self.begun, [])
        self.front.stopService()
        self.assertTrue(waiting.called)
        self.assertEqual((self.begun, self.ended), ([], []))

    def test_caught_up(self):
        """Then it begins."""
        self.front.begin()
        self.front.stopService()
        self.assertEqual((self.begun, self.ended), ([True], []))

    def test_cannot_go_on(self):
        """A peer that does not say what it has is one line, and the end."""
        self.held.refuse[api.ShowArrivals] = UserError("the disk failed")
        self.front.begin()
        self.assertEqual(self.ended, [(1, "p2pchat-peer: cannot go on with the transcript: the disk failed")])
        self.assertEqual(self.begun, [])
