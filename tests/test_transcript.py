"""p2pchat.ui.transcript: what is written, and what a reader can rely on."""

import os
import re
import stat
from pathlib import Path

from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2pchat import api
from p2pchat.core.errors import StoreError
from p2pchat.core.text import Kind, clean
from p2pchat.ui.transcript import Transcript
from p2pchat.ui.words import short_id
from tests.fake_api import BOB, CAROL


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
        self.transcript = Transcript(self.path, lambda: 1_795_338_000.0, self.failed.append)
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
        transcript = Transcript(path, lambda: 0.0, self.failed.append)
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
        """The file is 0600, is appended to, and half a line of a killed process is ended first."""
        self.path.write_text("half a li")
        self.path.chmod(0o600)
        self.transcript.open()
        self.assertTrue(self.take(queued("a")).startswith("half a li\n20"))
        new = Path(self.mktemp())
        other = Transcript(new, lambda: 0.0, self.failed.append)
        other.open()
        other.close()
        self.assertEqual(stat.S_IMODE(new.stat().st_mode), 0o600)

    def test_cannot_open(self):
        """A file that cannot be opened is one line."""
        for path in (Path(self.mktemp()) / "no" / "such", Path(".")):
            transcript = Transcript(path, lambda: 0.0, self.failed.append)
            self.assertIn("choose another file", str(self.assertRaises(StoreError, transcript.open)))

    def test_full_disk(self):
        """A disk that takes no more is told once, and nothing more is tried."""
        transcript = Transcript(Path("/dev/full"), lambda: 0.0, self.failed.append)
        transcript.open()
        transcript.take(queued("a"))
        transcript.take(queued("b"))
        self.assertEqual(len(self.failed), 1)
        self.assertIn("No space left", str(self.failed[0]))

    def test_pipe(self):
        """It may be a pipe."""
        reading, writing = os.pipe()
        transcript = Transcript(Path(f"/dev/fd/{writing}"), lambda: 0.0, self.failed.append)
        transcript.open()
        transcript.take(queued("a"))
        self.assertIn(b"alice#1: a\n", os.read(reading, 1000))
        transcript.close()
        os.close(reading)
        os.close(writing)
