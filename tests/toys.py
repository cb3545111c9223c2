"""A small schema, and a database of it in a fresh directory, for the tests of the store."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import apsw
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.errors import StoreError
from p2pchat.storage.database import Database
from p2pchat.storage.executor import InlineExecutor
from p2pchat.storage.schema import Schema
from p2pchat.storage.settings import Settings

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
