"""p2pchat.storage.schema: how a database is made, refused and upgraded."""

import os
import shutil
import threading
from pathlib import Path

import apsw
from twisted.internet import reactor

from p2pchat.core.errors import StoreCorrupt, StoreError, StoreFull, StoreTooNew
from p2pchat.storage import schema
from p2pchat.storage.database import Database
from p2pchat.storage.executor import InlineExecutor, ThreadExecutor
from p2pchat.storage.schema import backup_file
from tests.disks import Disk, full
from tests.toys import TOY, InlineTestCase, ToyTables, adding


class Making(InlineTestCase):
    """How a database comes to be."""

    def test_constructor_touches_nothing(self) -> None:
        """Before open() there is no file, no thread and no descriptor: twistd forks in between."""
        threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))
        for executor in (InlineExecutor(), ThreadExecutor(reactor)):  # type: ignore[arg-type]
            Database(self.path, self.schema(), executor)
        self.assertEqual((threading.active_count(), len(os.listdir("/proc/self/fd"))), (threads, descriptors))
        self.assertFalse(self.path.exists())

    def test_made_once(self) -> None:
        """It is made by the first open, for its owner alone, and kept by the next."""
        self.addCleanup(os.umask, os.umask(0))
        database = self.opened()
        self.assertTrue(database.created)
        self.successResultOf(database.write(adding("kept")))
        self.assertEqual({path.stat().st_mode & 0o777 for path in self.directory.glob("toy.db*")}, {0o600})
        self.successResultOf(database.close())
        database = self.opened()
        self.assertFalse(database.created)
        self.assertEqual(self.lines(database), ["kept"])

    def test_marked(self) -> None:
        """The file says whose it is and which version."""
        self.filled()
        connection = apsw.Connection(str(self.path))
        self.assertEqual((connection.pragma("application_id"), connection.pragma("user_version")), (77, 1))
        connection.close()

    def test_durable_settings(self) -> None:
        """The writer commits with WAL and FULL, and keeps foreign keys."""
        names = ("journal_mode", "synchronous", "foreign_keys", "fullfsync", "checkpoint_fullfsync")
        database = self.opened()
        found = self.successResultOf(database.write(lambda tables: [tables.connection.pragma(name) for name in names]))
        self.assertEqual(found, ["wal", 2, 1, 1, 1])

    def test_F40_killed_while_it_is_made(self) -> None:
        """Whatever a process left that was killed while it made the database, the next one makes it whole."""
        (self.directory / "toy.db.new").write_bytes(b"SQLite format 3\0 and then nothing")
        (self.directory / "toy.db.new-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(512))
        self.filled("whole")
        self.assertEqual(self.reopened_lines(), ["whole"])
        self.assertEqual(list(self.directory.glob("*.new*")), [])

    def test_F40_bad_script_leaves_nothing(self) -> None:
        """If it cannot be made, there is none afterwards."""
        (self.scripts / "toy-1.sql").write_text(TOY + "CREATE NONSENSE;")
        self.failureResultOf(self.database().open(), StoreError)
        self.assertFalse(self.path.exists())

    def test_F18_full_while_it_is_made(self) -> None:
        """Without room, nothing is made; with room again, it is."""
        disk = Disk()
        disk.fault = lambda call, file: full() if call == "write" else None
        self.failureResultOf(self.database(vfs=disk.name).open(), StoreFull)
        disk.fault = lambda call, file: None
        self.assertEqual(self.lines(self.opened(vfs=disk.name)), [])

    def test_not_open(self) -> None:
        """Before open and after close everything fails with a StoreError, and nothing hangs."""
        database = self.database()
        self.failureResultOf(database.write(adding("x")), StoreError)
        self.failureResultOf(database.read(ToyTables.lines), StoreError)
        self.successResultOf(database.close())
        database = self.opened()
        self.successResultOf(database.close())
        self.failureResultOf(database.write(adding("x")), StoreError)
        self.successResultOf(database.close())


class Damage(InlineTestCase):
    """F20, F21: databases that must not be used, and never be replaced."""

    def test_F20_no_database(self) -> None:
        """Something else in its place, be it empty, is refused and kept."""
        for data in (b"", b"x", b"no database, but long enough to have a header" * 100, bytes(8192)):
            self.path.write_bytes(data)
            self.assertIn("backup", str(self.refused(StoreCorrupt)))

    def test_F20_truncated(self) -> None:
        """A database that was cut short is refused and kept."""
        self.filled(*map(str, range(500)))
        whole = self.path.read_bytes()
        for size in range(0, len(whole), 4096):
            self.path.write_bytes(whole[:size])
            self.refused(StoreCorrupt)

    def test_F20_flipped_bits(self) -> None:
        """Damage to the header of any page is noticed, refused and kept."""
        self.filled(*map(str, range(2000)))
        whole = self.path.read_bytes()
        for page in range(0, len(whole), 4096):
            for offset in (16, 100) if page == 0 else (0, 3):
                damaged = bytearray(whole)
                damaged[page + offset] ^= 0x55
                self.path.write_bytes(damaged)
                self.refused(StoreCorrupt)

    def test_F20_damage_found_later(self) -> None:
        """Damage that is found while it is used ends the use."""
        self.patch(schema, "QUICK_CHECK_SIZE", 0)
        self.filled(*map(str, range(2000)))
        damaged = bytearray(self.path.read_bytes())
        for page in range(4096 * 3, len(damaged), 4096):
            damaged[page] ^= 0x55
        self.path.write_bytes(damaged)
        database = self.opened()
        self.failureResultOf(database.read(ToyTables.lines), StoreCorrupt)
        self.failureResultOf(database.write(adding("more")), StoreCorrupt)

    def test_F20_gone_but_for_its_wal(self) -> None:
        """Where the database is gone and its WAL is there, none is made beside it."""
        Path(f"{self.path}-wal").write_bytes(b"rest")
        self.assertIn("toy.db-wal", str(self.refused(StoreCorrupt)))

    def test_F20_another_programs(self) -> None:
        """A database of another program, or of the other daemon, is not ours."""
        self.filled("x")
        before = self.files()
        database = Database(self.path, self.schema(application_id=78), InlineExecutor())
        self.failureResultOf(database.open(), StoreCorrupt)
        self.assertEqual(self.files(), before)

    def test_F21_newer(self) -> None:
        """A database of a newer version is refused, naming both, and kept."""
        (self.scripts / "toy-3.sql").write_text(TOY)
        database = self.opened(version=3)
        self.successResultOf(database.close())
        error = self.refused(StoreTooNew)
        self.assertIn("version is 3", str(error))
        self.assertIn("--state DIR", str(error))

    def test_unreadable(self) -> None:
        """A database that cannot be opened is said to be so."""
        self.path.mkdir()
        self.failureResultOf(self.database().open(), StoreError)


class Upgrades(InlineTestCase):
    """From one version to the next."""

    def setUp(self) -> None:
        super().setUp()
        self.filled("old")
        (self.scripts / "toy-1-to-2.sql").write_text("ALTER TABLE line ADD COLUMN colour TEXT;")
        (self.scripts / "toy-2-to-3.sql").write_text("UPDATE line SET text = 'new'; CREATE TABLE more (more TEXT);")

    def test_steps(self) -> None:
        """All steps are done in turn, once, and what was there before stays in a copy."""
        for _ in range(2):
            database = self.opened(version=3)
            self.assertEqual((self.lines(database), database.created), (["new"], False))
            self.successResultOf(database.close())
        copy = apsw.Connection(str(backup_file(self.path, 1)))
        self.assertEqual(list(copy.execute("SELECT text FROM line")), [("old",)])
        self.assertEqual(copy.pragma("user_version"), 1)
        copy.close()
        self.assertEqual(backup_file(self.path, 1).stat().st_mode & 0o777, 0o600)

    def test_copy_holds_the_wal(self) -> None:
        """The copy has what was only in the WAL, of a process that was killed."""
        database = self.opened()
        self.successResultOf(database.write(adding("in the WAL")))
        killed = self.directory / "killed"
        killed.mkdir()
        for name in ("toy.db", "toy.db-wal"):
            shutil.copyfile(self.directory / name, killed / name)
        self.path = killed / "toy.db"
        self.opened(version=2)
        copy = apsw.Connection(str(backup_file(self.path, 1)))
        self.assertEqual(list(copy.execute("SELECT text FROM line ORDER BY line")), [("old",), ("in the WAL",)])
        copy.close()

    def test_failed_step(self) -> None:
        """A step that fails leaves the version before it, whole."""
        for bad in ("UPDATE line SET text = 'half'; CREATE NONSENSE;", "UPDATE line SET parent = 99;"):
            (self.scripts / "toy-2-to-3.sql").write_text(bad)
            self.failureResultOf(self.database(version=3).open(), StoreError)
            self.assertEqual(self.lines_of_version(2), ["old"])

    def test_F18_no_room_for_the_copy(self) -> None:
        """Without room for the copy there is no upgrade."""
        disk = Disk()
        disk.fault = lambda call, file: full() if "version-1" in file and call == "write" else None
        self.failureResultOf(self.database(version=2, vfs=disk.name).open(), StoreFull)
        self.assertEqual(self.reopened_lines(), ["old"])

    def lines_of_version(self, version: int) -> list[str]:
        database = self.opened(version=version)
        lines = self.lines(database)
        self.successResultOf(database.close())
        return lines
