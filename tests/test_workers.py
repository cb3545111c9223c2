"""p2pchat.storage.workers, with the inline executor: group commit, and disks that fail."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import SkipTest

import apsw
from twisted.internet.defer import Deferred

from p2pchat.core.errors import StoreError, StoreFull, StoreUnsure
from p2pchat.storage.database import WAITING_WRITES
from p2pchat.storage.executor import InlineExecutor
from p2pchat.storage.workers import BATCH_OPERATIONS
from tests.disks import Disk, MemoryDisk, fsync_failed, full, write_failed
from tests.toys import InlineTestCase, Oops, ToyTables, adding, failing


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
            self.failureResultOf(each, StoreUnsure)
        self.assertFailedForGood(database)

    def test_F6_not_known_whether_stored(self) -> None:
        """What a commit whose fsync failed was to store may be there at a new start: nobody is told that it is not."""
        database = self.faulty(lambda call, file: fsync_failed() if call == "sync" else None)
        error = self.failureResultOf(database(["a"])[0], StoreUnsure).value
        self.assertIn("not known", str(error))
        self.assertNotIn("nothing", str(error))
        error = self.failureResultOf(database(["b"])[0], StoreError).value
        self.assertNotIsInstance(error, StoreUnsure)
        self.disk.fault = lambda call, file: None
        self.successResultOf(self.faulty_database.close())
        self.assertEqual(self.reopened_lines(), ["before", "a"])

    def test_each_has_an_error_of_its_own(self) -> None:
        """Whoever waits for an error makes its traceback longer: one for all would grow for ever."""
        database = self.faulty(lambda call, file: fsync_failed() if call == "sync" else None)
        results = [*database(["a", "b"]), *database(["c"]), *database(["d"])]
        errors = [self.failureResultOf(each, StoreError).value for each in results]
        self.assertEqual(len({id(error) for error in errors}), len(errors))
        self.assertEqual(str(errors[0]), str(errors[1]))
        self.assertEqual(str(errors[2]), str(errors[3]))

    def test_F5_a_read_that_cannot_end(self) -> None:
        """A read whose transaction cannot be ended fails, and those behind it are answered too."""
        worker = self.opened_database._readers[0]
        self.patch(worker, "_connection", StubbornConnection(worker._connection))
        fired: list[Any] = []
        for _ in range(2):
            self.opened_database.read(lambda tables: tables.lines()).addBoth(fired.append)
        self.executor.run()
        for failure in fired:
            failure.trap(StoreError)
        self.assertEqual(len(fired), 2)
        self.assertIsNotNone(self.opened_database.failed)

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

    def test_scrub_on_a_full_disk(self) -> None:
        """A WAL that could not be emptied is named with the reason, and not with a reader that is not there."""
        write = self.faulty(
            lambda call, file: apsw.FullError("no room") if call == "write" and file == "toy.db" else None
        )
        scrubbed = self.faulty_database.write(adding("a"), scrub=True)
        write([])
        self.successResultOf(scrubbed)
        self.assertRegex(self.faulty_database.traces, "-wal could not be emptied")
        self.disk.fault = lambda call, file: None
        self.assertEqual([self.successResultOf(each) for each in write(["b"])], ["b"])
        self.assertEqual(self.faulty_database.traces, "")

    def test_a_long_read(self) -> None:
        """What a long read keeps in the WAL is named, and is gone with the next transaction after it."""
        executor = InlineExecutor()
        self.patch(executor, "one_connection", False)
        self.path = self.directory / "shared.db"
        database = self.opened(executor)
        reader = apsw.Connection(str(self.path))
        reader.execute("BEGIN; SELECT * FROM line").fetchall()
        self.successResultOf(database.write(adding("a"), scrub=True))
        self.assertEqual(database.traces, f"{self.path}-wal is being read, as by a search or an export")
        reader.execute("ROLLBACK")
        self.successResultOf(database.write(adding("b")))
        self.assertEqual(database.traces, "")
        self.assertEqual(Path(f"{self.path}-wal").stat().st_size, 0)
        reader.close()

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


class StubbornConnection:
    """A connection whose transactions cannot be rolled back, as where the index of the WAL cannot be read."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str) -> Any:
        if statement == "ROLLBACK":
            raise write_failed()
        return self._connection.execute(statement)


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
