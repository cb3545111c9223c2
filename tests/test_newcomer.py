"""
A new user from an empty home, with only what the screen says.

Everything that is typed was named by an earlier screen (`Newcomer` sees to that): somebody who reads, and tries
what they read, gets through, in the drawn prompt and in the plain one, on a wide terminal and on a narrow one.
"""

import re
import time

from p2pchat import api
from p2pchat.net.local_client import LocalClient
from tests.background import P2PCHAT, Background
from tests.terminals import PATIENCE, Terminal
from tests.test_tap_peer import TWISTD

DIGITS = r"(?:\d{5}\s+(?:--\s+)?){11}\d{5}"
"""A safety number, in the rows in which it is shown."""

WRITES_TO = r"(?:\[{0}\]\s+>|you\s+write\s+to\s+{0})"
"""What names the chat to which a line goes: the drawn prompt, and the line that the plain one says."""

DETACHED = "twistd p2pchat-peer"
"""What runs a peer that needs no terminal."""


class Newcomer:
    """Somebody at terminals of `columns`, one after the other, who remembers all that they were shown."""

    def __init__(self, test: Background, home: str, columns: int, plain: bool) -> None:
        self.name = home
        self._test = test
        self._columns = columns
        self._words = [*P2PCHAT, *(["--plain"] if plain else [])]
        self._home = test.directory / home
        self._home.mkdir()
        self._read = ""
        empty = {name: text for name, text in test.environment.items() if not name.startswith("XDG_")}
        self.environment = empty | {"HOME": str(self._home)}
        self.terminal = self._open(self._words)

    def id(self) -> str:
        """Whole, as her running peer says it."""
        with self.client() as client:
            return client.call(api.WhoAmI(), api.Myself).id

    def client(self) -> LocalClient:
        """Of her peer, which is where it is if nothing says where."""
        return LocalClient(self._home / ".local/share/p2pchat/peer", "peer")

    def knows(self, what: str) -> None:
        """It was on a screen, so it can be tried."""
        read = " ".join((self._read + self.terminal.told).split())
        self._test.assertIn(what, read, f"{what}: no screen has named it")

    def do(self, command: str, rest: str = "") -> None:
        """Type a command that a screen has named."""
        self.knows(command)
        self.terminal.type(f"{command} {rest}".rstrip())

    def sees(self, *texts: str) -> None:
        """They are shown, one after the other."""
        for text in texts:
            self.terminal.wait_for_words(text)

    def leave(self) -> None:
        """/quit ends this terminal, and in order."""
        self.do("/quit")
        self._test.assertEqual(self.terminal.wait(), 0, self.terminal.told)
        self._read += self.terminal.told

    def run_detached(self) -> None:
        """Start a peer as a screen said."""
        self.knows(DETACHED)
        self._test.addCleanup(self._stop)
        self._open([*TWISTD, "p2pchat-peer"]).wait()

    def come_back(self) -> None:
        """The same command as at first."""
        self.terminal = self._open(self._words)

    def _open(self, words: list[str]) -> Terminal:
        terminal = Terminal(words, self._columns, cwd=self._test.directory, env=self.environment)
        self._test.addCleanup(terminal.close)
        return terminal

    def _stop(self) -> None:
        with self.client() as client:
            client.call(api.Stop(), api.Done)
            client.wait_for_end(PATIENCE)


