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
OLD_SCHEMA = Path(__file__).with_name("server-1.sql")


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
        """A handle is its first key's until the server ran for 90 days without it, also over a restart."""
        handles = self.tables.handles
        self.assertTrue(handles.claim("bob", BOB, 5, 0))
        self.assertFalse(handles.claim("bob", ANN, 5, HANDLE_KEPT - 1))
        self.assertTrue(handles.claim("bob", BOB, 7, 1000))
        self.assertTrue(handles.seen("bob", BOB, 8, 1000, 30))
        self.successResultOf(self.database.close())
        handles = self.opened().handles
        self.assertFalse(handles.claim("bob", ANN, 9, HANDLE_KEPT + 999))
        self.assertEqual(handles.owner("bob"), ("bob", BOB, 5, 8, 1000, 30))
        self.assertTrue(handles.claim("bob", ANN, 10, HANDLE_KEPT + 1000))
        self.assertEqual(handles.owner("bob"), ("bob", ANN, 10, 10, HANDLE_KEPT + 1000, 0))
        self.assertFalse(handles.claim("bob", BOB, 11, HANDLE_KEPT + 1001))

    def test_F16_wall_clock(self) -> None:
        """No wall clock takes a handle away, wherever it jumps."""
        for start, then in ((0, 10**15), (10**15, 0)):
            self.assertTrue(self.tables.handles.claim("bob", BOB, start, 0))
            self.assertFalse(self.tables.handles.claim("bob", ANN, then, 1))
            self.tables.handles.release("bob", BOB)

    def test_seen(self) -> None:
        """Only an owner is seen: a note about one who lost the handle meanwhile changes nothing."""
        handles = self.tables.handles
        self.assertFalse(handles.seen("bob", BOB, 5, 5, 5))
        handles.claim("bob", BOB, 10, 10)
        self.assertFalse(handles.seen("bob", ANN, 20, 20, 20))
        self.assertEqual(handles.owner("bob"), ("bob", BOB, 10, 10, 10, 0))

    def test_ran(self) -> None:
        """What the server ran is nothing at first, and then what was noted."""
        self.assertEqual(self.tables.handles.ran(), 0)
        self.tables.handles.set_ran(90_000)
        self.assertEqual(self.tables.handles.ran(), 90_000)

    def test_lists(self) -> None:
        """A peer's handles, the one seen last first; all by name."""
        for number, name in enumerate(("c", "a", "b")):
            self.tables.handles.claim(name, BOB, 0, number)
        self.tables.handles.claim("d", ANN, 0, 9)
        self.assertEqual([each.handle for each in self.tables.handles.of_peer(BOB)], ["b", "a", "c"])
        self.assertEqual([each.handle for each in self.tables.handles.all()], ["a", "b", "c", "d"])

    def test_release(self) -> None:
        """An owner lets go of its own alone."""
        self.tables.handles.claim("a", ANN, 0, 0)
        self.assertFalse(self.tables.handles.release("a", BOB))
        self.assertTrue(self.tables.handles.release("a", ANN))
        self.assertTrue(self.tables.handles.claim("a", BOB, 1, 1))


class UpgradeTest(SynchronousTestCase):
    """From version 1, which knew the wall clock alone."""

    def test_upgrade(self) -> None:
        """Everybody keeps what they have, for 90 days from the upgrade on, whatever the clock said before."""
        path = Path(self.mktemp())
        old = apsw.Connection(str(path))
        old.execute(OLD_SCHEMA.read_text("utf-8"))
        old.pragma("application_id", SERVER_SCHEMA.application_id)
        old.pragma("user_version", 1)
        for name, claimed, seen in (("old", 1, 2), ("ahead", 5, 10**15), ("back", 10**15, 10**14)):
            old.execute("INSERT INTO handle VALUES (?, ?, ?, ?)", (name, BOB, claimed, seen))
        old.close()
        database = Database(path, SERVER_SCHEMA, InlineExecutor())
        self.successResultOf(database.open())
        self.addCleanup(database.close)
        found = self.successResultOf(database.read(lambda tables: tables.handles.all()))
        self.assertEqual(
            [(each.handle, each.seen, each.held) for each in found],
            [("ahead", 0, HANDLE_KEPT), ("back", 0, 0), ("old", 0, 1)],
        )

    def test_the_same_in_the_end(self) -> None:
        """An upgraded database has the tables of a new one."""
        new, upgraded = apsw.Connection(":memory:"), apsw.Connection(":memory:")
        new.execute(SERVER_SCHEMA.script())
        upgraded.execute(OLD_SCHEMA.read_text("utf-8"))
        upgraded.execute(SERVER_SCHEMA.upgrade(1))
        columns = "SELECT m.name, c.name, c.type, c.pk FROM sqlite_schema m, pragma_table_info(m.name) c ORDER BY 1, 2"
        self.assertEqual(list(new.execute(columns)), list(upgraded.execute(columns)))
        for connection in (new, upgraded):
            connection.close()


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
