"""
X1 to X8 through real links: text that attacks a terminal, a log or a reader, from a peer and from a server.

Every text goes the whole way: over TLS, to the disk, as an event to a front end, into the words and rows that it
prints, into the transcript, into replies to commands, and what is logged into a log as a daemon writes it.
"""

from __future__ import annotations

import ast
import json
import os
import re
import unicodedata
from pathlib import Path
from typing import IO, Any, cast

from twisted.internet.threads import deferToThread
from twisted.logger import globalLogPublisher, textFileLogObserver
from twisted.trial.unittest import SynchronousTestCase

import p2pchat
from p2pchat import api
from p2pchat.core.cells import cell_width
from p2pchat.core.text import Kind, clean
from p2pchat.net.local_client import LocalClient
from p2pchat.tap import process
from p2pchat.ui.answers import answer
from p2pchat.ui.drawing import draw
from p2pchat.ui.tables import contact_table, peer_lines, roster_table, server_lines
from p2pchat.ui.transcript import Transcript
from p2pchat.ui.words import Narrator

from .appended import AtOnce
from .hostile import Attack, frame
from .liars import TIME, EvilServer, listing, signed_record
from .rosters import identity
from .test_hostile_frames import pack
from .victims import FRIEND, PeerVictim, ServerVictim

DaemonLog: Any = vars(process).get("LogOfFile") or vars(process)["_Log"]

MALLORY = identity(6_006)
EVIL = identity(6_007)

