"""p2pchat.storage.offline."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.errors import StateError, StateInUse, StoreCorrupt
from p2pchat.storage.directory import StateDirectory
from p2pchat.storage.offline import open_offline
from p2pchat.storage.peer_tables import PEER_SCHEMA
from p2pchat.storage.schema import Schema
from p2pchat.storage.server_tables import SERVER_SCHEMA


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

    def test_a_directory_for_each(self) -> None:
        """A directory with a server's database is none for a peer, and the other way round: one key, one role."""
        both: list[tuple[Schema[Any], Schema[Any]]] = [(PEER_SCHEMA, SERVER_SCHEMA), (SERVER_SCHEMA, PEER_SCHEMA)]
        for first, second in both:
            whose = first.name
            directory = StateDirectory(self.path / whose)
            with open_offline(directory, first):
                pass
            error = self.assertRaises(StateError, open_offline(directory, second).__enter__)
            self.assertIn(f"is a {whose}'s directory", str(error))
            self.assertFalse(directory.database_file(second.name).exists())
            with open_offline(directory, first):
                pass

    def enter(self) -> None:
        with open_offline(StateDirectory(self.path), SERVER_SCHEMA):
            pass
