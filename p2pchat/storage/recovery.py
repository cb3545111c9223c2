"""
A damaged database is replaced by what can be read of it, and kept aside: `p2pchat recover`.

The damaged files are only read. The new database is made beside them; when it is whole and on the disk it gets the
name `NAME.db.recovered`, which is the decision: from then on it is put in place, also by the next `recover` if this one
is killed, and until that has happened nothing opens the old one (storage/schema.py).
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

import apsw

from p2pchat.core.errors import StateError, StoreCorrupt, StoreError, StoreFull
from p2pchat.storage.directory import StateDirectory
from p2pchat.storage.failures import DAMAGED, DISK, store_error
from p2pchat.storage.files import NO_ROOM, sync_directory
from p2pchat.storage.pages import DamagedFile
from p2pchat.storage.query import row, rows
from p2pchat.storage.salvage import Salvaged, drop_orphans, salvage
from p2pchat.storage.schema import Schema, TablesT, check, prepare, recovered_file

_BESIDE = ("-wal", "-journal")
"""What SQLite keeps beside a database and needs to read it; `-shm` is made again."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What became of a database."""

    why: str
    """What was wrong with it, in a few words."""
    kept: Path
    """Where the damaged one is."""
    saved: dict[str, int]
    """Rows by table."""
    lost: dict[str, int]
    """Rows by table, as far as something tells of them."""
    damaged: int
    """Rows that were there and could not be read."""


@dataclass(frozen=True, slots=True)
class Mending:
    """What one kind of database needs beyond its tables."""

    doubt: Callable[[apsw.Connection], str]
    """What is wrong in a database that SQLite finds in order; empty if nothing is."""
    mend: Callable[[apsw.Connection, Salvaged], dict[str, int]]
    """Make the rows fit each other again, in a transaction with foreign keys off; what is lost, by table."""


def _nothing_more(connection: apsw.Connection, result: Salvaged) -> dict[str, int]:
    drop_orphans(connection, result)
    return {}


PLAIN = Mending(lambda connection: "", _nothing_more)
"""Of a database whose rows need nothing but each other."""


def recover(directory: StateDirectory, schema: Schema[TablesT], mending: Mending, stamp: str) -> Recovered | None:
    """
    Replace the database of a directory that we hold, if it is damaged; None if it is in order.

    `stamp` names the damaged one that is kept. Raises StoreTooNew for one of a newer version, StateError where there
    is none, and the rest of the StoreError tree; the damaged files are then as before.
    """
    path = directory.database_file(schema.name)
    with _told(path):
        if recovered_file(path).exists():
            _place(path)  # a recovery was interrupted behind its decision
        if not path.exists() and not any(Path(f"{path}{suffix}").exists() for suffix in _BESIDE):
            raise StateError(f"there is no database in {directory.path}: there is nothing to recover")
        why = _fault(path, schema, mending)
        if not why:
            return None
        return _replace(path, schema, mending, why, stamp)


# --- judging


def _fault(path: Path, schema: Schema[TablesT], mending: Mending) -> str:
    """What is wrong, looked for in a copy: SQLite writes where it reads. Raises StoreTooNew."""
    copy = path.with_name(f"{path.name}.checked")
    _remove(copy)
    try:
        for suffix in ("", *_BESIDE):
            with suppress(FileNotFoundError):
                _copy(Path(f"{path}{suffix}"), Path(f"{copy}{suffix}"))
        if not copy.exists():
            return "the file is gone"
        return _fault_of_copy(copy, path, schema, mending)
    finally:
        _remove(copy)


