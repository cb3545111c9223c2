"""A database whose process died: what of it the next one may believe (storage/schema.py)."""

import contextlib
import itertools
from pathlib import Path
from random import Random

import apsw
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.errors import StoreError
from p2pchat.storage.peer_tables import PEER_SCHEMA
from p2pchat.storage.schema import WAL_PIECE, _write_wal_again, open_writer, prepare
from tests.simulation.disk import FATES, Disk, Trap

PATH = Path("/peer.db")

MANY = 60
"""Rows of the commit that fails: they take several pages, which fit together or are damage."""


class LeftBehindTests(SynchronousTestCase):
    """A process died with a WAL of which not all that can be read is on the disk."""

    def died(self) -> Disk:
        """The disk as the next process finds it: a commit that is durable, and one whose sync failed."""
        disk = Disk()
        prepare(PATH, PEER_SCHEMA, disk.name)
        connection = open_writer(PATH, disk.name, exclusive=True)
        tables = PEER_SCHEMA.tables(connection)
        tables.settings.set("first", b"1")
        connection.execute("BEGIN")
        for number in range(MANY):
            tables.settings.set(f"many {number}", bytes(200))
        tables.settings.set("second", b"2")
        disk.failing["sync"] = 0
        self.assertRaises(apsw.IOError, connection.execute, "COMMIT")
        disk.dead = True  # a killed process closes nothing
        return Disk(disk.files)

    def read(self, disk: Disk) -> list[bytes | None]:
        """What a process reads."""
        prepare(PATH, PEER_SCHEMA, disk.name)
        tables = PEER_SCHEMA.tables(open_writer(PATH, disk.name, exclusive=True))
        return [tables.settings.get(name) for name in ("first", "second")]

    def test_F6_what_is_read_is_durable(self) -> None:
        """What the next process has read is there after a loss of power, though the one before could not sync it."""
        disk = self.died()
        self.assertEqual(self.read(disk), [b"1", b"2"])
        for fate in FATES:
            again = Disk(disk.lose_power(Random(fate), fate))
            self.assertEqual(self.read(again), [b"1", b"2"], fate)

    def test_F6_power_lost_at_any_moment_of_the_start(self) -> None:
        """Whenever the power fails while that process starts and copies the WAL back, the database is whole."""
        for after, fate in itertools.product(range(200), FATES):
            disk = self.died()
            disk.trap = Trap(after, late=False)
            with contextlib.suppress(StoreError, apsw.Error):
                prepare(PATH, PEER_SCHEMA, disk.name)
                open_writer(PATH, disk.name, exclusive=True).wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            if disk.trap is not None:
                break
            again = Disk(disk.lose_power(Random(f"{after} {fate}"), fate))
            first, second = self.read(again)
            self.assertEqual((first, second in (None, b"2")), (b"1", True), (after, fate))
        else:
            self.fail("the start never ends")
        self.assertGreater(after, 5)

    def test_F18_a_disk_that_fails_again(self) -> None:
        """Where the WAL cannot be written again the start is refused in one line."""
        for operation in ("write", "sync"):
            disk = self.died()
            disk.failing[operation] = 0
            error = self.assertRaises(StoreError, prepare, PATH, PEER_SCHEMA, disk.name)
            self.assertIn("the disk failed", str(error))

    def test_on_a_real_file_system(self) -> None:
        """A long WAL that a killed process left is as it was, byte for byte, and all of it is read."""
        path = Path(self.mktemp())
        prepare(path, PEER_SCHEMA)
        connection = open_writer(path)
        tables = PEER_SCHEMA.tables(connection)
        for number in range(20):
            tables.settings.set(f"many {number}", bytes(20_000))
        left = path.with_name("left")
        for suffix in ("", "-wal"):
            left.with_name(f"left{suffix}").write_bytes(Path(f"{path}{suffix}").read_bytes())
        connection.close()
        wal = left.with_name("left-wal")
        before = wal.read_bytes()
        self.assertGreater(len(before), 3 * WAL_PIECE)
        _write_wal_again(left, None)
        self.assertEqual(wal.read_bytes(), before)
        prepare(left, PEER_SCHEMA)
        again = PEER_SCHEMA.tables(open_writer(left))
        self.assertEqual(again.settings.get("many 19"), bytes(20_000))
