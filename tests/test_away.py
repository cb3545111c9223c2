"""What a person sees, at real terminals on real peers, of messages to somebody who is away."""

import json
import os
import signal

from tests.background import Background
from tests.terminals import Terminal


class AwayTests(Background):
    """Alice and bob, who know each other, each with a peer in the background, and a server."""

    def setUp(self) -> None:
        super().setUp()
        self.start_server()
        self.daemonize("alice")
        self.daemonize("bob")
        self.befriend("alice", "bob")

    def plain(self, name: str) -> Terminal:
        """A terminal of lines alone: where there is a bar, that something is delivered stands there and in no line."""
        terminal = self.attach(name, "attach", "--plain")
        terminal.wait_for("/quit leaves")
        return terminal

    def test_queued_delivered_seen(self) -> None:
        """What is typed while bob is away waits, over our restart too, goes out in order, is delivered, then seen."""
        self.stop("bob")
        alice = self.plain("alice")
        alice.type("/connect bob")
        alice.wait_for("you write to bob")
        alice.type("one")
        alice.wait_for("alice#1 (queued for bob): one")
        alice.type("two")
        alice.wait_for("alice#2 (queued for bob): two")
        alice.type("oops")
        alice.wait_for("alice#3 (queued for bob): oops")
        alice.type("/cancel 3")
        alice.wait_for("#3 to bob was taken back before it left")
        alice.type("/stop")
        self.assertEqual(alice.wait(), 0)
        self.daemonize("alice")
        alice = self.plain("alice")
        alice.type("/msg bob")
        alice.wait_for("(queued): one")
        alice.type("/queue")
        alice.wait_for("for bob: ")
        alice.wait_for("#2 ")
        self.daemonize("bob")
        alice.wait_for("#1 #2 delivered")
        bob = self.attach("bob")
        bob.wait_for("/quit leaves")
        bob.type("/msg alice")
        bob.wait_for("not seen before:")
        bob.wait_for("alice#1: one")
        bob.wait_for("alice#2: two")
        bob.wait_for("end of history")
        alice.wait_for("bob: #1 #2 seen")
        alice.type("/seen 1")
        alice.wait_for("alice#1 to bob: queued ")
        alice.wait_for(", seen ")
        alice.type("/export bob.txt")
        alice.wait_for("3 lines, is in")
        alice.type("/export bob.txt")
        alice.wait_for("there is a file bob.txt already")
        text = (self.directory / "bob.txt").read_text()
        self.assertRegex(text, r"^-- chat: bob \(.*\)\n\S+ \S+ alice#1: one\n\S+ \S+ alice#2: two\n")

    def test_in_the_middle_of_a_chat(self) -> None:
        """What is typed after bob's machine died is queued for him, and delivered when he is back, said in one line."""
        alice = self.plain("alice")
        alice.type("/connect bob")
        alice.wait_for("you write to bob")
        alice.type("hello")
        alice.wait_for("bob: #1 delivered")
        os.kill(self.status("bob")["pid"], signal.SIGKILL)
        alice.wait_for("the link to bob is lost")
        alice.type("are you there?")
        alice.wait_for("alice#2 (queued for bob): are you there?")
        alice.type("/queue")
        alice.wait_for("for bob: there is no link now; they go out by themselves when it is back")
        self.daemonize("bob")
        alice.wait_for("bob is back; #2 delivered")

    def test_through_a_pipe(self) -> None:
        """A program that writes the same commands gets what it asks for, and nothing old that it did not ask for."""
        self.run_p2pchat("send", "bob", "old", "--wait", "delivered", "--state", "alice")
        self.stop("alice")
        reading, writing = os.pipe()
        self.start(self.peer_words("alice", "--join", self.link or ""), "alice.out", stdin=reading)
        os.close(reading)
        self.addCleanup(os.close, writing)
        self.wait_for("alice.out", "online at")
        os.write(writing, b"/connect bob\nnew\n")
        self.wait_for("alice.out", ": new")
        self.assertNotIn("old", self.wait_for("alice.out", "#2 delivered"))
        os.write(writing, f"/history bob\n/search OLD\n/export bob {self.directory}/x.jsonl\n".encode())
        text = self.wait_for("alice.out", "2 lines, is in ")
        self.assertRegex(text, r"\n\S+ \S+ alice#1: old\n\S+ \S+ alice#2: new\n-- end of history\n")
        self.assertRegex(text, r"\n\[1\] \S+ \S+ alice#1 to bob: old\n-- that is all\n")
        lines = [json.loads(line)["text"] for line in (self.directory / "x.jsonl").read_text().splitlines()]
        self.assertEqual(lines, ["old", "new"])
