"""p2pchat.storage.server_tables."""

from pathlib import Path
from tempfile import TemporaryDirectory

import apsw
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.storage.database import Database
from p2pchat.storage.executor import InlineExecutor
from p2pchat.storage.server_tables import HANDLE_KEPT, SERVER_SCHEMA, Ban, Invitation, ServerTables

ANN, BOB = b"a" * 32, b"b" * 32
TOKEN = b"t" * 32


class TablesTestCase(SynchronousTestCase):
    """The tables of a fresh database, used directly."""

    def setUp(self) -> None:
        temporary = TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.path = Path(temporary.name) / "server.db"
        self.tables = self.opened()

    def opened(self) -> ServerTables:
        self.database = Database(self.path, SERVER_SCHEMA, InlineExecutor())
        self.successResultOf(self.database.open())
        self.addCleanup(self.database.close)
        found: list[ServerTables] = []
        self.successResultOf(self.database.write(found.append))
        return found[0]


class HandlesTest(TablesTestCase):
    """tables.handles"""

    def test_R_first_key_keeps_the_handle(self) -> None:
        """A handle is its first key's until 90 days after that was last seen, also over a restart."""
        self.assertTrue(self.tables.handles.claim("bob", BOB, 0))
        self.assertFalse(self.tables.handles.claim("bob", ANN, HANDLE_KEPT - 1))
        self.assertTrue(self.tables.handles.claim("bob", BOB, 1000))
        self.successResultOf(self.database.close())
        self.tables = self.opened()
        self.assertFalse(self.tables.handles.claim("bob", ANN, HANDLE_KEPT + 999))
        self.assertEqual(self.tables.handles.owner("bob"), ("bob", BOB, 0, 1000))
        self.assertTrue(self.tables.handles.claim("bob", ANN, HANDLE_KEPT + 1000))
        self.assertEqual(self.tables.handles.owner("bob"), ("bob", ANN, HANDLE_KEPT + 1000, HANDLE_KEPT + 1000))
        self.assertFalse(self.tables.handles.claim("bob", BOB, HANDLE_KEPT + 1001))

    def test_seen(self) -> None:
        """Being seen prolongs; a clock that was set back does not shorten."""
        self.assertFalse(self.tables.handles.seen("bob", 5))
        self.tables.handles.claim("bob", BOB, 10)
        self.assertTrue(self.tables.handles.seen("bob", 20))
        self.assertTrue(self.tables.handles.claim("bob", BOB, 5))
        owner = self.tables.handles.owner("bob")
        assert owner is not None
        self.assertEqual((owner.claimed_at, owner.seen_at), (10, 20))

    def test_lists(self) -> None:
        """A peer's handles, the one seen last first; all by name."""
        for number, name in enumerate(("c", "a", "b")):
            self.tables.handles.claim(name, BOB, number)
        self.tables.handles.claim("d", ANN, 9)
        self.assertEqual([each.handle for each in self.tables.handles.of_peer(BOB)], ["b", "a", "c"])
        self.assertEqual([each.handle for each in self.tables.handles.all()], ["a", "b", "c", "d"])

    def test_release_and_expire(self) -> None:
        """An owner lets go of its own alone; what nobody came back for goes by itself."""
        self.tables.handles.claim("a", ANN, 0)
        self.tables.handles.claim("b", BOB, 10)
        self.assertFalse(self.tables.handles.release("a", BOB))
        self.assertEqual(self.tables.handles.expire(109, keep=100), 1)
        self.assertEqual([each.handle for each in self.tables.handles.all()], ["b"])
        self.assertTrue(self.tables.handles.release("b", BOB))
        self.assertTrue(self.tables.handles.claim("b", ANN, 11))


class BansTest(TablesTestCase):
    """tables.bans"""

    def test_bans(self) -> None:
        """A ban is in force until its end, or for good, or until it is lifted."""
        until = Ban("peer", BOB.hex(), "spam", 1, 50)
        good = Ban("network", "10.0.0.0/24", "lab move", 2, None)
        for ban in (until, good):
            self.tables.bans.put(ban)
        self.assertEqual(self.tables.bans.get("peer", BOB.hex(), 49), until)
        self.assertIsNone(self.tables.bans.get("peer", BOB.hex(), 50))
        self.assertIsNone(self.tables.bans.get("network", BOB.hex(), 1))
        self.assertEqual(self.tables.bans.all(49), [good, until])
        self.assertEqual(self.tables.bans.expire(50), 1)
        self.assertEqual(self.tables.bans.all(10**15), [good])
        self.tables.bans.put(good._replace(reason="again"))
        self.assertEqual(self.tables.bans.all(0), [good._replace(reason="again")])
        self.assertTrue(self.tables.bans.lift("network", "10.0.0.0/24"))
        self.assertFalse(self.tables.bans.lift("network", "10.0.0.0/24"))

    def test_kinds(self) -> None:
        """There are no other kinds."""
        self.assertRaises(apsw.ConstraintError, self.tables.bans.put, Ban("moon", "x", "", 1, None))  # type: ignore[arg-type]


class InvitationsTest(TablesTestCase):
    """tables.invitations"""

    def test_used_up(self) -> None:
        """An invitation admits as often as it says; who came in with it needs none again."""
        self.tables.invitations.add(Invitation(TOKEN, "for ann", 1, 0, 100))
        self.assertFalse(self.tables.invitations.is_guest(ANN))
        self.assertTrue(self.tables.invitations.use(TOKEN, ANN, 50))
        self.assertTrue(self.tables.invitations.is_guest(ANN))
        self.assertFalse(self.tables.invitations.use(TOKEN, BOB, 50))
        self.assertTrue(self.tables.invitations.use(TOKEN, ANN, 500))
        self.assertFalse(self.tables.invitations.is_guest(BOB))

    def test_over(self) -> None:
        """An invitation that is over, or that nobody made, admits nobody."""
        self.tables.invitations.add(Invitation(TOKEN, "", 5, 0, 100))
        self.assertFalse(self.tables.invitations.use(TOKEN, ANN, 100))
        self.assertFalse(self.tables.invitations.use(b"?" * 32, ANN, 1))

    def test_lists(self) -> None:
        """Those that can be used are listed; the others can be cleared away, their guests stay."""
        first, second = Invitation(TOKEN, "one", 1, 0, 100), Invitation(b"u" * 32, "two", 1, 1, 200)
        for each in (second, first):
            self.tables.invitations.add(each)
        self.assertEqual(self.tables.invitations.all(50), [first, second])
        self.tables.invitations.use(TOKEN, ANN, 50)
        self.assertEqual(self.tables.invitations.all(50), [second])
        self.assertEqual(self.tables.invitations.expire(50), 1)
        self.assertEqual(self.tables.invitations.expire(200), 1)
        self.assertTrue(self.tables.invitations.is_guest(ANN))

    def test_withdraw(self) -> None:
        """Withdrawing an invitation sends away whom it brought."""
        self.tables.invitations.add(Invitation(TOKEN, "", 5, 0, 100))
        self.tables.invitations.use(TOKEN, ANN, 50)
        self.assertTrue(self.tables.invitations.withdraw(TOKEN))
        self.assertFalse(self.tables.invitations.withdraw(TOKEN))
        self.assertFalse(self.tables.invitations.is_guest(ANN))
