"""
What a database is made of: its numbered schema as SQL text, and the numbered steps from one to the next.

A new database is made whole under another name and then moved to its place. An older one is copied first and
then upgraded step by step, each step one transaction. A newer one is refused (F21), a damaged one too (F20):
nothing here ever replaces a database that is there, or starts an empty one beside what is left of an old one.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Generic, TypeVar

import apsw

from p2pchat.core.errors import StateError, StoreError, StoreTooNew
from p2pchat.storage.crash import Point, reach
from p2pchat.storage.failures import corrupt, told_to_people
from p2pchat.storage.files import sync_directory

TablesT = TypeVar("TablesT")

BUSY_MILLISECONDS = 5_000
"""How long a statement waits for a lock; only a copy or a look by another program ever holds one."""

QUICK_CHECK_SIZE = 4 << 20
"""Bytes: a database up to this is checked whole at the start (some 20 ms); a larger one as it is read."""

WAL_PIECE = 1 << 16
"""Bytes of a WAL that are written again at once; SQLite's own VFS takes less than 128 KiB."""

SCRIPTS = files("p2pchat.storage")
"""The SQL that is installed with this package."""

STATEMENT_CACHE = 200
"""Prepared statements kept by each connection: more than there are texts of SQL."""


@dataclass(frozen=True)
class Schema(Generic[TablesT]):
    """One kind of database: how it is made and upgraded, and the typed access to its tables."""

    name: str
    """`peer`: the stem of the SQL files and of the database's own name."""
    application_id: int
    """32 bits in the file's header that say whose database it is."""
    version: int
    """What this program writes; SQLite's user_version."""
    tables: Callable[[apsw.Connection], TablesT]
    """Wraps a connection in typed functions."""
    source: Traversable = SCRIPTS
    """Where `NAME-VERSION.sql` and `NAME-FROM-to-TO.sql` are."""
    after: Mapping[int, Callable[[apsw.Connection], None]] = field(default_factory=dict)
    """By version: what the upgrade from it does beside its SQL, in the same transaction."""

    def script(self) -> str:
        """The SQL that makes an empty database of the current version."""
        return self._read(f"{self.name}-{self.version}.sql")

    def upgrade(self, version: int) -> str:
        """The SQL from `version` to the one after it."""
        return self._read(f"{self.name}-{version}-to-{version + 1}.sql")

    def _read(self, name: str) -> str:
        return (self.source / name).read_text("utf-8")


def prepare(path: Path, schema: Schema[TablesT], vfs: str | None = None) -> bool:
    """
    Make the database if there is none, upgrade it if it is older; true if it was made.

    Whoever calls this holds the state directory's lock. Raises the `StoreError` tree; the file is then as before.
    With a `vfs` (a simulated disk, which has no rename) the database is made in its place, in one transaction.
    """
    if vfs is None and os.path.lexists(recovered_file(path)):
        raise corrupt(str(path), "its recovery was interrupted and must be ended")
    with told_to_people(str(path)):
        _write_wal_again(path, vfs)
        made = _make_in_place(path, schema, vfs) if vfs is not None else _make(path, schema)
        if not made:
            _bring_up_to_date(path, schema, vfs)
        return made


def _write_wal_again(path: Path, vfs: str | None) -> None:
    """
    Have the WAL that a process left behind on the disk, before anybody believes it.

    If a sync of it failed, what can be read of it need not be there, and no later sync puts it there: the kernel holds
    it for written (F6). Copied into the database like that, and the power lost meanwhile, it would be damage.
    """
    try:
        flags = [apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_READWRITE, 0]
        wal = apsw.VFSFile(vfs or "", f"{path}-wal", flags)
    except (apsw.CantOpenError, apsw.IOError):
        return  # there is none, as after every end in order; of anything else whoever opens the database is told
    try:
        size = wal.xFileSize()
        for offset in range(0, size, WAL_PIECE):
            wal.xWrite(wal.xRead(min(WAL_PIECE, size - offset), offset), offset)
        if size:
            wal.xSync(apsw.SQLITE_SYNC_FULL)
    finally:
        wal.xClose()


