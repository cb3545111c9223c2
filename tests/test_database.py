"""p2pchat.storage.database, with its workers, executors and schemas."""

import contextlib
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import SkipTest

import apsw
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import SynchronousTestCase, TestCase

from p2pchat.core.errors import StateInUse, StoreCorrupt, StoreError, StoreFull, StoreTooNew
from p2pchat.storage import schema
from p2pchat.storage.database import WAITING_WRITES, Database
from p2pchat.storage.directory import StateDirectory
from p2pchat.storage.executor import InlineExecutor, ThreadExecutor
from p2pchat.storage.offline import open_offline
from p2pchat.storage.peer_tables import PEER_SCHEMA
from p2pchat.storage.schema import Schema, backup_file
from p2pchat.storage.server_tables import SERVER_SCHEMA
from p2pchat.storage.settings import Settings
from p2pchat.storage.workers import BATCH_OPERATIONS
from tests.disks import Disk, MemoryDisk, fsync_failed, full, write_failed

TOY = """
CREATE TABLE setting (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE line (line INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE, parent INTEGER REFERENCES line) STRICT;
"""


class ToyTables(Settings):
    """Lines of text, and settings."""

    connection: apsw.Connection

    def __init__(self, connection: apsw.Connection) -> None:
        super().__init__(connection)
        self.connection = connection

    def add(self, text: str) -> str:
        self.connection.execute("INSERT INTO line (text) VALUES (?)", (text,))
        return text

    def lines(self) -> list[str]:
        return [text for (text,) in self.connection.execute("SELECT text FROM line ORDER BY line")]


class Oops(Exception):
    """An operation's own failure."""


def adding(text: str) -> Callable[[ToyTables], str]:
    return lambda tables: tables.add(text)


def failing(tables: ToyTables) -> str:
    tables.add("half of something")
    raise Oops


class Places:
    """A directory, and toy schemas in it."""

    def place(self, case: SynchronousTestCase) -> None:
        temporary = TemporaryDirectory()
        case.addCleanup(temporary.cleanup)
        self.directory = Path(temporary.name)
        self.path = self.directory / "toy.db"
        self.scripts = self.directory / "scripts"
        self.scripts.mkdir()
        (self.scripts / "toy-1.sql").write_text(TOY)

    def schema(self, version: int = 1, application_id: int = 77) -> Schema[ToyTables]:
        return Schema("toy", application_id, version, ToyTables, self.scripts)


class InlineTestCase(SynchronousTestCase, Places):
    """Databases that work synchronously."""

    def setUp(self) -> None:
        self.place(self)

    def database(
        self, executor: InlineExecutor | None = None, version: int = 1, vfs: str | None = None
    ) -> Database[ToyTables]:
        return Database(self.path, self.schema(version), executor or InlineExecutor(), vfs)

    def opened(
        self, executor: InlineExecutor | None = None, version: int = 1, vfs: str | None = None
    ) -> Database[ToyTables]:
        database = self.database(executor, version, vfs)
        self.successResultOf(database.open())
        self.addCleanup(database.close)
        return database

    def lines(self, database: Database[ToyTables]) -> list[str]:
        return self.successResultOf(database.read(ToyTables.lines))

    def reopened_lines(self) -> list[str]:
        """What another start finds."""
        database = self.opened()
        lines = self.lines(database)
        self.successResultOf(database.close())
        return lines

    def filled(self, *texts: str) -> None:
        """A database with these lines, closed."""
        database = self.opened()
        for text in texts:
            self.successResultOf(database.write(adding(text)))
        self.successResultOf(database.close())

    def refused(self, kind: type[StoreError], version: int = 1) -> StoreError:
        """Opening fails so, and every file stays byte for byte as it was."""
        before = self.files()
        error: StoreError = self.failureResultOf(self.database(version=version).open(), kind).value
        self.assertEqual(self.files(), before)
        self.assertIn(str(self.path), str(error))
        self.assertNotIn("\n", str(error))
        return error

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.directory.iterdir() if path.is_file()}


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