X1 = [
    "\x1b[2J\x1b[1;1H",
    "\x1b]0;title\x07",
    "\x1b]52;c;ZXZpbA==\x07",
    "\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\",
    "\x9b31mred",
    "\x90q\x9c",
    "bell\x07 del\x7f vt\x0b ff\x0c nul\0",
    "over\rwritten",
    "line\u2028para\u2029graph\x85next",
    "\x1b(0\x0e\x0f",
]
X2 = [f"a{character}b" for character in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"]
X3 = [f"a{character}b" for character in "\u200b\u200c\u200d\u2060\ufeff\u00ad\U000e0041\U000e007f\ufe0f\u3164\u115f"]
X5 = ["a" + "\u0301" * 8_000, "W" * 16_384, "\U0001f468\u200d\U0001f469\u200d" * 600, "\u05d0a" * 4_000, "\u0301" * 50]
X6 = ["/quit", "\x01ACTION waves\x01", "-- friend: delivered #1", "> ", "friend#1: yes", "x\n-- server lost\nme#9: ok"]
X7 = ["$(touch pwned)", "`touch pwned`", "-e", "'; touch pwned", "%n%s", "<b>bold</b>", "--help"]
X8 = ["{log_level}", "{0.__class__}", "%(x)s %d", "a\n2026-11-22T00:00:00+0000 [forged#info] all is well"]

FORBIDDEN = {"Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn"}

ROW = re.compile(r"(  |-- |[A-Za-z0-9._-]+#\d+)")
"""What a row of a front end may begin with."""


class Screen:
    """What a front end shows, and a transcript beside it."""

    def __init__(self, victim: PeerVictim, path: Path) -> None:
        self.rows: list[str] = []
        self.path = path
        self._narrator = Narrator()
        self._transcript = Transcript(AtOnce(path), lambda: 1_790_000_000.0, self._failed)
        self._transcript.open()
        victim.test.addCleanup(self._transcript.close)
        victim.service.subscribe(self._show)
        victim.service.subscribe(self._transcript.take)

    def _show(self, event: api.Event) -> None:
        for line in self._narrator.tell(event):
            self.rows += draw(line, 80)

    @staticmethod
    def _failed(error: Exception) -> None:
        raise error

    def show(self, command: api.Command, reply: api.Reply) -> None:
        """The lines that answer a command."""
        self.rows += [f"-- {line}" for line in answer(command, reply)]

    @property
    def text(self) -> str:
        """Everything, the transcript too."""
        return "\n".join(self.rows) + self.path.read_text()


class Sinks(Attack):
    """Base: what is printed is harmless."""

    def assert_harmless(self, text: str) -> None:
        """Nothing in this acts on a terminal, is invisible, or reorders what stands beside it."""
        found = {character for character in text if unicodedata.category(character) in FORBIDDEN}
        # ZWJ stays inside emoji, which test_text proves; LF ends our own rows, TAB is kept in bodies.
        self.assertEqual(found - {"\n", "\t", "\u200d"}, set())

    def log(self) -> Path:
        """A log as a daemon writes it, of everything that is logged from now on."""
        path = Path(self.mktemp())
        path.parent.mkdir(parents=True, exist_ok=True)
        observer = textFileLogObserver(cast("IO[Any]", DaemonLog(path)))
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        return path

    async def start(self) -> tuple[PeerVictim, Screen]:
        victim = await PeerVictim(self).start()
        return victim, Screen(victim, Path(self.mktemp()))

    async def tell(self, victim: PeerVictim, *texts: str) -> None:
        """Say something in the chat, and wait until it is stored and shown."""
        for text in texts:
            victim.talk.say(text)
        await self.until(lambda: victim.talk.acknowledged == victim.talk.seq, "an acknowledgement")
        await self.until(lambda: {("friend", text) for text in texts} <= set(victim.said), "the events")


class MessageTests(Sinks):
    """Text of a contact, in a chat."""

    async def test_X1_X2_X3_messages(self) -> None:
        """Control sequences, bidi controls and invisible characters are marked on screen and in the transcript."""
        victim, screen = await self.start()
        await self.tell(victim, *X1, *X2, *X3)
        self.assert_harmless(screen.text)
        self.assertIn("\ufffd[2J", screen.text)
        # Stored as it came: what is shown is made at the sink.
        self.assertEqual([text for _, text in victim.said], [*X1, *X2, *X3])

    async def test_X5_monsters(self) -> None:
        """Thousands of marks, one endless word, endless emoji and mixed directions stay within their rows."""
        victim, screen = await self.start()
        await self.tell(victim, *X5)
        self.assert_harmless(screen.text)
        self.assertLessEqual(max(cell_width(row) for row in screen.rows), 80)
        marks = max(len(run) for run in re.findall("[\u0300-\u036f]*", screen.text))
        self.assertLessEqual(marks, 4)
        self.assertLess(len(screen.rows), 1_500)

    async def test_X5_too_long(self) -> None:
        """A message of a megabyte does not exist: what is above 16 KiB is refused and not shown."""
        victim, screen = await self.start()
        talk = victim.talk
        fields = {"id": b"i" * 16, "number": 1, "lamport": 1, "time": 1, "kind": "text", "auth": "link"}
        talk.entry(pack({**fields, "body": {"text": "m" * 60_000}}))
        await self.until(lambda: talk.acknowledged == talk.seq, "an acknowledgement")
        self.assertEqual([each["code"] for each in talk.liar.of("refused")], ["too-big"])
        self.assertNotIn("mmm", screen.text)

    async def test_X6_imitations(self) -> None:
        """No text of a peer is a command, or looks like a line of ours, of one's own, or of somebody else."""
        victim, screen = await self.start()
        await self.tell(victim, *X6)
        theirs = [row for row in screen.rows if not row.startswith("-- chat")]
        self.assertEqual([row for row in theirs if not row.startswith("  ")], [])
        for line in screen.path.read_text().splitlines():
            self.assertRegex(line, r"\A(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (friend#\d+: |-- chat: friend )|  \| )")
        self.assertTrue(victim.service.running)
        await victim.undisturbed()

    async def test_X7_nothing_is_executed(self) -> None:
        """Text for shells, formats and markup is text."""
        victim, screen = await self.start()
        before = sorted(os.listdir())
        await self.tell(victim, *X7)
        self.assertEqual(sorted(os.listdir()), before)
        for text in X7:
            self.assertIn(text, screen.text)

    async def test_X1_X8_for_programs(self) -> None:
        """What programs get over the local socket is one line of printable ASCII for each, and gives back the text."""
        victim, _ = await self.start()
        program = await self.open_socket(str(victim.socket))
        program.say(b'{"version": 1, "request": 1, "command": {"type": "subscribe"}}\n')
        await self.until(lambda: b'"request"' in program.received, "an answer")
        await self.tell(victim, *X1, *X8)
        await self.until(lambda: program.received.count(b'"said"') == len(X1) + len(X8), "the events")
        lines = program.received.decode("ascii").splitlines()
        self.assertTrue(all(line.isprintable() for line in lines))
        events = [json.loads(line).get("event", {}) for line in lines]
        self.assertEqual([event["text"] for event in events if event.get("type") == "said"], [*X1, *X8])


class NameTests(Sinks):
    """Names, codes and kinds: short texts of strangers and servers."""

    async def test_X1_X2_X3_handles(self) -> None:
        """A handle is [a-z0-9._-]: anything else in a hello aborts the link, and nobody is told."""
        victim, screen = await self.start()
        for text in (*X1[:3], *X2[:3], *X3[:3], "e\u0301ve", "\u0435ve", "Eve", " eve", "eve\n", ""):
            liar = await victim.shaken(MALLORY)
            liar.say_hello(handle=text[:32])
            await self.assert_gone(liar)
            self.assertIsNone(liar.bye)
        self.assertEqual(screen.rows, [])

    async def test_X1_X4_requests(self) -> None:
        """Who asks under a contact's name, or one like it, is shown under another, with 16 characters of the id."""
        victim, screen = await self.start()
        await victim.invite(identity(6_300))
        for number, handle in enumerate(("friend", "fr1end", "friend.", "frlend", "f-riend")):
            liar = await victim.shaken(identity(6_310 + number), source=f"127.0.9.{1 + number}")
            liar.say_hello(handle=handle)
            liar.tell("ask", text=(X1[0] + X2[4] + "\nfriend: let me in")[:200])
            await self.asked(victim, number + 1)
        asked = victim.told(api.Asked)
        self.assertNotIn("friend", [event.person.name for event in asked])
        self.assert_harmless(screen.text)
        # A note that is too long for a row goes on in the next one.
        whole = "\n".join(screen.rows).replace("\n    ", " ").splitlines()
        shown = [row for row in (re.sub(" +", " ", row) for row in whole) if "wants to chat" in row]
        for event, row in zip(asked, shown, strict=True):
            self.assertIn(event.person.id[:19], row)
            self.assertTrue(row.startswith("-- "))
        self.assertEqual(victim.peer.people.resolve("friend"), FRIEND.id)

    async def asked(self, victim: PeerVictim, count: int) -> None:
        """So many have asked."""
        await self.until(lambda: len(victim.told(api.Asked)) >= count, "a request")

    async def test_X1_codes_and_kinds(self) -> None:
        """Codes, kinds and reasons are words of the far side, and cleaned like all others."""
        victim, screen = await self.start()
        talk = victim.talk
        evil = X1[0] + X2[4]
        fields = {"id": b"i" * 16, "number": 1, "lamport": 1, "time": 1, "auth": "link"}
        talk.entry(pack({**fields, "kind": evil, "body": {"text": evil}}))
        await self.until(lambda: talk.acknowledged == talk.seq, "an acknowledgement")
        await victim.do(api.Say(who="friend", text="refuse this"))
        await self.comes(talk.liar, "entry")
        sent = talk.liar.of("entry")[0]
        talk.liar.tell("refused", stream=sent["stream"], seq=sent["seq"], code=evil)
        await self.until(lambda: bool(victim.told(api.NotDelivered)), "a refusal")
        talk.liar.tell("bye", code=evil)
        await self.assert_gone(talk.liar)
        await self.until(lambda: "newer version" in screen.text and "not delivered" in screen.text, "the words")
        self.assert_harmless(screen.text)

    async def test_X1_X4_roster(self) -> None:
        """Display names, addresses and handles of a roster are harmless in every table, and handles stay apart."""
        victim, screen = await self.start()
        evil = EvilServer(self, EVIL)
        evil.greeting = {"observed": {"host": X1[0] + X2[4], "port": 1}}
        rows = [
            listing(
                signed_record(identity(6_400 + number), EVIL.id, TIME, handle="friend", name=name[:64]),
                observed={"host": name[:45] or "xx", "port": 6666},
            )
            for number, name in enumerate([*X1, *X2, *X3, "friend", "\u0441\u0430rol", "a" + "\u0301" * 60])
            if len(name) > 1
        ]
        evil.answers["watch"] = lambda link, message: link.tell("roster", number=0, listings=rows, more=False)
        await victim.join(evil)
        people = await victim.do(api.ListPeople())
        assert isinstance(people, api.People)
        self.assertGreater(len(people.people), len(rows))
        screen.show(api.ListPeople(), people)
        for person in people.people:
            screen.show(api.WhoIs(who=person.id), await victim.do(api.WhoIs(who=person.id)))
        status = await victim.do(api.Status())
        assert isinstance(status, api.PeerStatus)
        screen.show(api.Status(), status)
        screen.rows += [*peer_lines(status), *contact_table(people.people)]
        await self.until(lambda: "online at" in screen.text, "the server")
        self.assert_harmless(screen.text)
        names = [person.name for person in people.people]
        self.assertEqual(len(set(names)), len(names))
        self.assertEqual(names.count("friend"), 1)

    async def test_X1_roster_of_the_server(self) -> None:
        """What the operator of a server sees of its peers is harmless, too."""
        victim = await ServerVictim(self).start()
        for number, name in enumerate((X1[0], X1[2], X2[4], X3[0])):
            key = identity(6_500 + number)
            liar = await victim.greeted(key)
            liar.tell("register", record=victim.record(key, liar, name=name))
            await self.comes(liar, "registered")

        def ask() -> tuple[api.RosterRows, api.ServerReport]:
            with LocalClient(victim.service._settings.state, "server") as client:
                return client.call(api.ShowRoster(), api.RosterRows), client.call(api.ShowServer(), api.ServerReport)

        roster, report = await deferToThread(ask)
        self.assertEqual(len(roster.rows), 5)
        self.assert_harmless("\n".join([*roster_table(roster.rows), *server_lines(report)]))

    async def test_X1_errors(self) -> None:
        """What people are told about a name that they typed as somebody sent it is harmless as well."""
        victim, _ = await self.start()
        for text in (*X1, *X2, *X8):
            for command in (api.Connect(who=text), api.WhoIs(who=text), api.AddContact(id=text), api.Accept(who=text)):
                try:
                    await victim.do(command)
                except Exception as error:
                    self.assert_harmless(clean(str(error), Kind.LINE))


class LogTests(Sinks):
    """X8: the log of a daemon."""

    async def test_X8_log_of_a_peer(self) -> None:
        """Nothing that peers and servers send forges a record, acts on a terminal, or is taken for a format."""
        path = self.log()
        victim, _ = await self.start()
        evil = EvilServer(self, EVIL)
        texts = [text[:32] for text in (*X1, *X2, *X8)]
        codes = iter(texts * 2)
        evil.answers["register"] = lambda link, message: link.tell("bye", code=next(codes))
        await victim.join(evil, online=False)
        for text in texts:
            liar = await victim.shaken(MALLORY)
            liar.say(frame({"type": text, "number": text}))
            await self.assert_gone(liar)
            await self.reactor.skip(1.0)
        for text in texts[:4]:
            talk = await victim.befriend(MALLORY, "mallory")
            talk.liar.tell(text)
            await self.comes(talk.liar, "bye")
            talk.liar.hang_up()
            await self.assert_gone(talk.liar)
        await self.tell(victim, *X8)
        self.assert_log(path)

    async def test_X8_log_of_a_server(self) -> None:
        """The same at a server."""
        path = self.log()
        victim = await ServerVictim(self).start()
        for text in [text[:32] for text in (*X1, *X2, *X8)]:
            liar = await victim.greeted(MALLORY)
            liar.tell("register", record=victim.record(MALLORY, liar, handle=text))
            await self.comes(liar, "declined")
            liar.tell(text, x=text)
            await self.comes(liar, "bye")
            liar.hang_up()
            await self.assert_gone(liar)
        await victim.undisturbed()
        self.assert_log(path)

    def assert_log(self, path: Path) -> None:
        text = path.read_text()
        self.assertIn("broke a rule", text)
        self.assert_harmless(text)
        self.assertNotIn("Unable to format", text)
        self.assertNotIn("forged#info] all is well", [line[25:] for line in text.splitlines()])
        for line in text.splitlines():
            self.assertRegex(line, r"\A(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} \[|\t)")


class NoShellTests(SynchronousTestCase):
    def test_X7_no_process_is_started(self) -> None:
        """
        Only two modules start a program, with a list of arguments: the command line, itself, and the peer, what its
        person told it to run. No text reaches a shell.
        """
        starters = {"subprocess", "pty", "popen", "system", "spawnProcess", "getProcessOutput", "execv", "eval", "exec"}
        allowed = {"oneshot/daemons.py", "peer/programs.py"}
        root = Path(p2pchat.__file__).parent
        found = set()
        for path in root.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = {
                    name
                    for name in (getattr(node, "attr", None), getattr(node, "id", None), getattr(node, "module", None))
                    if isinstance(name, str)
                }
                if isinstance(node, ast.Import):
                    names |= {alias.name for alias in node.names}
                if names & starters:
                    found.add(str(path.relative_to(root)))
        self.assertEqual(found, allowed)
