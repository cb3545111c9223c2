"""Plain mode, for ears and fingers: what is typed brings lines in which no blanks have to be counted."""

import os
import re

import msgspec
from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2pchat import api
from p2pchat.ui.arguments import TOPICS
from p2pchat.ui.commands import TABLE
from p2pchat.ui.console import Console
from p2pchat.ui.conversation import ON_SCREEN
from p2pchat.ui.drawing import Origin, note, told
from p2pchat.ui.page import Look, Page, spoken
from tests.consoles import at_once
from tests.fake_api import ALICE, BOB, CAROL, FakeApi, person
from tests.test_console import FakeScreen
from tests.test_effects import FIRST, lines

COLUMNS = re.compile(r"\S {2,}\S")

HOSTILE = msgspec.structs.replace(
    ALICE, name="al  ice", display_name="x   y", handle="a", addresses=("10.0.0.7:6666",), contact=True, chat="open"
)
FINDINGS = tuple(
    api.Finding(check=check, state=state, text="what was found", fix="what to do")
    for check, state in (("server", "ok"), ("post-quantum", "failed"))
)


class PlainScreen(FakeScreen):
    """As a screen reader gets it."""

    def __init__(self):
        super().__init__()
        self.page = Page(Look(plain=True), lambda: 0.0)

    def show(self, line, token=None):
        drawn = self.page.draw(line, 400)
        self.rows += drawn if line.origin is Origin.NOTE else []


class PlainTests(SynchronousTestCase):
    def setUp(self):
        before = os.getcwd()
        directory = self.mktemp()
        os.mkdir(directory)
        os.chdir(directory)
        self.addCleanup(os.chdir, before)
        self.api, self.screen, clock = FakeApi(BOB, CAROL, HOSTILE, person("mallory")), PlainScreen(), Clock()
        self.api.lines = lines()
        self.api.waiting_lines = [
            api.QueuedLine(person=each, number=number, text="a  b", at=0, left=False)
            for number, each in enumerate((BOB, CAROL), 1)
        ]
        server = api.ServerStatus(id=BOB.id, address="lab1:8888", state="online", observed="10.0.0.5", online=2)
        self.api.myself = lambda: msgspec.structs.replace(FakeApi.myself(self.api), servers=(server,))
        self.console = Console(self.api, clock, self.screen, lambda: None, at_once)
        self.addCleanup(self.console.stop)
        self.console.begin()
        asked = api.Asked(person=CAROL, text="two  blanks", address="10.0.0.11")
        self.api.tell(asked)
        self.console.displayed([asked])
        clock.advance(ON_SCREEN)

    def type(self, *typed):
        self.screen.rows.clear()
        for line in typed:
            self.successResultOf(self.console.typed_at_prompt(line, self.console.conversation.current_id))
        return self.screen.rows

    def test_no_columns(self):
        """No command brings a line of ours with a run of blanks between two words."""
        self.type("/connect bob")
        typed = [each for row in TABLE for each in (FIRST.get(row.name, ""), row.example)]
        typed += [
            "/list",
            "/contacts",
            f"/whois {ALICE.id}",
            "/whois",
            "/fingerprint",
            "/verify",
            "/notify",
            "/retention",
        ]
        typed += ["/help", "/help all", "/help nothing", *(f"/help {topic}" for topic in TOPICS), "/seen 1", "/more"]
        rows = [row for line in typed for row in list(self.type(line))]
        self.assertGreater(len(rows), 150)
        self.assertEqual([row for row in rows if COLUMNS.search(row)], [])

    def test_said_instead(self):
        """Two columns are a name and a value, more are a list."""
        self.assertIn("-- /whoami: who you are, and where you can be reached", self.type("/help people"))
        self.assertIn("-- standing: new, a contact", self.type(f"/whois {ALICE.id}"))
        self.assertIn("-- lines of all chats", " ".join(self.type("/help search")))
        [row] = [row for row in self.type("/list") if "10.0.0.7" in row]
        self.assertRegex(row, '^-- al ice, 10.0.0.7, 6666, [0-9a-z-]{19}, new, "x y", chat open$')

    def test_doctor(self):
        """What a doctor found is a list, and what to do about it a line."""
        self.api.examined = succeed(api.Findings(findings=FINDINGS))
        rows = self.type("/doctor")
        self.assertEqual(
            rows[1:],
            [
                "-- ok, server, what was found",
                "-- fix: what to do",
                "-- FAILED, post-quantum, what was found",
                "-- fix: what to do",
            ],
        )

    def test_what_happens(self):
        """What somebody else wrote into a line of ours has single blanks, and no commas of ours."""
        self.assertEqual(
            self.screen.page.draw(note("carol asks: two  blanks"), 80)[-1][6:], "-- carol asks: two blanks"
        )
        self.assertEqual(self.screen.page.draw(told("  a  b   c"), 80), ["-- a, b, c"])
        self.assertEqual(spoken("a  b", True), "a: b")
