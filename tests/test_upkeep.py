"""From typed text to effect: this program, its screen and its links; and who is kept no longer."""

import platform

import msgspec
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2pchat import __version__, api
from p2pchat.ui.console import Console
from p2pchat.ui.upkeep import HOW_TO_DETACH, NOTHING_DRAWN, version_lines
from tests.consoles import Desk, at_once
from tests.fake_api import ALICE, BOB, CAROL, FakeApi
from tests.test_console import FakeScreen
from tests.test_peer_commands import CommandTests

OLDER_PEER = (
    "the peer, pid 77: p2pchat 0.0.9, which does not say more; to have the same in both: p2pchat stop, "
    "and start it again"
)
THIS_PYTHON = platform.python_version()


class TypedTests(SynchronousTestCase):
    """At a console over an api in memory."""

    def setUp(self):
        self.api, self.screen, self.left = FakeApi(), FakeScreen(), []

    def type(self, *lines, attached=False, looks=True):
        """What is on the screen after the last of these lines."""
        console = Console(
            self.api, Clock(), self.screen, lambda: self.left.append(True), at_once, looks=looks, attached=attached
        )
        self.addCleanup(console.stop)
        console.begin()
        for line in lines:
            self.screen.rows.clear()
            self.successResultOf(console.typed_at_prompt(line, console.conversation.current_id))
        return self.screen.rows

    def test_detach(self):
        """An attached terminal is left; one that is the peer itself goes on, and says how to have a peer that stays."""
        self.assertEqual(self.type("/detach"), [f"-- {HOW_TO_DETACH}"])
        self.assertEqual(self.left, [])
        self.assertEqual(self.type("/detach", attached=True), [])
        self.assertEqual(self.left, [True])

    def test_clear(self):
        """The screen is cleared, or it is said that nothing is drawn."""
        self.assertEqual(self.type("/clear"), ["cleared"])
        self.screen.clear = lambda: False
        self.assertEqual(self.type("/clear"), [f"-- {NOTHING_DRAWN}"])

    def test_version(self):
        """A terminal tells its own version, and that of a peer in another process, which may be older."""
        status = self.successResultOf(self.api.execute(api.Status()))
        older = msgspec.structs.replace(status, version="0.0.9", pid=77)
        same = msgspec.structs.replace(status, version=__version__, python="Python 3.11.2", tls="OpenSSL 4.0.0", pid=77)
        self.assertEqual(version_lines(same, False), [f"p2pchat {__version__}, Python 3.11.2, OpenSSL 4.0.0"])
        here = f"this terminal: p2pchat {__version__}, Python {THIS_PYTHON}"
        self.assertEqual(
            version_lines(same, True),
            [here, f"the peer, pid 77: p2pchat {__version__}, Python 3.11.2, OpenSSL 4.0.0"],
        )
        self.assertEqual(version_lines(older, True), [here, OLDER_PEER])
        self.assertEqual(self.type("/version", attached=True)[0], f"-- {here}")

    def test_status_shows_the_numbers(self):
        """/status names the key of each chat, in their order; what Alt-N says of a number that is free agrees."""
        chats = [msgspec.structs.replace(each, chat="open", path="direct") for each in (BOB, CAROL)]
        self.api = FakeApi(*chats, ALICE)
        rows = self.type("/connect carol", "/connect bob", "/status")
        self.assertIn("--   Alt-1  carol  chat open; direct", rows)
        self.assertIn("--   Alt-2  bob    chat open; once; direct", rows)
        console = Console(self.api, Clock(), self.screen, lambda: None, at_once)
        self.addCleanup(console.stop)
        console.go_to(3)
        self.assertEqual(self.screen.rows[-1], "-- no chat has the number 3; /status shows which have one")
        self.assertIn("--   bob    chat open; once; direct", self.type("/connect bob", "/status", looks=False))

    def test_ping(self):
        """The time and the way are said, of the current chat, or of the server where there is none."""
        self.assertEqual(self.type("/ping"), ["-- the server lab1:8888 answered in 123 ms; direct, 10.0.0.9"])
        self.assertEqual(self.type("/connect bob", "/ping"), ["-- bob answered in 12.3 ms; direct, 10.0.0.9"])
        self.assertEqual(self.type("/ping nobody"), ["-- nobody is known as nobody; /list shows who is online"])

    def test_reconnect(self):
        """Who is dialled is said, or that nobody has to be."""
        self.assertEqual(self.type("/reconnect bob"), ["-- dialling bob ..."])
        self.assertIn("nothing has to be dialled", self.type("/connect bob", "/reconnect")[0])

    def test_verify_again(self):
        """Of somebody who is verified the digits are shown with since when, and how to take that back."""
        self.api = FakeApi(msgspec.structs.replace(BOB, standing="verified"))
        rows = self.type("/verify bob")
        self.assertEqual(rows[-1], "-- bob is verified; if the digits are not the same now: /verify bob no")
        self.assertIn("12345", rows[1])


class PeerTests(CommandTests):
    """At a console on a real peer."""

    def test_untrust(self) -> None:
        """Contact, consent, verification and the leave for classical keys are taken back, and that is said."""
        self.open()
        desk = Desk(self.alice)
        desk.type("/trust bob --classical", "/verify bob yes")
        people = self.alice.peer.people
        self.assertTrue(people.facts(self.bob.id).classical_allowed)
        [row] = desk.type("/untrust bob")
        self.assertIn("bob is no contact any more: what they ask is a stranger's request again", row)
        person = people.person(self.bob.id)
        self.assertEqual((person.contact, person.standing, person.consent), (False, "known", "ask"))
        self.assertFalse(people.facts(self.bob.id).classical_allowed)
        self.assertFalse(self.alice.peer.links.stands(self.bob.id))
        self.assertEqual(desk.type("/untrust bob"), ["-- that is no contact; /contacts shows them"])

    def test_verified_since(self) -> None:
        """/verify tells since when somebody is verified, once they are."""
        self.open()
        desk = Desk(self.alice)
        self.assertIn("compare it with bob", desk.type("/verify bob")[-1])
        rows = desk.type("/verify bob yes", "/verify bob")
        self.assertRegex(rows[-1], r"^-- bob is verified since 2026-09-\d\d \d\d:\d\d; if the digits")

    def test_version(self) -> None:
        """A peer tells what it runs on."""
        [row] = Desk(self.alice).type("/version")
        self.assertRegex(row, rf"^-- p2pchat {__version__}, Python {THIS_PYTHON}, OpenSSL \d")
