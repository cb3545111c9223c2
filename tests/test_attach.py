"""`p2pchat attach`: terminals on daemonized peers."""

import os
import signal
import subprocess
import sys

from tests.background import P2PCHAT, Background
from tests.terminals import PATIENCE, Terminal
from tests.test_tap_peer import NOBODY


class AttachTests(Background):
    """Terminals on one peer in the background, whose only contact is away."""

    def setUp(self) -> None:
        super().setUp()
        self.daemonize("alice")
        self.run_p2pchat("contact", "add", NOBODY, "--name", "bob", "--state", "alice")

    def attached(self) -> Terminal:
        """A terminal that has heard from the peer: it is told everything that happens from then on."""
        terminal = self.attach("alice")
        terminal.wait_for("/quit leaves, /stop ends the peer")
        terminal.wait_for("\n>")
        terminal.wait_for("alice |")
        return terminal

    def assert_alive(self) -> None:
        self.assertEqual(self.status("alice")["myself"]["name"], "alice")

    def test_several(self) -> None:
        """Several terminals at once: all of them are told, and each has a current chat of its own; /quit ends one."""
        first, second = self.attached(), self.attached()
        first.type("/connect bob")
        first.wait_for("[bob] >")
        first.type("héllo 日本")
        first.wait_for("alice#1 (queued for bob): héllo 日本")
        second.wait_for("alice#1 to bob (queued): héllo 日本")
        self.assertNotIn("[bob] >", second.told)
        second.type("to nobody")
        second.wait_for("no chat is the current one")
        first.type("/quit")
        self.assertEqual(first.wait(), 0)
        second.press(b"\x15")  # the line that went to nobody is back in the input
        second.type("@bob two")
        second.wait_for("alice#2 to bob (queued): two")
        self.assertFalse((self.directory / "alice" / "attach.log").exists())

    def test_requests(self) -> None:
        """A peer in the background asks the terminal that is there; whom it refused without one, the next is told."""
        self.daemonize("carol")
        myself = self.status("alice")["myself"]
        self.run_p2pchat("contact", "add", myself["id"], "--name", "alice", "--state", "carol")
        carol = self.attach("carol")
        carol.wait_for("carol |")
        port = myself["listens"][0].rpartition(":")[2]
        carol.type(f"/connect 127.0.0.1:{port}")
        carol.wait_for("refused to chat")
        alice = self.attach("alice")
        alice.wait_for("asked to chat at")
        carol.type(f"/connect 127.0.0.1:{port}")
        alice.wait_for("wants to chat")

    def test_detach(self) -> None:
        """/version tells both processes, /ping and /reconnect go to the peer, /detach leaves, and the peer goes on."""
        terminal = self.attached()
        terminal.type("/version")
        terminal.wait_for("this terminal: p2pchat ")
        terminal.wait_for(f"the peer, pid {self.status('alice')['pid']}: p2pchat ")
        terminal.type("/ping")
        terminal.wait_for("no server was joined")
        terminal.type("/connect bob")
        terminal.wait_for("[bob] >")
        terminal.type("/reconnect bob")
        terminal.wait_for("dialling bob ...")
        terminal.type("/detach")
        self.assertEqual(terminal.wait(), 0)
        self.assert_alive()

    def test_terminals_that_die(self) -> None:
        """A terminal that is closed, killed or stopped harms no peer; one that goes on is told what it missed."""
        hanging, killed, stopped = (self.attached() for _ in range(3))
        hanging.hang_up()
        self.assertEqual(hanging.process.wait(PATIENCE), 128 + signal.SIGHUP)
        killed.process.kill()
        os.kill(stopped.process.pid, signal.SIGSTOP)
        self.run_p2pchat("send", "bob", "all the same", "--wait", "queued", "--state", "alice")
        os.kill(stopped.process.pid, signal.SIGCONT)
        stopped.wait_for("all the same")
        self.assert_alive()

    def test_what_comes_first(self) -> None:
        """The prompt is there before the reactor, and the TLS library that it brings along, are loaded."""
        lines = (
            "import os, pathlib, sys, time",
            "from p2pchat.tap.attach import LateReactor, Terminal",
            "Terminal(LateReactor(), pathlib.Path('alice'), False).appear()",
            "time.sleep(0.5)",
            "print('loaded:', [name for name in ('twisted.internet.reactor', 'OpenSSL') if name in sys.modules])",
            "os._exit(0)",
        )
        words = [sys.executable, "-c", "; ".join(lines)]
        terminal = Terminal(words, cwd=self.directory, env=self.environment)
        self.addCleanup(terminal.close)
        terminal.wait_for("/quit leaves")
        terminal.wait_for("loaded: []")

    def test_ended_at_once(self) -> None:
        """What was typed as soon as the prompt was there is done; a signal then ends it in order, the terminal too."""
        typing = self.attach("alice")
        typing.wait_for(">")
        self.assertTrue(typing.is_raw)
        typing.type("/whoami")
        typing.wait_for("listening on")
        ended = self.attach("alice")
        ended.wait_for(">")
        ended.process.terminate()
        self.assertEqual(ended.wait(), 128 + signal.SIGTERM)
        self.assertFalse(ended.is_raw)
        self.assert_alive()

    def test_the_peer_ends(self) -> None:
        """When the peer is stopped every terminal says so and leaves in order; /stop does that from within."""
        one, other = self.attached(), self.attached()
        one.type("/stop")
        for terminal in (one, other):
            self.assertEqual(terminal.wait(), 0)
            self.assertIn("has ended, and so has this terminal", terminal.told)
        self.run_p2pchat("status", "--state", "alice", code=6)
        self.run_p2pchat("attach", "--state", "alice", code=6)

    def test_the_peer_dies(self) -> None:
        """When the peer is killed, the terminal says that too, and its exit code is 1."""
        alice = self.attached()
        os.kill(self.status("alice")["pid"], signal.SIGKILL)
        self.assertEqual(alice.wait(), 1)
        self.assertIn("the connection to the peer is lost", alice.told)

    def test_without_a_command(self) -> None:
        """p2pchat alone is a terminal on the peer, if one runs; Ctrl-D leaves it."""
        bare = Terminal([*P2PCHAT, "--state", "alice"], cwd=self.directory, env=self.environment)
        self.addCleanup(bare.close)
        bare.wait_for("/quit leaves, /stop ends the peer")
        bare.wait_for("\n>")
        bare.press(b"\x04")
        self.assertEqual(bare.wait(), 0)
        self.assert_alive()

    def test_plain(self) -> None:
        """--plain writes nothing but text, and so does TERM=dumb; what a bar would say is said."""
        for words, term in ((["attach", "--plain"], "xterm"), (["--plain"], "xterm"), (["attach"], "dumb")):
            self.environment["TERM"] = term
            alice = self.attach("alice", *words)
            alice.wait_for("/quit leaves, /stop ends the peer")
            alice.type("/connect bob")
            alice.wait_for("you write to bob: ")
            alice.type("hello")
            alice.wait_for("(queued for bob): hello")
            alice.type("/status")
            alice.wait_for("waiting to be delivered: bob ")
            alice.type("/quit")
            self.assertEqual(alice.wait(), 0)
            self.assertNotIn(b"\x1b", alice.raw)
        self.assert_alive()

    def test_no_terminal(self) -> None:
        """Without a terminal it is 2, and what programs use instead is named."""
        result = subprocess.run(
            [*P2PCHAT, "attach", "--state", "alice"],
            cwd=self.directory, env=self.environment, capture_output=True, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        self.assertEqual(result.returncode, 2)
        self.assertIn("p2pchat send", result.stderr)


class TogetherTests(Background):
    """Two peers in the background who know each other, and a server."""

    def setUp(self) -> None:
        super().setUp()
        self.start_server()
        self.daemonize("alice")
        self.daemonize("bob")
        self.befriend("alice", "bob")

    def test_talk(self) -> None:
        """The whole prompt is there: a chat begins, lines arrive, and are seen where a terminal is on that chat."""
        alice = self.attach("alice")
        alice.wait_for("/quit leaves")
        alice.type("/connect bob")
        alice.wait_for("[bob] >")
        alice.type("hello")
        alice.wait_for("delivered #1")
        self.assertNotIn("seen", alice.told)
        bob = self.attach("bob")
        bob.wait_for("/quit leaves")
        bob.type("/msg alice")
        bob.wait_for("[alice] >")
        bob.type("hi")
        alice.wait_for("bob#1: hi")
        bob.wait_for("seen #1")