class NewcomerTests(Background):
    """A server, and two who have been there for a while, in the background."""

    def setUp(self) -> None:
        super().setUp()
        self.start_server()
        for name in ("bob", "carol"):
            self.daemonize(name, "--accept", "all")

    def test_full(self) -> None:
        """With a status bar."""
        for columns in (80, 40):
            self.live_through(Newcomer(self, f"nora{columns}", columns, plain=False))

    def test_plain(self) -> None:
        """Without."""
        for columns in (80, 40):
            self.live_through(Newcomer(self, f"nora{columns}", columns, plain=True))

    def live_through(self, nora: Newcomer) -> None:
        """The whole story."""
        self.join(nora)
        self.talk_to_two(nora)
        self.be_away(nora)
        self.verify(nora)
        self.find(nora)
        nora.leave()
        self.assertEqual(self.heard("bob", nora.name), ["hi bob", "what were the grant numbers?"])
        self.assertEqual(self.heard("carol", nora.name), ["at noon"])

    def join(self, nora: Newcomer) -> None:
        """Three questions, each with an answer that was shown or given by whoever runs the server."""
        assert self.link is not None
        nora.sees("private chat between machines", "Join link or address of a server [none]: ")
        nora.terminal.type(self.link)
        nora.sees("Your name [")
        nora.terminal.type(nora.name)
        nora.sees("Who may chat [ask]: ")
        nora.terminal.type("")
        nora.sees("joined the server", "/help", "online at 127.0.0.1")

    def talk_to_two(self, nora: Newcomer) -> None:
        """One whom she asks, and one who asks her; what she writes goes to whom the prompt names."""
        nora.do("/list")
        nora.sees("bob", "carol")
        nora.do("/connect", "bob")
        nora.terminal.wait_for_all(r"bob\s+accepted", WRITES_TO.format("bob"))
        nora.terminal.type("hi bob")
        nora.sees("#1: hi bob")
        with self.client("carol") as carol:
            carol.call(api.AddContact(id=nora.id(), name=nora.name), api.People)
        self.say("carol", nora, "lunch?", delivered=False)
        nora.sees("carol (", "wants to chat", "/accept carol")
        nora.do("/accept carol")
        nora.sees("chat with carol is open", "carol#1: lunch?")
        nora.terminal.type("what were the grant numbers?")
        nora.sees("#2: what were")
        nora.knows("you still write to bob")
        nora.do("/msg carol")
        nora.terminal.wait_for_match(WRITES_TO.format("carol"))
        nora.terminal.type("at noon")
        nora.sees("#1: at noon")
        self.say("bob", nora, "the grant numbers are 4711 and 12", delivered=True)
        nora.sees("bob#1: the grant", "bob")

    def be_away(self, nora: Newcomer) -> None:
        """What is said while she has no peer, and while she has one and no terminal, is there when she comes back."""
        nora.do("/help")
        nora.sees("more: /help")
        nora.leave()
        self.say("bob", nora, "nobody there?", delivered=False)
        nora.run_detached()
        self.say("carol", nora, "see you", delivered=True)
        self.say("bob", nora, "at last", delivered=True)
        nora.come_back()
        nora.sees("this peer goes on when you leave", "not seen yet:", "bob 3", "carol 1", "/msg")

    def verify(self, nora: Newcomer) -> None:
        """What she missed; then both have the same digits, and the screen says how to say so."""
        nora.do("/msg bob")
        nora.sees("not seen before:", "the grant numbers", "nobody there?", "at last", "end of history")
        nora.do("/msg carol")
        nora.sees("not seen before:", "see you", "end of history")
        nora.do("/verify", "bob")
        digits = re.findall(r"\d{5}", nora.terminal.wait_for_match(DIGITS)[0])
        nora.sees("/verify bob yes")
        with self.client("bob") as bob:
            there = bob.call(api.SafetyNumber(who=nora.name), api.Safety).digits
        self.assertEqual(digits, there.split())
        nora.do("/verify bob yes")
        nora.sees("bob is verified")

    def find(self, nora: Newcomer) -> None:
        """Words find a line of another chat, and a number the lines around it."""
        nora.do("/search", "numbers 4711")
        nora.sees("/jump N shows the lines around one", "[1]", "the grant numbers are", "that is all")
        nora.do("/jump", "1")
        nora.sees("in the chat with bob", "what were the grant", "(found)", "end of history")

    def say(self, name: str, nora: Newcomer, text: str, delivered: bool) -> None:
        """Somebody says something, and waits until it is on her disk if that is to be."""
        with self.client(name) as client:
            number = client.call(api.Say(who=nora.name, text=text), api.Accepted).number
            end = time.monotonic() + PATIENCE
            message = api.ShowMessage(who=nora.name, number=number)
            while delivered and client.call(message, api.MessageTimes).delivered is None:
                self.assertLess(time.monotonic(), end, f"{text} does not arrive")
                time.sleep(0.05)

    def heard(self, name: str, whom: str) -> list[str]:
        """What somebody has on the disk of what the newcomer said."""
        with self.client(name) as client:
            lines = client.call(api.ShowLines(who=whom, count=20), api.Lines).lines
        return [line.text for line in lines if not line.mine]

    def client(self, name: str) -> LocalClient:
        """Of somebody's peer."""
        return LocalClient(self.directory / name, "peer")
