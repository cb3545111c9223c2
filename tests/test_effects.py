"""Every command of the table, typed at a console as its own help shows it: what comes of it."""

import os

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2pchat import api
from p2pchat.ui.browsing import AROUND
from p2pchat.ui.commands import TABLE
from p2pchat.ui.console import Console
from p2pchat.ui.conversation import ON_SCREEN
from tests.consoles import at_once
from tests.fake_api import ALICE, BOB, CAROL, FakeApi, person
from tests.test_console import FakeScreen

MALLORY = person("mallory")

EFFECTS = {
    "accept": api.Accept(who=CAROL.id, scope="always"),
    "block": api.Block(who="mallory"),
    "cancel": api.Cancel(who=BOB.id, number=13),
    "clear": "cleared",
    "close": api.Close(who=BOB.id),
    "connect": api.Connect(who="bob", text="about the grant"),
    "contacts": api.AddContact(id="668e-t6hd-...", name="carol"),
    "detach": "twistd p2pchat-peer, then p2pchat attach",
    "dnd": api.SetNotifications(dnd=True, seconds=7_200),
    "doctor": api.Examine(),
    "doubts": api.ShowDoubts(),
    "export": "all that was said with bob, 3 lines, is in ",
    "fetch": api.FetchHistory(who="bob"),
    "fingerprint": api.WhoIs(who="bob"),
    "forget": "/forget bob yes",
    "help": "-- people: ",
    "history": api.ShowLines(who="bob", count=50),
    "jump": api.ShowLines(who=BOB.id, count=AROUND, around=2),
    "leave-it": api.LeaveIt(who="bob"),
    "list": api.ListPeople(),
    "more": api.ShowLines(who="bob", count=1, before=3),
    "newer": api.ShowLines(who="bob", count=1, after=3),
    "msg": api.Say(who="bob", text="the build is done"),
    "notify": api.SetNotifications(quiet="22:00-7:00"),
    "paste": "they become one message",
    "ping": api.Ping(who="bob"),
    "queue": api.ShowQueue(),
    "quit": "left",
    "reconnect": api.Reconnect(who="bob"),
    "reject": api.Reject(who=CAROL.id),
    "resend": api.Resend(who=BOB.id, first=31, last=40),
    "retention": "/retention 90 yes",
    "search": api.Search(words="build failed", count=10),
    "seen": api.ShowMessage(who=BOB.id, number=13),
    "status": api.Status(),
    "stop": api.Stop(),
    "trust": api.Trust(who="bob"),
    "unblock": api.Unblock(who="mallory"),
    "untrust": api.RemoveContact(who="bob"),
    "verify": api.Verify(who="bob"),
    "version": "p2pchat 0, which does not say more",
    "whoami": api.WhoAmI(),
    "whois": api.WhoIs(who="bob"),
}
"""What the api is asked, or what a row of the screen has."""

FIRST = {"jump": "/search hi", "more": "/history bob 1", "newer": "/history bob 1"}
"""What has to be typed before."""


def lines():
    values = {"person": BOB, "mine": False, "author": "bob", "kind": "text", "at": 0, "arrived": 0, "text": "hi"}
    return [api.StoredLine(entry=entry, number=entry, **values) for entry in (1, 2, 3)]


class EffectTests(SynchronousTestCase):
    def setUp(self):
        before = os.getcwd()
        directory = self.mktemp()
        os.mkdir(directory)
        os.chdir(directory)
        self.addCleanup(os.chdir, before)

    def effect(self, *typed):
        """What the api was asked and the screen shows, of the last line, while the current chat is with bob."""
        held, clock, screen = FakeApi(BOB, CAROL, ALICE, MALLORY), Clock(), FakeScreen()
        held.lines = lines()
        console = Console(held, clock, screen, lambda: screen.rows.append("left"), at_once)
        console.begin()
        asked = api.Asked(person=CAROL, text="", address="10.0.0.11")
        held.tell(asked)
        console.displayed([asked])
        clock.advance(ON_SCREEN)
        for line in ("/connect bob", *typed):
            held.asked.clear()
            screen.rows.clear()
            self.successResultOf(console.typed_at_prompt(line, console.conversation.current_id))
        console.stop()
        return held.asked, screen.rows

    def test_every_command(self):
        """None is without an effect, and each has the one that its help says."""
        self.assertEqual(set(EFFECTS), {row.name for row in TABLE})
        for row in TABLE:
            wanted = EFFECTS[row.name]
            first = [FIRST[row.name]] if row.name in FIRST else []
            asked, rows = self.effect(*first, row.example)
            with self.subTest(command=row.name):
                if isinstance(wanted, str):
                    self.assertTrue(any(wanted in shown for shown in rows), rows)
                else:
                    self.assertIn(wanted, asked)
