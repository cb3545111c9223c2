"""p2pchat.storage.recovery and what it is made of: a damaged database is replaced by what can be read of it."""

import errno
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from unittest import skipIf

import apsw
from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2pchat import api
from p2pchat.core.errors import StateError, StateInUse, StoreCorrupt, StoreFull, StoreTooNew
from p2pchat.oneshot import recovering
from p2pchat.peer.recovery import recover_peer
from p2pchat.server.recovery import recover_server
from p2pchat.storage import recovery
from p2pchat.storage.directory import StateDirectory
from p2pchat.storage.keys import store_identity
from p2pchat.storage.offline import open_offline
from p2pchat.storage.pages import DamagedFile, Tree, decode_record
from p2pchat.storage.peer_tables import PEER_SCHEMA
from p2pchat.storage.recovery import Recovered
from p2pchat.storage.schema import recovered_file
from p2pchat.storage.server_tables import SERVER_SCHEMA, Ban
from p2pchat.storage.settings import STORE_SETTING
from tests.background import P2PCHAT, Background
from tests.company import Node, open_database
from tests.terminals import PATIENCE
from tests.test_cli import CliCase
from tests.test_losses import LossTests

PAGE = 4096
COUNT = 40
"""Messages: some ten pages of them."""


class PageTests(SynchronousTestCase):
    """p2pchat.storage.pages, beside what SQLite says."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.connection = apsw.Connection(str(self.path))
        self.addCleanup(self.connection.close)
        self.connection.pragma("journal_mode", "WAL")

    def read(self, path: Path) -> tuple[dict[int, tuple[object, ...]], set[tuple[object, ...]], int]:
        """Rows with and without rowids, and how many could not be read."""
        source = DamagedFile(path)
        self.addCleanup(source.close)
        table: dict[int, tuple[object, ...]] = {}
        index: set[tuple[object, ...]] = set()
        damaged = 0
        for page in source.read():
            damaged += page.damaged
            for record in page.records:
                if page.tree is Tree.TABLE and record.rowid is not None and len(record.values) == 3:
                    table[record.rowid] = record.values
                elif page.tree is not Tree.TABLE:
                    index.add(record.values)
        return table, index, damaged

    def fill(self, count: int) -> None:
        self.connection.execute(
            "CREATE TABLE a (a INTEGER PRIMARY KEY, b TEXT, c BLOB);"
            "CREATE TABLE w (k TEXT PRIMARY KEY, v INTEGER, z BLOB) WITHOUT ROWID; BEGIN"
        )
        for number in range(count):
            size = (0, 10, 300, 4100, 30_000)[number % 5]
            row = (number * 7 - 900, "ü" * (number % 300), os.urandom(size) if number % 3 else None)
            self.connection.execute("INSERT INTO a VALUES (?, ?, ?)", row)
            self.connection.execute("INSERT INTO w VALUES (?, ?, ?)", (str(number), number**5, os.urandom(size)))
        self.connection.execute("COMMIT")

    def expected(self) -> tuple[dict[int, tuple[object, ...]], set[tuple[object, ...]]]:
        table = {row[0]: (None, *row[1:]) for row in self.connection.execute("SELECT * FROM a")}
        return table, set(self.connection.execute("SELECT * FROM w"))

    def test_all_rows(self) -> None:
        """Every row is read, of tables with and without rowids, long ones too, whether it is in the file or the WAL."""
        self.fill(200)
        self.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        self.connection.execute("UPDATE a SET b = 'in the WAL' WHERE a % 3 = 0; DELETE FROM w WHERE v % 2")
        copy = Path(self.mktemp())
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{self.path}{suffix}", f"{copy}{suffix}")
        table, index, damaged = self.read(copy)
        wanted, keys = self.expected()
        self.assertEqual((table, damaged), (wanted, 0))
        self.assertLessEqual(keys, index)

    def test_wal_that_is_not_whole(self) -> None:
        """Of a WAL only what was committed counts, up to the first frame that is torn."""
        self.fill(5)
        self.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        for text in ("first", "second"):
            self.connection.execute("UPDATE a SET b = ?", (text,))
        copy = Path(self.mktemp())
        shutil.copyfile(self.path, copy)
        wal = Path(f"{self.path}-wal").read_bytes()
        for data, text in ((wal, "second"), (wal[:-1], "first"), (wal[:-9] + b"!" + wal[-8:], "first")):
            Path(f"{copy}-wal").write_bytes(data)
            self.assertEqual({values[1] for values in self.read(copy)[0].values()}, {text})
        for data in (b"", wal[:40], b"x" + wal[1:], wal[:24] + bytes(8) + wal[32:]):
            Path(f"{copy}-wal").write_bytes(data)
            self.assertNotIn("first", {values[1] for values in self.read(copy)[0].values()})

    @settings(max_examples=30, deadline=None)
    @given(st.data())
    def test_any_damage(self, data: st.DataObject) -> None:
        """Whatever stands in a file, reading it ends, and what is not on a damaged page is read."""
        path = Path(self.mktemp())
        connection = apsw.Connection(str(path))
        connection.execute("CREATE TABLE a (a INTEGER PRIMARY KEY, b TEXT, c BLOB); BEGIN")
        for number in range(60):
            connection.execute("INSERT INTO a VALUES (?, ?, ?)", (number, str(number), bytes(700)))
        connection.execute("COMMIT")
        connection.close()
        content = bytearray(path.read_bytes())
        whole = self.read(path)[0]
        page = data.draw(st.integers(0, len(content) // PAGE - 1))
        for _ in range(data.draw(st.integers(1, 20))):
            content[page * PAGE + data.draw(st.integers(0, PAGE - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(content)
        left = self.read(path)[0]
        # A row of 700 bytes: at most six of them stand on one page.
        self.assertGreaterEqual(len(left.items() & whole.items()), 60 - 6)

    @given(st.binary(max_size=200))
    def test_any_record(self, payload: bytes) -> None:
        """No bytes make decoding fail otherwise than it says."""
        try:
            decode_record(payload)
        except Exception as error:
            self.assertIn(type(error).__name__, ("Unreadable", "IndexError", "error", "UnicodeDecodeError"))


class RecoveryCase(LossTests):
    """Bob has alice's messages, and a state directory with his key; then his database is damaged."""

    def setUp(self) -> None:
        super().setUp()
        self.open()
        self.sent = [f"message {number} " + "x" * 700 for number in range(1, COUNT + 1)]
        self.say(*self.sent)
        self.say("from bob", node=self.bob, who="alice")
        self.state = Path(self.mktemp()).absolute()
        self.state.mkdir(0o700)
        self.path = self.state / "peer.db"

    def put(self, node: Node) -> None:
        """The node is killed, and its files lie in the state directory."""
        node.crash()
        store_identity(self.state / "identity.key", node.identity)
        node.database.write(lambda tables: tables.settings.set(STORE_SETTING, b"its store id 16 b"[:16]))
        self.successResultOf(node.database.close())
        shutil.copy(node.database.path, self.path)

    def put_back(self, content: bytes) -> None:
        """Nothing but this lies there."""
        for path in self.state.glob("peer.db*"):
            path.unlink()
        self.path.write_bytes(content)
        self.path.chmod(0o600)

    def damage(self, page: int, at: int = 0, length: int = PAGE) -> None:
        content = bytearray(self.path.read_bytes())
        start = page * PAGE + at
        content[start : start + length] = bytes(each ^ 0x55 for each in content[start : start + length])
        self.path.write_bytes(content)

    def page_of(self, table: str, leaf: int = 0) -> int:
        """The number (from 0) of a leaf page of a table."""
        connection = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READONLY)
        found = list(
            connection.execute(
                "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY path LIMIT 1 OFFSET ?",
                (table, leaf),
            )
        )
        connection.close()
        return int(found[0][0]) - 1

    def recover(self) -> Recovered:
        """It succeeds, and the damaged files are kept as they were."""
        before = {suffix: self.read(suffix) for suffix in ("", "-wal")}
        found = recover_peer(self.state)
        assert found is not None
        self.assertEqual({suffix: self.read(suffix, found.kept) for suffix in before}, before)
        self.assertEqual({path.stat().st_mode & 0o777 for path in self.state.glob("peer.db*")}, {0o600})
        left = {path.name for path in self.state.iterdir()} - {path.name for path in self.state.glob("*.damaged-*")}
        self.assertEqual(left, {"peer.db", "identity.key", "lock"})
        self.assertIsNone(recover_peer(self.state), "what was made is in order")
        return found

    def read(self, suffix: str, path: Path | None = None) -> bytes | None:
        file = Path(f"{path or self.path}{suffix}")
        return file.read_bytes() if file.exists() else None

    def back(self, node: Node | None = None) -> Node:
        """The peer starts again with what was recovered, under a new store id."""
        node = node or self.bob
        database = open_database(self, str(self.path))
        self.assertIsNone(self.successResultOf(database.read(lambda tables: tables.settings.get(STORE_SETTING))))
        again = node.again(database=database, store=b"another store id")
        self.world.wait(90)
        return again

    def theirs(self, node: Node, who: str) -> list[str]:
        found: list[str] = []
        before: int | None = None
        while True:
            reply = node.do(api.ShowLines(who=who, count=200, before=before))
            assert isinstance(reply, api.Lines)
            found = [line.text for line in reply.lines if not line.mine] + found
            if not reply.more:
                return found
            before = reply.lines[0].entry