class Grouping(InlineTestCase):
    """The group commit, step by step."""

    def setUp(self) -> None:
        super().setUp()
        self.executor = InlineExecutor()
        self.opened_database = self.opened(self.executor)
        self.executor.automatic = False

    def write(self, operation: Callable[[ToyTables], Any], fired: list[Any]) -> None:
        self.opened_database.write(operation).addBoth(fired.append)

    def test_one_commit(self) -> None:
        """All that waits is committed at once, and nothing fires before the commit."""
        fired: list[str] = []
        for number in range(50):
            self.write(adding(str(number)), fired)
        self.assertEqual((self.opened_database.commits, self.opened_database.waiting), (0, 50))
        self.executor.commit()
        self.assertEqual((self.opened_database.commits, fired), (1, []))
        self.executor.deliver()
        self.assertEqual(fired, [str(number) for number in range(50)])
        self.assertEqual(self.opened_database.waiting, 0)

    def test_bounded_count(self) -> None:
        """A batch has a bounded number of operations."""
        fired: list[Any] = []
        for number in range(BATCH_OPERATIONS + 1):
            self.write(adding(str(number)), fired)
        self.executor.commit()
        self.executor.deliver()
        self.assertEqual(len(fired), BATCH_OPERATIONS)
        self.executor.run()
        self.assertEqual(len(fired), BATCH_OPERATIONS + 1)

    def test_bounded_time(self) -> None:
        """A batch is committed when it has taken its time, however much waits."""
        times = iter([0.0, 0.0, 1.0, 1.0])
        self.patch(self.opened_database._writes._worker, "_seconds", lambda: next(times))  # type: ignore[attr-defined]
        fired: list[Any] = []
        for number in range(10):
            self.write(adding(str(number)), fired)
        self.executor.commit()
        self.executor.deliver()
        self.assertEqual(fired, ["0", "1"])

    def test_one_failure_is_its_own(self) -> None:
        """What one operation raises undoes that one, and goes to its own Deferred, in its turn."""
        fired: list[Any] = []
        for operation in (adding("a"), failing, adding("a"), adding("b")):
            self.write(operation, fired)
        self.executor.run()
        self.assertEqual((fired[0], fired[3]), ("a", "b"))
        fired[1].trap(Oops)
        fired[2].trap(apsw.ConstraintError)
        self.executor.automatic = True
        self.assertEqual(self.lines(self.opened_database), ["a", "b"])
        self.assertIsNone(self.opened_database.failed)

    def test_F18_full(self) -> None:
        """If the commit finds no room, all of the batch fail with StoreFull, nothing of it is stored; later goes on."""
        database = self.faulty(lambda call, file: full() if call == "write" else None)
        results = [self.failureResultOf(each, StoreFull).value for each in database(["a", "b"])]
        self.assertIn("make room", str(results[0]))
        self.disk.fault = lambda call, file: None
        self.assertEqual([self.successResultOf(each) for each in database(["a", "c"])], ["a", "c"])
        self.successResultOf(self.faulty_database.close())
        self.assertEqual(self.reopened_lines(), ["before", "a", "c"])

    def test_F5_write_error(self) -> None:
        """After a failed write nothing more is stored; what was stored before is there at the next start."""
        database = self.faulty(lambda call, file: write_failed() if call == "write" else None)
        for each in database(["a", "b"]):
            self.failureResultOf(each, StoreError)
        self.assertFailedForGood(database)

    def test_F6_fsync_error(self) -> None:
        """After a failed fsync the database counts as failed: no write, and no fsync as if all were well."""
        database = self.faulty(lambda call, file: fsync_failed() if call == "sync" else None)
        for each in database(["a", "b"]):
            error = self.failureResultOf(each, StoreError).value
            self.assertNotIsInstance(error, StoreFull)
        self.assertFailedForGood(database)

    def test_F6_fsync_error_in_a_checkpoint(self) -> None:
        """A failed fsync while the WAL is copied back ends the use too, and leaves the WAL as it is."""
        database = self.faulty(lambda call, file: fsync_failed() if call == "sync" and file == "toy.db" else None)
        large = "x" * 5_000_000
        self.assertEqual([self.successResultOf(each) for each in database([large])], [large])
        self.assertIsNotNone(self.faulty_database.failed)
        self.failureResultOf(database(["b"])[0], StoreError)
        self.disk.fault = lambda call, file: None
        self.successResultOf(self.faulty_database.close())
        self.assertEqual(self.reopened_lines(), ["before", large])

    def faulty(self, fault: Callable[[str, str], Exception | None]) -> Callable[[list[str]], "list[Deferred[str]]"]:
        """A database with one line on a disk that has this fault from now on; called, it writes a batch."""
        self.successResultOf(self.opened_database.close())
        self.disk = Disk()
        executor = InlineExecutor()
        database = self.faulty_database = self.opened(executor, vfs=self.disk.name)
        self.successResultOf(database.write(adding("before")))
        executor.automatic = False
        self.disk.fault = fault

        def batch(texts: list[str]) -> "list[Deferred[str]]":
            deferreds = [database.write(adding(text)) for text in texts]
            executor.run()
            return deferreds

        return batch

    def assertFailedForGood(self, database: Callable[[list[str]], "list[Deferred[str]]"]) -> None:
        self.assertIsNotNone(self.faulty_database.failed)
        self.disk.fault = lambda call, file: None
        self.disk.calls.clear()
        self.failureResultOf(database(["later"])[0], StoreError)
        self.successResultOf(self.faulty_database.close())
        self.assertEqual(self.disk.calls, [])
        self.assertEqual(self.reopened_lines()[:1], ["before"])
        self.assertNotIn("later", self.reopened_lines())

    def test_too_many(self) -> None:
        """Beyond a bound, writes are refused at once, in words; nothing that was taken is dropped."""
        self.patch(self.opened_database._health, "waiting", WAITING_WRITES)
        self.failureResultOf(self.opened_database.write(adding("x")), StoreError)

    def test_read_does_not_write(self) -> None:
        """What a reader changes is not kept."""
        self.executor.automatic = True
        self.opened_database.read(adding("x")).addErrback(lambda failure: None)
        self.assertEqual(self.lines(self.opened_database), [])

    def test_write_from_a_callback(self) -> None:
        """A write from the callback of another is done, too."""
        self.executor.automatic = True
        second = self.opened_database.write(adding("a")).addCallback(
            lambda text: self.opened_database.write(adding(text + "b"))
        )
        self.assertEqual(self.successResultOf(second), "ab")
        self.assertEqual(self.lines(self.opened_database), ["a", "ab"])

    def test_nothing_changed_nothing_synced(self) -> None:
        """An operation that changes nothing costs no fsync."""
        write = self.faulty(lambda call, file: None)
        self.disk.calls.clear()
        deferred = self.faulty_database.write(ToyTables.lines)
        write([])
        self.assertEqual(self.successResultOf(deferred), ["before"])
        self.assertEqual(self.disk.count("sync"), 0)

    def test_a_disk_in_memory(self) -> None:
        """A database lives on a disk that is only simulated, over restarts, kills and upgrades."""
        disk = MemoryDisk()
        self.path = Path("/nowhere/toy.db")
        (self.scripts / "toy-1-to-2.sql").write_text("ALTER TABLE line ADD COLUMN colour TEXT;")
        for version, known in ((1, []), (1, ["line 0"]), (2, ["line 0", "line 1"])):
            database = self.opened(version=version, vfs=disk.name)
            self.assertEqual(database.created, not known)
            self.assertEqual(self.lines(database), known)
            text = f"line {len(known)}"
            self.successResultOf(database.write(adding(text)))
            killed = {path: bytearray(data) for path, data in disk.files.items()}
            self.successResultOf(database.close())
            disk.files = killed
        self.assertIn("/nowhere/toy.db-wal", disk.files)
        self.assertIn("/nowhere/toy.db.version-1", disk.files)

    def test_crash_goes_through(self) -> None:
        """What is no Exception (a simulated crash) comes out of the inline executor; nothing was committed."""

        class Crash(BaseException):
            pass

        def crash(tables: ToyTables) -> None:
            tables.add("gone")
            raise Crash

        self.opened_database.write(crash)
        self.assertRaises(Crash, self.executor.commit)
        copy = self.directory / "copy.db"
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{self.path}{suffix}", f"{copy}{suffix}")
        connection = apsw.Connection(str(copy))
        self.assertEqual(list(connection.execute("SELECT text FROM line")), [])
        connection.close()


