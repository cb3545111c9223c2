"""p2pchat.ui.typed: what was typed, on the disk."""

import json
import os
from pathlib import Path

from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.ui.typed import DIRECTORY, LINE_BYTES, MOST_BYTES, MOST_LINES, Typed, forget_typed
from tests.fake_api import BOB, CAROL


class TypedTests(SynchronousTestCase):
    """One state directory."""

    def setUp(self):
        self.state = Path(self.mktemp())
        self.state.mkdir()

    def open(self, person=BOB.id):
        return Typed(self.state, person)

    def files(self):
        return sorted((self.state / DIRECTORY).iterdir())

    def test_kept_for_each_chat(self):
        """What was typed is there after a restart, in its order, for its chat alone."""
        recall = self.open()
        for line in ("hello", "two\nlines", "/list", "/list", "日本 \U0001f600"):
            recall.add(line)
        self.open(CAROL.id).add("for carol")
        self.open(None).add("/connect bob")
        self.assertEqual(self.open().lines(), ["hello", "two\nlines", "/list", "日本 \U0001f600"])
        self.assertEqual(self.open(CAROL.id).lines(), ["for carol"])
        self.assertEqual(self.open(None).lines(), ["/connect bob"])

    def test_nobody_else_reads_it(self):
        """Directory and files are the owner's alone, whatever the umask."""
        self.addCleanup(os.umask, os.umask(0))
        self.open().add("hello")
        self.assertEqual((self.state / DIRECTORY).stat().st_mode & 0o777, 0o700)
        self.assertEqual(self.files()[0].stat().st_mode & 0o777, 0o600)

    def test_secrets(self):
        """A line that begins with a blank and commands with codes are never on the disk, nor empty and huge ones."""
        recall = self.open()
        for line in (" my secret", "\tx", "/pair 7-crossover", "/PASSPHRASE x", "", "  ", "x" * 5_000):
            recall.add(line)
        self.assertFalse((self.state / DIRECTORY).exists())
        recall.add("/paired is no such command")
        self.assertEqual(len(recall.lines()), 1)

    def test_bounded(self):
        """However much is typed, the file stays small and holds the latest."""
        recall = self.open()
        for number in range(2 * MOST_LINES + 10):
            recall.add(f"line {number}")
        self.assertLessEqual(len(recall.lines()), 2 * MOST_LINES)
        self.assertEqual(recall.lines()[-1], f"line {2 * MOST_LINES + 9}")
        self.assertGreaterEqual(len(recall.lines()), MOST_LINES)
        for number in range(120):
            recall.add(f"{number}{'x' * (LINE_BYTES - 10)}")
        self.assertLess(self.files()[0].stat().st_size, MOST_BYTES + 2 * LINE_BYTES)
        self.assertEqual(len(self.files()), 1)

    def test_several_terminals(self):
        """What one terminal adds, the others recall."""
        one, other = self.open(), self.open()
        one.add("first")
        self.assertEqual(other.lines(), ["first"])
        other.add("second")
        self.assertEqual(one.lines(), ["first", "second"])

    def test_forgotten(self):
        """What is forgotten is gone from the disk and from terminals that had read it; forgetting twice is no error."""
        recall, other = self.open(), self.open(CAROL.id)
        recall.add("hello")
        other.add("stays")
        self.assertEqual(recall.lines(), ["hello"])
        for _ in range(2):
            forget_typed(self.state, BOB.id)
        self.assertEqual((recall.lines(), other.lines()), ([], ["stays"]))
        recall.add("new")
        self.assertEqual(recall.lines(), ["new"])

    def test_forgotten_elsewhere(self):
        """What was sent by name from another chat goes too: whose it was is not known any more."""
        other = self.open(CAROL.id)
        for line in ("@bob a secret", "/msg bob another", "/connect bob about it", "stays", "/msgs", "/status"):
            other.add(line)
        forget_typed(self.state, BOB.id)
        self.assertEqual(other.lines(), ["stays", "/msgs", "/status"])
        self.assertEqual(self.files()[0].stat().st_mode & 0o777, 0o600)

    def test_forgotten_after_a_kill(self):
        """What a process that was killed left half-way of that chat's file goes with it, and of another's it stays."""
        self.open(CAROL.id).add("stays")
        for whose in self.files():
            whose.with_name(f".{whose.name}.0123456789abcdef").write_text('\n"stays"')
        other = self.open()
        other.add("secret")
        mine = next(path for path in self.files() if "secret" in path.read_text())
        mine.with_name(f".{mine.name}.0123456789abcdef").write_text('\n"secret"')
        forget_typed(self.state, BOB.id)
        self.assertEqual([path.read_text() for path in self.files()], ['\n"stays"', '\n"stays"'])

    def test_damaged(self):
        """Half a line, other people's bytes and a directory in its place are left out, and nothing is raised."""
        recall = self.open()
        recall.add("good")
        with self.files()[0].open("ab") as file:
            file.write(b'\n\xff\x00\n[1]\n3\n"half')
        self.assertEqual(recall.lines(), ["good"])
        recall.add("whole")
        self.assertEqual(self.open().lines(), ["good", "whole"])
        path = self.files()[0]
        path.unlink()
        path.mkdir()
        recall.add("lost")
        self.assertEqual(recall.lines(), [])

    @given(st.text(min_size=1, max_size=30))
    @settings(max_examples=80)
    def test_any_text(self, text):
        """Whatever was typed comes back as it was, and the file is ASCII, a line each."""
        forget_typed(self.state, BOB.id)
        recall = self.open()
        recall.add(f"x{text}")
        self.assertEqual(self.open().lines(), [f"x{text}"])
        (line,) = filter(None, self.files()[0].read_text("ascii").split("\n"))
        self.assertEqual(json.loads(line), f"x{text}")
