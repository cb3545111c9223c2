"""Whether a store is healthy: a good database and a damaged one, room, and permissions."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import apsw
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.storage.health import Integrity, look_at
from p2pchat.storage.peer_tables import PEER_SCHEMA, PeerTables
from p2pchat.storage.workers import Health, Job, ReadWorker, WriteWorker


class IntegrityTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.file = Path(self.mktemp())
        connection = apsw.Connection(str(self.file))
        connection.execute("PRAGMA page_size = 512; CREATE TABLE line (number INTEGER PRIMARY KEY, text TEXT)")
        connection.execute("CREATE INDEX by_text ON line (text)")
        rows = [(number, f"line {number}") for number in range(1000)]
        with connection:
            connection.executemany("INSERT INTO line VALUES (?, ?)", rows)
        connection.close()

    def fault(self) -> str:
        connection = apsw.Connection(str(self.file))
        self.addCleanup(connection.close)
        return Integrity(connection).fault()

    def test_good(self) -> None:
        """Nothing is wrong with a good database."""
        self.assertEqual(self.fault(), "")

    def test_damaged(self) -> None:
        """A page of zeros is found, and told in one line."""
        data = bytearray(self.file.read_bytes())
        data[512 * 20 : 512 * 21] = bytes(512)
        self.file.write_bytes(data)
        fault = self.fault()
        self.assertNotEqual(fault, "")


class SearcherTests(SynchronousTestCase):
    """A connection that lives beside a writer."""

    def setUp(self) -> None:
        path, health = Path(self.mktemp()), Health()
        self.writer = WriteWorker(path, PEER_SCHEMA, None, False, health, lambda: 0.0)
        self.searcher = ReadWorker(path, PEER_SCHEMA, None, health, None)
        for worker in (self.writer, self.searcher):
            worker.open()
            self.addCleanup(worker.close)

    def do(self, worker: Any, operation: Callable[[PeerTables], Any], anew: bool = False) -> Any:
        result: Deferred[Any] = Deferred()
        worker.run(Job(operation, result, anew=anew), lambda: None)()
        return self.successResultOf(result)

    def index(self, entry: int, tables: PeerTables) -> None:
        tables.search.add([(entry, f"one two {entry}")])

    def test_index_that_was_merged(self) -> None:
        """A full-text index that was written anew meanwhile is not taken for damaged by whoever asks anew."""
        for entry in range(1, 100):
            self.do(self.writer, partial(self.index, entry))
        self.assertEqual(self.do(self.searcher, lambda tables: tables.search.find('"one"', 1, 1000)), [99])
        while self.do(self.writer, lambda tables: tables.search.merge(True)):
            pass
        for _ in range(2):
            self.assertEqual(self.do(self.searcher, lambda tables: tables.integrity.fault(), anew=True), "")
        self.assertEqual(self.do(self.searcher, lambda tables: tables.search.find('"one"', 1, 1000)), [99])


class RoomTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.path.mkdir(mode=0o700)
        self.mounts = Path(self.mktemp())

    def test_own_directory(self) -> None:
        """A directory of ours, closed to others, with room."""
        room = look_at(self.path)
        self.assertEqual((room.mode, room.owned, room.network), (0o700, True, None))
        self.assertGreater(room.free, 0)

    def test_open_to_others(self) -> None:
        """Its mode is told as it is."""
        self.path.chmod(0o755)
        self.assertEqual(look_at(self.path).mode, 0o755)

    def test_network(self) -> None:
        """A network file system is named."""
        self.mounts.write_bytes(b"1 0 0:1 / / rw - ext4 /dev/sda rw\n2 1 0:2 / /home rw - nfs4 host:/ rw\n")
        self.assertIsNone(look_at(Path("/"), self.mounts).network)
        self.mounts.write_bytes(b"1 0 0:1 / / rw - nfs4 host:/ rw\n")
        self.assertEqual(look_at(self.path, self.mounts).network, "nfs4")

    def test_gone(self) -> None:
        """A directory that is not there is an error."""
        self.assertRaises(FileNotFoundError, look_at, self.path / "none")
