"""Daemonized peers: a person is told whose terminal looks elsewhere, or is not there at all."""

import json

from tests.background import Background
from tests.daemons import until
from tests.test_programs import script

HOOK = """
import os, sys
with open({path!r} + ".part", "a") as file:
    file.write(sys.stdin.read())
os.rename({path!r} + ".part", {path!r})
"""


class NotifiedTests(Background):
    """Alice's peer in the background, and bob, who writes to her."""

    def setUp(self) -> None:
        super().setUp()
        self.start_server()
        self.daemonize("alice")
        self.daemonize("bob")
        self.befriend("alice", "bob")

    def test_detached_and_attached(self) -> None:
        """
        Nobody is attached: the hook is run with the message. A terminal that looks at no chat rings; it can say that
        it must not.
        """
        told = self.directory / "told"
        hook = script(self.directory / "hook", HOOK.format(path=str(told)))
        self.run_p2pchat("notify", "hook", str(hook), "--state", "alice")
        self.run_p2pchat("send", "alice", "are you there?", "--state", "bob")
        until(told.exists, "the hook")
        event = json.loads(told.read_text())
        self.assertEqual((event["type"], event["person"]["name"], event["text"]), ("said", "bob", "are you there?"))
        self.assertIn("hook: none", self.run_p2pchat("notify", "hook", "off", "--state", "alice"))

        alice = self.attach("alice")
        alice.wait_for("/quit leaves")
        self.assertNotIn("\a", alice.told)
        self.run_p2pchat("send", "alice", "still not?", "--state", "bob")
        alice.wait_for("still not?")
        alice.wait_for("\a")
        alice.type("/dnd 2h")
        alice.wait_for("do not disturb: on until")
        alice.type("/dnd off")
        alice.wait_for("do not disturb: off")