def open_writer(path: Path, vfs: str | None = None, exclusive: bool = False) -> apsw.Connection:
    """
    The one connection that writes. Raises the `StoreError` tree.

    `exclusive`: no other connection will be opened, so no memory is shared (for VFSes that cannot).
    """
    with told_to_people(str(path)):
        connection = _connect(path, apsw.SQLITE_OPEN_READWRITE, vfs, exclusive)
        try:
            if connection.pragma("journal_mode", "WAL") != "wal":
                raise StoreError(f"{path} cannot be used safely where it is: {_NO_WAL}")
            # FULL: a commit has reached the disk when it returns, also in WAL mode, where NORMAL waits for the
            # next checkpoint. fullfsync makes that true on macOS and means nothing elsewhere.
            connection.pragma("synchronous", "FULL")
            connection.pragma("fullfsync", True)
            connection.pragma("checkpoint_fullfsync", True)
            connection.pragma("foreign_keys", True)
        except BaseException:
            connection.close()
            raise
        return connection


def open_reader(path: Path, vfs: str | None = None) -> apsw.Connection:
    """A connection that only reads, beside the writer's. Raises the `StoreError` tree."""
    with told_to_people(str(path)):
        return _connect(path, apsw.SQLITE_OPEN_READONLY, vfs)


def _nothing(connection: apsw.Connection) -> None:
    """What most upgrades do beside their SQL."""


def backup_file(path: Path, version: int) -> Path:
    """Where the copy of a database of `version` is kept when it is upgraded."""
    return path.with_name(f"{path.name}.version-{version}")


def recovered_file(path: Path) -> Path:
    """What was recovered of a damaged database, whole, until it is put in its place (storage/recovery.py)."""
    return path.with_name(f"{path.name}.recovered")


def remove_backups(path: Path) -> None:
    """Drop the copies that upgrades made, for good: they hold what was said before. Raises OSError."""
    copies = list(path.parent.glob(f"{path.name}.version-*"))
    for copy in copies:
        copy.unlink(missing_ok=True)
    if copies:
        sync_directory(path.parent)


_NO_WAL = "the file system has no shared memory for SQLite's WAL; choose another directory with --state DIR"


def _connect(path: Path, flags: int, vfs: str | None, exclusive: bool = False) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=flags, vfs=vfs, statementcachesize=STATEMENT_CACHE)
    if exclusive:
        connection.pragma("locking_mode", "EXCLUSIVE")  # before anything is read, or shared memory is looked for
    connection.set_busy_timeout(BUSY_MILLISECONDS)
    # Nothing that stands in a database, a damaged or planted one too, may run code or rewrite its own schema.
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    # Otherwise the planner looks at bound values, and SQLite prepares every join anew for each that is bound: eight
    # times what it takes to run it.
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    connection.pragma("cell_size_check", True)
    if flags & apsw.SQLITE_OPEN_READWRITE:
        # What is freed is overwritten with zeros: also what the full-text index frees long before it is deleted.
        connection.pragma("secure_delete", True)
    connection.pragma("temp_store", "MEMORY")  # temporary files would be one more way to be full
    return connection


def _make(path: Path, schema: Schema[TablesT]) -> bool:
    if os.path.lexists(path):
        return False
    for left in (f"{path}-wal", f"{path}-journal"):
        if os.path.lexists(left):
            # SQLite would play what is left of the old database into the new one.
            raise corrupt(str(path), f"it is gone, but {os.path.basename(left)} is still there")
    new = path.with_name(f"{path.name}.new")
    try:
        _remove_new(new)
        # Made here, so that it and everything SQLite puts beside it is 0600 whatever the umask.
        os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        _fill(new, schema, None)
        reach(Point.DATABASE_FILLED)
        os.rename(new, path)
        reach(Point.DATABASE_PLACED)
        sync_directory(path.parent)
    except OSError as error:
        raise StateError(f"cannot make {path}: {error.strerror}") from error
    return True