class DamageTests(RecoveryCase):
    def test_in_order(self) -> None:
        """Of a database that is in order nothing is changed, and nothing is left beside it."""
        self.put(self.bob)
        before = {path.name: path.read_bytes() for path in self.state.iterdir()}
        self.assertIsNone(recover_peer(self.state))
        self.assertEqual({path.name: path.read_bytes() for path in self.state.iterdir()}, {**before, "lock": b""})

    def test_a_page_of_messages(self) -> None:
        """What stood on a damaged page is sent again when they meet, under its numbers; the rest is kept."""
        self.put(self.bob)
        self.damage(self.page_of("entry", 3))
        found = self.recover()
        self.assertGreater(found.lost["entry"], 0)
        self.assertEqual(found.saved["entry"] + found.lost["entry"], COUNT + 1)
        bob = self.back()
        self.assertEqual(sorted(self.theirs(bob, "alice")), sorted(self.sent))
        self.assertEqual(self.theirs(bob, "alice"), self.sent)
        self.assertEqual(len(bob.told(api.Said)), found.lost["entry"], "only what was lost is new")
        self.assertTrue(self.alice.told(api.Doubt), "the other side is told")
        self.say("after", node=bob, who="alice")
        self.say("before", node=self.alice)
        self.assertEqual((bob.texts()[-1], self.alice.texts()[-1]), ("before", "after"))

    def test_a_bit_in_a_text(self) -> None:
        """A flipped bit inside a message is found, though SQLite finds everything in order."""
        self.put(self.bob)
        at = self.path.read_bytes().index(b"message 20 ")
        self.damage(at // PAGE, at % PAGE + 3, 1)
        found = self.recover()
        self.assertEqual((found.why, found.lost), ("what was said is not what was stored", {"entry": 1}))
        bob = self.back()
        self.assertEqual(self.theirs(bob, "alice"), self.sent)

    def test_a_bit_in_a_head(self) -> None:
        """Where only a head is wrong, the chain says which is right."""
        self.put(self.bob)
        connection = apsw.Connection(str(self.path))
        ((head,),) = connection.execute("SELECT head FROM entry WHERE entry = 20")
        connection.execute("UPDATE entry SET lamport = 99, number = 7 WHERE entry = 25")
        connection.close()
        content = self.path.read_bytes()
        for place in [each.start() for each in re.finditer(re.escape(head), content)]:
            content = content[:place] + bytes(32) + content[place + 32 :]
        self.path.write_bytes(content)
        self.assertEqual(self.recover().lost, {})
        bob = self.back()
        self.assertEqual((self.theirs(bob, "alice"), bob.told(api.Said)), (self.sent, []))

    def test_every_page(self) -> None:
        """Whichever page is damaged, what is on the others is saved, and it goes on with what that is."""
        self.put(self.bob)
        whole = self.path.read_bytes()
        entries = {self.page_of("entry", leaf) for leaf in range(4)}
        for page in range(len(whole) // PAGE):
            self.put_back(whole)
            self.damage(page, 0, (PAGE, 8)[page % 2])
            found = recover_peer(self.state)
            if found is None:
                continue  # a free page
            self.assertGreaterEqual(found.saved["entry"] + found.lost.get("entry", 0) + found.damaged, COUNT)
            if page not in entries:
                self.assertGreaterEqual(found.saved["entry"] + 8, COUNT, (page, found))
            with open_offline(StateDirectory(self.state), PEER_SCHEMA) as database:
                database.read(lambda tables: tables.lines.count_waiting(self.bob.id))

    def test_people_and_streams(self) -> None:
        """Rows that follow from others come back: with whom a conversation is, and who wrote a stream."""
        self.put(self.bob)
        whole = self.path.read_bytes()
        for table in ("contact", "party", "conversation"):
            self.put_back(whole)
            self.damage(self.page_of(table))
            found = self.recover()
            self.assertEqual((found.saved["entry"], found.lost), (COUNT + 1, {}), table)
            with open_offline(StateDirectory(self.state), PEER_SCHEMA) as database:
                peers = database.read(lambda tables: [contact.peer for contact in tables.contacts.all()])
            self.assertEqual(peers, [self.alice.id])

    def test_truncated(self) -> None:
        """Of a file that was cut short, what is left is saved."""
        self.put(self.bob)
        whole = self.path.read_bytes()
        for pages in range(0, len(whole) // PAGE, 3):
            self.put_back(whole[: pages * PAGE + 100])
            found = recover_peer(self.state)
            assert found is not None
            self.assertEqual(found.kept.read_bytes(), whole[: pages * PAGE + 100])

    def test_garbage(self) -> None:
        """Of a file that is no database nothing is saved, and that is said; the next start is not an old one."""
        self.put(self.bob)
        for garbage in (b"", b"garbage", os.urandom(10 * PAGE)):
            self.put_back(garbage)
            found = self.recover()
            self.assertEqual({table: number for table, number in found.saved.items() if number}, {"setting": 1})

    def test_header(self) -> None:
        """Without the file's header, and without its list of tables, everything else is there."""
        self.put(self.bob)
        self.damage(0)
        found = self.recover()
        self.assertEqual((found.saved["entry"], found.lost), (COUNT + 1, {}))
        bob = self.back()
        self.assertEqual((self.theirs(bob, "alice"), bob.told(api.Said)), (self.sent, []))
        self.assertEqual(len(self.lines(bob, api.Search(words="message 17"))), 1)

    def test_the_search_index(self) -> None:
        """Where the full-text index is damaged a start is refused like for any other damage, and it is made anew."""
        self.put(self.bob)
        connection = apsw.Connection(str(self.path))
        connection.execute("DELETE FROM search_config")
        connection.close()
        with self.assertRaises(StoreCorrupt), open_offline(StateDirectory(self.state), PEER_SCHEMA):
            pass
        self.assertEqual(self.recover().lost, {})
        bob = self.back()
        self.assertEqual(len(self.lines(bob, api.Search(words="message 17"))), 1)

    def test_stands_twice(self) -> None:
        """Of what stands twice after pages were mixed up, one is taken."""
        self.put(self.bob)
        content = bytearray(self.path.read_bytes())
        one, other = (self.page_of("entry", leaf) * PAGE for leaf in (2, 4))
        content[one : one + PAGE] = content[other : other + PAGE]
        self.path.write_bytes(content)
        self.assertGreater(self.recover().damaged, 0)
        bob = self.back()
        self.assertEqual(self.theirs(bob, "alice"), self.sent)

    def test_only_in_the_wal(self) -> None:
        """What a killed process left in the WAL is read from there."""
        self.bob.crash()
        store_identity(self.state / "identity.key", self.bob.identity)
        bad = b"nothing that was said"
        self.successResultOf(self.bob.database.write(lambda tables: tables.entries.rewrite(20, "text", bad)))
        for suffix in ("", "-wal"):
            shutil.copy(f"{self.bob.database.path}{suffix}", f"{self.path}{suffix}")
        self.assertGreater(len(self.read("-wal") or b""), 10 * PAGE)
        found = self.recover()
        self.assertEqual((found.saved["entry"], found.lost), (COUNT, {"entry": 1}))


class OwnTests(RecoveryCase):
    """Alice's database is damaged, and some of what she said had not left."""

    def setUp(self) -> None:
        super().setUp()
        self.bob.crash()
        self.later = [f"later {number} " + "y" * 700 for number in range(1, 31)]
        self.say(*self.later)
        self.put(self.alice)
        self.bob = self.bob.again()

    def test_what_had_not_left(self) -> None:
        """What is left of it goes out in order behind what was delivered; nothing waits for ever for what is lost."""
        at = self.path.read_bytes().index(b"later 15 ")
        self.damage(at // PAGE)
        found = self.recover()
        alice = self.back(self.alice)
        got = self.bob.texts()
        self.assertEqual(len(got), 30 - found.lost["entry"])
        self.assertEqual(got, [text for text in self.later if text in got])
        self.assertEqual(alice.peer.people.person(self.bob.id).unsent, 0)
        self.say("new", node=alice)
        self.assertEqual(self.bob.texts()[-1], "new")
        self.assertEqual([event.number for event in self.bob.told(api.Said)][-1], COUNT + 31)
        self.assertEqual(self.theirs(self.bob, "alice"), [*self.sent, *got, "new"])

    def test_how_far_the_other_is(self) -> None:
        """Where it is lost how far the other side was, everything goes again, and is known there."""
        self.damage(self.page_of("vector"))
        found = self.recover()
        self.assertEqual(found.lost.get("entry", 0), 0)
        self.back(self.alice)
        self.assertEqual(self.bob.texts(), self.later)
        self.assertEqual(self.theirs(self.bob, "alice"), [*self.sent, *self.later])

    def test_a_stream(self) -> None:
        """Where the rows of streams are lost, the index of their names and their entries make them again."""
        self.damage(self.page_of("stream"))
        self.assertEqual(self.recover().lost.get("entry", 0), 0)
        alice = self.back(self.alice)
        self.say("new", node=alice)
        self.assertEqual(self.bob.texts(), [*self.later, "new"])
        self.assertEqual(self.theirs(self.bob, "alice"), [*self.sent, *self.later, "new"])

    def test_everything_about_a_stream(self) -> None:
        """Where its name is lost too, its messages are, and are counted; what is said next arrives, and people know."""
        self.damage(self.page_of("stream"))
        self.damage(self.page_of("sqlite_autoindex_stream_1"))
        found = self.recover()
        self.assertGreaterEqual(found.lost["entry"], COUNT + 30)
        alice = self.back(self.alice)
        self.say("new", node=alice)
        self.assertEqual(self.bob.texts()[-1], "new")
        self.assertTrue(self.bob.told(api.Doubt) or alice.told(api.Doubt), "people are told")


class RefusalTests(RecoveryCase):
    def setUp(self) -> None:
        super().setUp()
        self.put(self.bob)

    def test_in_use(self) -> None:
        """While somebody holds the directory it is refused, and nothing is touched."""
        self.damage(0)
        before = self.path.read_bytes()
        with StateDirectory(self.state, "peer"):
            self.assertRaises(StateInUse, recover_peer, self.state)
        self.assertEqual(self.path.read_bytes(), before)

    def test_newer(self) -> None:
        """One of a newer version is not damaged, and is refused."""
        connection = apsw.Connection(str(self.path))
        connection.pragma("user_version", 99)
        connection.close()
        before = self.path.read_bytes()
        error = self.assertRaises(StoreTooNew, recover_peer, self.state)
        self.assertTrue(str(error).startswith(f"{self.path} was"), error)
        self.assertEqual(self.path.read_bytes(), before)

    def test_nothing_there(self) -> None:
        """Where there is no database, directory or key, that is said."""
        self.assertRaises(StateError, recover_peer, self.state / "no")
        self.assertFalse((self.state / "no").exists())
        key = (self.state / "identity.key").rename(self.state / "elsewhere")
        self.assertIn("identity.key", str(self.assertRaises(StateError, recover_peer, self.state)))
        key.rename(self.state / "identity.key")
        self.path.unlink()
        self.assertIn("no database", str(self.assertRaises(StateError, recover_peer, self.state)))

    def test_no_room(self) -> None:
        """Without room nothing is changed."""
        self.damage(0)
        before = {path.name: path.read_bytes() for path in self.state.iterdir()}

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        for name in ("_copy", "_keep"):
            with self.subTest(name):
                patch = self.patch(recovery, name, full)
                self.assertRaises(StoreFull, recover_peer, self.state)
                patch.restore()
                self.assertEqual(
                    {path.name: path.read_bytes() for path in self.state.iterdir()}, {**before, "lock": b""}
                )

    def test_not_put_in_its_place(self) -> None:
        """Where the last step fails, what is said is true: it goes on from there, and nothing was lost."""
        self.damage(self.page_of("entry", 3))

        def fail(*_: object) -> None:
            raise OSError(errno.EIO, "Input/output error")

        patch = self.patch(recovery, "_place", fail)
        error = self.assertRaises(StateError, recover_peer, self.state)
        self.assertIn("p2pchat recover goes on with that", str(error))
        self.assertNotIn("nothing was changed", str(error))
        patch.restore()
        self.assertIsNone(recover_peer(self.state))
        self.assertEqual(self.theirs(self.back(), "alice"), self.sent)

    def test_no_name_for_the_new_one(self) -> None:
        """Where the decision itself cannot be made, all is as before."""
        self.damage(0)
        before = {path.name: path.read_bytes() for path in self.state.iterdir()}
        rename = os.rename

        def fail(source: object, target: object) -> None:
            if str(target).endswith(".recovered"):
                raise OSError(errno.EIO, "Input/output error")
            rename(source, target)  # type: ignore[arg-type]

        patch = self.patch(os, "rename", fail)
        self.assertRaises(StateError, recover_peer, self.state)
        patch.restore()
        self.assertEqual({path.name: path.read_bytes() for path in self.state.iterdir()}, {**before, "lock": b""})

    def test_killed_in_between(self) -> None:
        """Killed behind its decision, nothing opens the old one, and the next recover ends it."""
        self.damage(self.page_of("entry", 3))

        class Killed(BaseException):
            pass

        def kill(*_: object) -> None:
            raise Killed

        patch = self.patch(recovery, "_place", kill)
        self.assertRaises(Killed, recover_peer, self.state)
        patch.restore()
        self.assertTrue(recovered_file(self.path).exists())
        for _ in range(2):
            with self.assertRaises(StoreCorrupt) as caught, open_offline(StateDirectory(self.state), PEER_SCHEMA):
                pass
            self.assertIn("p2pchat recover", str(caught.exception))
            self.path.unlink(missing_ok=True)
        self.assertIsNone(recover_peer(self.state))
        bob = self.back()
        self.assertEqual(self.theirs(bob, "alice"), self.sent)


class ServerTests(CliCase):
    """The server's database, and the command."""

    def test_server(self) -> None:
        """Names and bans are saved."""
        with open_offline(StateDirectory(self.server_state), SERVER_SCHEMA) as database:
            database.write(
                lambda tables: [tables.handles.claim(f"name-{n}", n.to_bytes(32, "big"), 1, 1) for n in range(500)]
            )
            database.write(lambda tables: tables.bans.put(Ban("network", "192.0.2.0/24", "noise", 1, None)))
        path = self.server_state / "server.db"
        self.assertIn("in order", self.succeeds("recover"))
        content = bytearray(path.read_bytes())
        content[:PAGE] = bytes(PAGE)
        path.write_bytes(content)
        told = self.succeeds("recover", "--state", self.server_state)
        self.assertIn("saved: 500 names, 1 ban\n", told)
        self.assertIsNone(recover_server(self.server_state))
        self.assertIn(f"kept: {path}.damaged-", told)
        self.assertNotIn("what was said", told)

    def test_server_of_version_1(self) -> None:
        """Names are saved of a database that was damaged before it was upgraded."""
        path = self.server_state / "server.db"
        with open_offline(StateDirectory(self.server_state), SERVER_SCHEMA):
            pass
        path.unlink()
        old = apsw.Connection(str(path))
        old.execute(Path(__file__).with_name("server-1.sql").read_text("utf-8"))
        old.pragma("application_id", SERVER_SCHEMA.application_id)
        old.pragma("user_version", 1)
        for number in range(500):
            old.execute("INSERT INTO handle VALUES (?, ?, 1, 2)", (f"name-{number}", number.to_bytes(32, "big")))
        old.close()
        path.write_bytes(bytes(PAGE) + path.read_bytes()[PAGE:])
        self.assertIn("saved: 500 names\n", self.succeeds("recover", "--state", self.server_state))
        with open_offline(StateDirectory(self.server_state), SERVER_SCHEMA) as database:
            owner = database.read(lambda tables: tables.handles.owner("name-7"))
        assert owner is not None
        self.assertEqual((owner.peer, owner.seen), ((7).to_bytes(32, "big"), None))

    @skipIf(os.geteuid() != 0, "only root may do that in the directory of another user")
    def test_root_for_the_user_of_a_service(self) -> None:
        """Root recovers what belongs to a service's user, who can use all of it afterwards."""
        with open_offline(StateDirectory(self.server_state), SERVER_SCHEMA) as database:
            database.write(lambda tables: tables.handles.claim("name", bytes(32), 1, 1))
        path = self.server_state / "server.db"
        path.write_bytes(bytes(PAGE))
        (self.server_state / "lock").unlink()
        for each in (self.server_state, path):
            os.chown(each, 12345, 12346)
        self.assertIn("was damaged", self.succeeds("recover", "--state", self.server_state))
        found = {(each.stat().st_uid, each.stat().st_gid) for each in self.server_state.iterdir()}
        self.assertEqual(found, {(12345, 12346)})

    def test_nothing_anywhere(self) -> None:
        """Without any database it is 1."""
        self.fails(1, "there is no database", "recover")

    def test_nouns(self) -> None:
        """Every table that is counted for people exists."""
        tables = " ".join((PEER_SCHEMA.script(), SERVER_SCHEMA.script()))
        for table in recovering.NOUNS:
            self.assertIn(f"CREATE TABLE {table} (", tables)


class ProcessTests(Background):
    """A real peer whose database was damaged while it was away."""

    def test_from_the_damage_to_the_chat(self) -> None:
        """It refuses to start in one line that names the command; that saves what it can; and the chat goes on."""
        self.start_server()
        self.daemonize("alice")
        self.daemonize("bob")
        self.befriend("alice", "bob")
        lines = "".join(f"message {number} {'x' * 500}\n" for number in range(60))
        self.run_p2pchat("send", "bob", "-", "--state", "alice", input=lines)
        os.kill(self.status("bob")["pid"], signal.SIGKILL)
        path = self.directory / "bob" / "peer.db"
        wal = Path(f"{path}-wal").read_bytes()
        path.write_bytes(b"\0" * 100 + path.read_bytes()[100:])
        Path(f"{path}-wal").write_bytes(b"\0" * 40 + wal[40:])
        words = self.peer_words("bob")
        failed = subprocess.run(
            words, cwd=self.directory, env=self.environment, capture_output=True, text=True, timeout=PATIENCE
        )
        self.assertEqual(failed.returncode, 1)
        self.assertRegex(failed.stderr, r"^p2pchat-peer: .*peer\.db is damaged .*p2pchat recover --state .*\n$")
        told = self.run_p2pchat("recover", "--state", "bob")
        self.assertIn("kept: ", told)
        self.daemonize("bob")
        self.run_p2pchat("recover", "--state", "bob", code=1)
        self.befriend("alice", "bob")
        told = self.run_p2pchat("send", "bob", "after", "--wait", "delivered", "--state", "alice")
        self.assertRegex(told, r"alice#\d+ delivered")
        command = [*P2PCHAT, "recv", "--json", "--count", "1", "--state", "bob"]
        last = subprocess.run(command, cwd=self.directory, env=self.environment, capture_output=True, text=True)
        self.assertIn('"text":"after"', last.stdout)

    def test_gone(self) -> None:
        """A peer whose database is gone says so at its start: an empty start is never a silent one."""
        self.daemonize("alice")
        self.stop("alice")
        (self.directory / "alice" / "peer.db").unlink()
        self.daemonize("alice")
        self.assertIn("is new, and the key there is older", (self.directory / "alice" / "log").read_text())
