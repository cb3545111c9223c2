"""The store of a peer or server that does not run: for one-shot commands, synchronously."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from p2pchat.core.errors import StoreError
from p2pchat.storage.database import Database
from p2pchat.storage.directory import StateDirectory
from p2pchat.storage.executor import InlineExecutor
from p2pchat.storage.failures import told_to_people
from p2pchat.storage.schema import Schema, TablesT, open_reader

ResultT = TypeVar("ResultT")


class OfflineDatabase(Generic[TablesT]):
    """Like `Database`, with results instead of Deferreds."""

    def __init__(self, database: Database[TablesT]) -> None:
        self._database = database

    @property
    def created(self) -> bool:
        """Whether there was no database before."""
        return self._database.created

    def write(self, operation: Callable[[TablesT], ResultT]) -> ResultT:
        """Run it in a transaction; it is on the disk when this returns. Raises what it raises, or `StoreError`."""
        return _now(self._database.write(operation))

    def read(self, operation: Callable[[TablesT], ResultT]) -> ResultT:
        """Run it in one snapshot. Raises what it raises, or `StoreError`."""
        return _now(self._database.read(operation))


@contextmanager
def open_offline(directory: StateDirectory, schema: Schema[TablesT]) -> Iterator[OfflineDatabase[TablesT]]:
    """
    Lock the directory and open its database of `schema` (made if there is none) for the length of a `with`.

    Raises `StateInUse` if a daemon runs there (ask that one instead), `StateError`, or the `StoreError` tree.
    """
    with directory:
        directory.keep_apart(schema.name)
        database = Database(directory.database_file(schema.name), schema, InlineExecutor())
        _now(database.open())
        try:
            yield OfflineDatabase(database)
        finally:
            _now(database.close())


@contextmanager
def look_beside(directory: StateDirectory, schema: Schema[TablesT]) -> Iterator[TablesT]:
    """The tables of a database whose daemon runs, to be read only: SQLite lets one write and others read."""
    path = directory.database_file(schema.name)
    connection = open_reader(path)
    try:
        with told_to_people(str(path)):
            yield schema.tables(connection)
    finally:
        connection.close()


def _now(deferred: Deferred[ResultT]) -> ResultT:
    results: list[ResultT | Failure] = []
    deferred.addBoth(results.append)
    if not results:
        raise StoreError("the database did not answer at once: this is a bug, please report it")
    (result,) = results
    if isinstance(result, Failure):
        result.raiseException()
    assert not isinstance(result, Failure)
    return result
