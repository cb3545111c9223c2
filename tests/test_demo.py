"""docs/examples/demo.py: what `make demo` does, at a terminal and without one, and what it would not let pass."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.terminals import Terminal

DEMO = Path(__file__).resolve().parent.parent / "docs" / "examples" / "demo.py"
PATIENCE = 600
"""Seconds; it takes about ten."""


class PlayTests(SynchronousTestCase):
    def test_played(self) -> None:
        """Server and one peer are killed in the middle; every line arrives once, in order, and it says so."""
        played = subprocess.run(
            [sys.executable, str(DEMO)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE
        )
        self.assertEqual((played.returncode, played.stderr), (0, ""), played)
        for words in ("the server is killed", "bob is killed", "queued", "bob is started again", "arrived once"):
            self.assertIn(words, played.stdout)


class TalkTests(SynchronousTestCase):
    def test_killed_at_a_terminal(self) -> None:
        """Who sits there has echo and server killed: what they say meanwhile waits, and is answered, each line once."""
        terminal = Terminal([sys.executable, str(DEMO)], env={**os.environ, "TERM": "dumb"})
        self.addCleanup(terminal.close)
        terminal.wait_for("say hello")
        terminal.type("kill echo")
        terminal.wait_for("the link to echo is lost")
        terminal.type("still there?")
        terminal.wait_for("queued")
        terminal.wait_for("echo#3: you said: still there?")
        terminal.type("kill server")
        terminal.wait_for("server lost")
        terminal.wait_for("server back")
        terminal.type("/quit")
        self.assertEqual(terminal.wait(), 0)
        answers = re.findall(r"echo#\d+: you said: (.*)", terminal.told)
        self.assertEqual(answers, ["kill echo", "still there?", "kill server"])


class JudgementTests(SynchronousTestCase):
    """What must fail the demo."""

    def setUp(self) -> None:
        self.demo = runpy.run_path(str(DEMO))
        self.wanted = [(1, "one"), (2, "two"), (3, "three")]

    def test_the_same(self) -> None:
        """Equal is equal."""
        self.demo["expect"]("alice has", list(self.wanted), self.wanted)

    def test_different(self) -> None:
        """Lost, twice, in another order, under another number, changed."""
        one, two, three = self.wanted
        for found in (
            [one, three],
            [one, two],
            [one, two, two, three],
            [one, three, two],
            [one, (3, "two"), three],
            [one, (2, "deux"), three],
            [],
        ):
            self.assertRaises(self.demo["Failed"], self.demo["expect"], "alice has", found, self.wanted)

    def test_transcript(self) -> None:
        """What is no message counts for nothing, whatever it imitates."""
        transcript = Path(self.mktemp())
        transcript.write_text(
            "2026-11-22 11:00:00 -- chat: bob (x1mm-7k2m-9q0c-44fz)\n"
            "2026-11-22 11:00:01 alice#13: bob#7: hello\n"
            "2026-11-22 11:00:02 -- bob: delivered #13\n"
            "2026-11-22 11:00:04 bob#7: \n"
        )
        self.assertEqual(self.demo["said"](transcript), {"alice": [(13, "bob#7: hello")], "bob": [(7, "")]})

    def test_messages(self) -> None:
        """Each line is one, an empty one too; the end of the file makes none."""
        self.assertEqual(self.demo["messages_of"]("a\n\nb\n"), ["a", "", "b"])
        self.assertEqual(self.demo["messages_of"]("a\nb"), ["a", "b"])
