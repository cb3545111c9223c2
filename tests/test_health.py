"""Whether a store is healthy: a good database and a damaged one, room, and permissions."""

from pathlib import Path

import apsw
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.storage.health import Integrity, look_at


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