class SmallDisk(InlineTestCase):
    """F18 on a real file system without room."""

    def setUp(self) -> None:
        super().setUp()
        mounted = self.directory / "small"
        mounted.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "p2pchat-test", str(mounted)]
        if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
            raise SkipTest("a small tmpfs cannot be mounted here; the same is tested on a simulated disk")
        self.addCleanup(subprocess.run, ["umount", "-l", str(mounted)], check=True)
        self.path = mounted / "toy.db"

    def test_F18_full(self) -> None:
        """On a full disk writes fail with StoreFull, reads go on; with room again writes go on; nothing is lost."""
        database = self.opened()
        stored: list[str] = []
        with open(self.path.parent / "ballast", "wb", buffering=0) as ballast:
            with contextlib.suppress(OSError):
                while True:
                    ballast.write(bytes(4096))
            for number in range(1000):
                text = f"{number}" + "x" * 2000
                result: list[object] = []
                database.write(adding(text)).addBoth(result.append)
                if result != [text]:
                    break
                stored.append(text)
            result[0].trap(StoreFull)  # type: ignore[attr-defined]
            self.assertEqual(self.lines(database), stored)
            self.assertIsNone(database.failed)
        (self.path.parent / "ballast").unlink()
        self.successResultOf(database.write(adding("after")))
        self.successResultOf(database.close())
        self.assertEqual(self.reopened_lines(), [*stored, "after"])

    def test_F18_full_from_the_start(self) -> None:
        """On a full disk no database is made, and none is left half made."""
        (self.path.parent / "ballast").write_bytes(bytes(1024 * 1024 - 8192))
        self.failureResultOf(self.database().open(), StoreFull)
        self.assertFalse(self.path.exists())


