"""Daemonized peers: a person is told whose terminals look elsewhere, or who has none at all."""

import json

from tests.background import Background
from tests.daemons import until
from tests.test_programs import script

HOOK = """
import os, sys
data = sys.stdin.read()
with open({path!r}, "a") as file:
    file.write(data)
"""


class NotifiedTests(Background):
    """Alice's peer in the background, and bob, who writes to her."""

    def setUp(self) -> None:
        super().setUp()
        self.told = self.directory / "told"
        self.told.touch()
        hook = script(self.directory / "hook", HOOK.format(path=str(self.told)))
        self.run_p2pchat("notify", "hook", str(hook), "--state", "alice")
        self.start_server()
        self.daemonize("alice")
        self.daemonize("bob")
        self.befriend("alice", "bob")

    def hooked(self, count: int) -> list[str]:
        """The texts that the hook was given, once there are so many."""
        lines = until(lambda: len(lines := self.told.read_text().splitlines()) == count and lines, "the hook")
        return [json.loads(line)["text"] for line in lines]

    def test_attached_and_detached(self) -> None:
        """
        Terminals that look at no chat ring, or show a text if they can, and the hook is run. With no terminal the
        hook still is.
        """
        alice = self.attach("alice")
        self.environment["TERM"] = "xterm-kitty"
        other = self.attach("alice")
        for terminal in (alice, other):
            terminal.wait_for("/quit leaves")
            terminal.wait_for("alice |")
        self.assertNotIn("\a", alice.told)
        self.run_p2pchat("send", "alice", "are you there?", "--state", "bob")
        alice.wait_for("\a")
        other.wait_for("\x1b]9;p2pchat: bob: are you there?\x1b\\")
        self.assertEqual(self.hooked(1), ["are you there?"])
        for terminal in (alice, other):
            terminal.type("/quit")
            terminal.wait()
        self.run_p2pchat("send", "alice", "still not?", "--state", "bob")
        self.assertEqual(self.hooked(2), ["are you there?", "still not?"])