def _fault_of_copy(copy: Path, path: Path, schema: Schema[TablesT], mending: Mending) -> str:
    """What is wrong with the copy of `path`, which is the one to name."""
    try:
        connection = apsw.Connection(str(copy), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            version = check(path, schema, connection)
            ((result,),) = rows(connection, "PRAGMA integrity_check(1)")
            if result != "ok":
                return str(result).splitlines()[-1]
            if row(connection, "PRAGMA foreign_key_check") is not None:
                return "rows are missing to which others belong"
            return mending.doubt(connection) if version == schema.version else ""
        finally:
            connection.close()
    except StoreCorrupt as error:
        return error.detail or "it is damaged"
    except apsw.Error as error:
        if isinstance(error, DISK) and not isinstance(error, DAMAGED):
            raise
        return str(error)


# --- replacing


def _replace(path: Path, schema: Schema[TablesT], mending: Mending, why: str, stamp: str) -> Recovered:
    new = path.with_name(f"{path.name}.recovering")
    kept = _free_name(path, stamp)
    _remove(new)
    prepare(new, schema)
    try:
        result, lost = _fill(path, new, mending)
        saved = _counts(new)
        _keep(path, kept)
        os.rename(new, recovered_file(path))
    except BaseException:
        _remove(new)
        _remove(kept)
        raise
    sync_directory(path.parent)
    _place(path)
    return Recovered(why, kept, saved, lost, result.damaged)


def _fill(path: Path, new: Path, mending: Mending) -> tuple[Salvaged, dict[str, int]]:
    connection = apsw.Connection(str(new), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.pragma("synchronous", "EXTRA")
        connection.pragma("foreign_keys", False)
        connection.execute("BEGIN EXCLUSIVE")
        result = _salvage(path, connection)
        lost = mending.mend(connection, result)
        for table, number in result.orphans.items():
            lost[table] = max(lost.get(table, 0), number)
        connection.execute("COMMIT")
        if row(connection, "PRAGMA foreign_key_check") is not None:
            raise StoreError(f"what was read of {path} does not fit together: this is a bug, please report it")
        return result, {table: number for table, number in lost.items() if number}
    finally:
        connection.close()


def _salvage(path: Path, connection: apsw.Connection) -> Salvaged:
    try:
        source = DamagedFile(path)
    except FileNotFoundError:
        return Salvaged()  # only its WAL is left, and may not be all
    try:
        return salvage(source, connection)
    finally:
        source.close()


def _counts(path: Path) -> dict[str, int]:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        tables = [
            name
            for (name,) in rows(
                connection, "SELECT name FROM pragma_table_list WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
            )
        ]
        return {table: int((row(connection, f"SELECT count(*) FROM {table}") or (0,))[0]) for table in tables}
    finally:
        connection.close()


def _free_name(path: Path, stamp: str) -> Path:
    """Where the damaged one is kept; nothing that was kept before is in the way."""
    suffixes = chain([""], (f".{number}" for number in count(2)))
    names = (path.with_name(f"{path.name}.damaged-{stamp}{suffix}") for suffix in suffixes)
    return next(name for name in names if not os.path.lexists(name))


def _keep(path: Path, kept: Path) -> None:
    """The damaged files get a second name each, under which they stay."""
    for suffix in ("", *_BESIDE):
        with suppress(FileNotFoundError):
            os.link(f"{path}{suffix}", f"{kept}{suffix}")


def _place(path: Path) -> None:
    """Put what was recovered in place of the damaged one; may be done again after a crash anywhere inside."""
    for suffix in (*_BESIDE, "-shm"):
        # SQLite would play what is left of the old one into the new one.
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    sync_directory(path.parent)
    os.replace(recovered_file(path), path)
    sync_directory(path.parent)


# --- files


def _copy(source: Path, target: Path) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as written, source.open("rb") as read:
        shutil.copyfileobj(read, written, 1 << 20)


def _remove(path: Path) -> None:
    for suffix in ("", *_BESIDE, "-shm", ".new", ".new-journal"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Errors of the disk inside come out for people."""
    try:
        yield
    except DISK as error:
        raise store_error(error, str(path)) from error
    except OSError as error:
        if recovered_file(path).exists():
            line = f"what was recovered of {path} is whole and could not be put in its place: {error.strerror}"
            raise StateError(f"{line}; p2pchat recover goes on with that") from error
        if error.errno in NO_ROOM:
            raise StoreFull(
                f"no room on the disk to recover {path}: nothing was changed; make room and try again"
            ) from error
        raise StateError(f"cannot recover {path}: {error.strerror}; nothing was changed") from error