class LossOfPower(InlineTestCase):
    """F5: what is on the disk when a Deferred fires."""

    def test_F5_synced_when_it_fires(self) -> None:
        """What a write's Deferred fired for survives the loss of everything that was not synced."""
        disk = Disk()
        database = self.opened(vfs=disk.name)
        lost = self.directory / "lost"
        lost.mkdir()
        for number in range(20):
            text = f"line {number}"
            self.successResultOf(database.write(adding(text)))
            for name, data in disk.synced.items():
                (lost / name).write_bytes(data)
            connection = apsw.Connection(str(lost / "toy.db"))
            self.assertIn((text,), list(connection.execute("SELECT text FROM line")))
            connection.close()
            for path in lost.iterdir():
                path.unlink()

    def test_F5_wal_cut_anywhere(self) -> None:
        """Wherever the WAL is cut, what is found is a beginning of what was written, whole commits of it."""
        database = self.opened()
        texts = [f"line {number}" for number in range(8)]
        for text in texts:
            self.successResultOf(database.write(adding(text)))
        wal = Path(f"{self.path}-wal").read_bytes()
        main = self.path.read_bytes()
        cut = self.directory / "cut.db"
        found = set()
        for end in [*range(0, len(wal), 1024), len(wal)]:
            cut.write_bytes(main)
            Path(f"{cut}-wal").write_bytes(wal[:end])
            connection = apsw.Connection(str(cut))
            lines = [text for (text,) in connection.execute("SELECT text FROM line ORDER BY line")]
            connection.close()
            self.assertEqual(lines, texts[: len(lines)])
            found.add(len(lines))
        self.assertEqual(found, set(range(len(texts) + 1)))


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


class SlowExecutor(ThreadExecutor):
    """Batches without a bound in time, since tests may be stopped anywhere."""

    def seconds(self) -> float:
        return 0.0