def _remove_new(new: Path) -> None:
    """Drop what a process left that was killed while it made the database."""
    for name in (new, new.with_name(f"{new.name}-journal")):
        name.unlink(missing_ok=True)


def _make_in_place(path: Path, schema: Schema[TablesT], vfs: str | None) -> bool:
    connection = _connect(path, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE, vfs, exclusive=True)
    try:
        empty = bool(connection.pragma("page_count") == 0)
    finally:
        connection.close()
    if empty:
        _fill(path, schema, vfs)
    return empty


def _fill(path: Path, schema: Schema[TablesT], vfs: str | None) -> None:
    connection = _connect(path, apsw.SQLITE_OPEN_READWRITE, vfs)
    try:
        connection.pragma("synchronous", "EXTRA")
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute(schema.script())
        connection.pragma("application_id", schema.application_id)
        connection.pragma("user_version", schema.version)
        connection.execute("COMMIT")
    finally:
        connection.close()


def _bring_up_to_date(path: Path, schema: Schema[TablesT], vfs: str | None) -> None:
    connection = _connect(path, apsw.SQLITE_OPEN_READWRITE, vfs, exclusive=vfs is not None)
    try:
        version = check(path, schema, connection)
        if version < schema.version:
            _back_up(path, connection, backup_file(path, version), vfs)
            connection.pragma("synchronous", "FULL")
            for number in range(version, schema.version):
                _upgrade(path, schema, connection, number)
    finally:
        connection.close()


def check(path: Path, schema: Schema[TablesT], connection: apsw.Connection) -> int:
    """The version of the database; raises StoreCorrupt or StoreTooNew if it is damaged, not ours, or newer."""
    application_id, version = connection.pragma("application_id"), connection.pragma("user_version")
    if application_id != schema.application_id:
        what = "it is empty" if connection.pragma("page_count") == 0 else f"it is no p2pchat {schema.name} database"
        raise corrupt(str(path), what)
    if version > schema.version:
        raise StoreTooNew(
            f"{path} was written by a newer p2pchat (its version is {version}, this program knows {schema.version}): "
            "install the newer one again, or choose another directory with --state DIR"
        )
    if connection.pragma("page_count") * connection.pragma("page_size") <= QUICK_CHECK_SIZE:
        try:
            ((result,),) = connection.execute("PRAGMA quick_check(1)")
        except apsw.SQLError as error:  # a table that SQLite itself makes no sense of, such as the full-text index
            raise corrupt(str(path), str(error)) from error
        if result != "ok":
            raise corrupt(str(path), str(result).splitlines()[-1])
    return int(version)


def _back_up(path: Path, source: apsw.Connection, copy: Path, vfs: str | None) -> None:
    """Copy the database, committed pages of its WAL included, whole or not at all."""
    new = copy if vfs is not None else copy.with_name(f"{copy.name}.new")
    try:
        if vfs is None:
            _remove_new(new)
            os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        target = apsw.Connection(str(new), flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE, vfs=vfs)
        try:
            with target.backup("main", source, "main") as backup:
                backup.step(-1)
        finally:
            target.close()
        if vfs is None:
            reach(Point.COPY_WRITTEN)
            os.replace(new, copy)
            sync_directory(copy.parent)
    except OSError as error:
        raise StateError(f"cannot copy {path} to {copy} before its upgrade: {error.strerror}") from error


def _upgrade(path: Path, schema: Schema[TablesT], connection: apsw.Connection, version: int) -> None:
    script = schema.upgrade(version)
    # Tables are rebuilt by making, copying, dropping and renaming, which foreign keys would forbid half-way.
    connection.pragma("foreign_keys", False)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        connection.execute(script)
        schema.after.get(version, _nothing)(connection)
        if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
            raise StoreError(
                f"the upgrade of {path} to version {version + 1} failed: nothing was changed; use the older p2pchat "
                "again and report it"
            )
        connection.pragma("user_version", version + 1)
        reach(Point.UPGRADE_WRITTEN)
        connection.execute("COMMIT")
        reach(Point.UPGRADED)
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