class Threads(TestCase, Places):
    """With real threads."""

    def setUp(self) -> None:
        self.place(self)
        self.database = Database(self.path, self.schema(), SlowExecutor(reactor))  # type: ignore[arg-type]

    def descriptors(self) -> list[str]:
        """Our descriptors on the database's files."""
        found = (os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd"))
        return [path for path in found if path.startswith(str(self.path))]

    async def test_group_commit(self) -> None:
        """What comes while the writer is busy shares one commit, in the order of the calls."""
        await self.database.open()
        begun, go = threading.Event(), threading.Event()
        fired: list[str] = []

        def wait(tables: ToyTables) -> str:
            begun.set()
            go.wait(30)
            return tables.add("first")

        waiting = [self.database.write(wait).addCallback(fired.append)]
        begun.wait(30)
        waiting += [self.database.write(adding(str(n))).addCallback(fired.append) for n in range(100)]
        self.assertEqual(self.database.waiting, 101)
        go.set()
        await gatherResults(waiting)
        self.assertEqual(fired, ["first", *map(str, range(100))])
        self.assertEqual((self.database.commits, self.database.waiting), (1, 0))
        await self.database.close()

    async def test_failures(self) -> None:
        """An operation's exception comes back to the reactor's thread; the others are stored."""
        await self.database.open()
        deferreds = [self.database.write(operation) for operation in (adding("a"), failing, adding("b"))]
        self.assertEqual(await deferreds[0], "a")
        await self.assertFailure(deferreds[1], Oops)
        self.assertEqual(await deferreds[2], "b")
        self.assertEqual(await self.database.read(ToyTables.lines), ["a", "b"])
        await self.assertFailure(self.database.read(failing), StoreError)
        await self.database.close()

    async def test_fired_on_the_reactors_thread(self) -> None:
        """Operations run elsewhere, callbacks on the reactor's thread."""
        await self.database.open()
        here = threading.current_thread()
        for ask in (self.database.write, self.database.read):
            fired = ask(lambda tables: threading.current_thread()).addCallback(
                lambda thread: (thread, threading.current_thread())
            )
            thread, back = await fired
            self.assertIsNot(thread, here)
            self.assertIs(back, here)
        await self.database.close()

    async def test_a_long_read_delays_nobody(self) -> None:
        """While a search runs, writes are committed, and short reads see them; the search sees its own moment."""
        await self.database.open()
        begun, go = threading.Event(), threading.Event()

        def search(tables: ToyTables) -> list[str]:
            before = tables.lines()
            begun.set()
            go.wait(30)
            assert tables.lines() == before
            return before

        searching = self.database.read(search, long=True)
        begun.wait(30)
        await self.database.write(adding("meanwhile"))
        self.assertEqual(await self.database.read(ToyTables.lines), ["meanwhile"])
        go.set()
        self.assertEqual(await searching, [])
        await self.database.close()

    async def test_close_finishes(self) -> None:
        """close() does what waits, fires it, leaves no thread, no WAL and no descriptor; open() works again."""
        threads = threading.active_count()
        await self.database.open()
        fired: list[str] = []
        for number in range(200):
            self.database.write(adding(str(number))).addCallback(fired.append)
        self.assertNotEqual(self.descriptors(), [])
        await self.database.close()
        self.assertEqual(len(fired), 200)
        self.assertFalse(Path(f"{self.path}-wal").exists())
        for thread in threading.enumerate():
            if thread.name.startswith("toy "):
                thread.join(30)
        self.assertEqual((threading.active_count(), self.descriptors()), (threads, []))
        await self.database.open()
        self.assertEqual(len(await self.database.read(ToyTables.lines)), 200)
        await self.database.close()

    async def test_close_interrupts_a_search(self) -> None:
        """close() does not wait for searches."""
        await self.database.open()
        begun = threading.Event()

        def search(tables: ToyTables) -> None:
            begun.set()
            tables.connection.execute(
                "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n) SELECT max(n) FROM n"
            )

        searches = [self.database.read(search, long=True) for _ in range(2)]
        begun.wait(30)
        closing = self.database.close()
        for searching in searches:
            await self.assertFailure(searching, StoreError)
        await closing

    async def test_open_fails(self) -> None:
        """If it cannot be opened, the Deferred says why, and no thread stays."""
        threads = threading.active_count()
        self.path.write_bytes(b"no database")
        await self.assertFailure(self.database.open(), StoreCorrupt)
        for thread in threading.enumerate():
            if thread.name.startswith("toy "):
                thread.join(30)
        self.assertEqual(threading.active_count(), threads)
        await self.assertFailure(self.database.write(adding("x")), StoreError)


class Offline(SynchronousTestCase):
    """One-shot commands while no daemon runs."""

    def setUp(self) -> None:
        temporary = TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.path = Path(temporary.name) / "state"

    def test_write_and_read(self) -> None:
        """What one command stores the next one finds; exceptions come out as they are; the lock is free after."""
        with open_offline(StateDirectory(self.path), PEER_SCHEMA) as database:
            self.assertTrue(database.created)
            database.write(lambda tables: tables.settings.set("x", b"1"))
            self.assertRaises(KeyError, database.write, lambda tables: tables.contacts.get(9))
        with open_offline(StateDirectory(self.path), PEER_SCHEMA) as database:
            self.assertFalse(database.created)
            self.assertEqual(database.read(lambda tables: tables.settings.get("x")), b"1")

    def test_F23_in_use(self) -> None:
        """While a daemon holds the directory, it is refused with the pid, and the database is not touched."""
        with StateDirectory(self.path, "peer"):
            error = self.assertRaises(StateInUse, self.enter)
            self.assertEqual(error.pid, os.getpid())
        self.assertEqual(os.listdir(self.path), ["lock"])

    def test_freed_when_it_cannot_be_opened(self) -> None:
        """A damaged database leaves the lock free."""
        with StateDirectory(self.path, "peer") as directory:
            directory.database_file("server").write_bytes(b"x")
        for _ in range(2):
            self.assertRaises(StoreCorrupt, self.enter)

    def enter(self) -> None:
        with open_offline(StateDirectory(self.path), SERVER_SCHEMA):
            pass
