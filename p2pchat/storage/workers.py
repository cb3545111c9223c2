"""
The two workers of a database: the writer with its group commit, and the reader.

The writer does everything that waits inside one transaction, each operation in a savepoint of its own, commits
once (one fsync), and only then lets the results out, in the order of the calls.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic

import apsw
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2pchat.core.errors import StoreError
from p2pchat.storage.crash import Point, reach
from p2pchat.storage.executor import Deliver
from p2pchat.storage.failures import DISK, anew, ends_use, store_error, unsure
from p2pchat.storage.schema import (
    BUSY_MILLISECONDS,
    Schema,
    TablesT,
    open_reader,
    open_writer,
    prepare,
    remove_backups,
)

BATCH_OPERATIONS = 1_024
BATCH_SECONDS = 0.02
"""What one transaction takes at most, so that the first operation in it need not wait long for its fsync."""

CHECKPOINT_PAGES = 1_000
"""The WAL is copied back when it has this many pages (of 4 KiB), SQLite's own figure."""


INTERRUPT_STEPS = 100_000
"""Steps of SQLite's machine, about a millisecond, after which a reader looks whether it is to stop."""


@dataclass(slots=True)
class Job(Generic[TablesT]):
    """One operation, and where its result goes."""

    operation: Callable[[TablesT], Any]
    result: Deferred[Any]
    scrub: bool = False
    """Whether what it deletes is to be gone from the disk, and not from the tables alone."""
    anew: bool = False
    """Whether it is to read over a connection that was opened just now."""
    value: Any = None
    error: Exception | None = None

    def fire(self) -> None:
        """Give the result out; on the reactor's thread."""
        if self.error is None:
            self.result.callback(self.value)
        else:
            self.result.errback(Failure(self.error))


@dataclass(slots=True)
class Health:
    """What all connections of one database know about it."""

    failed: StoreError | None = None
    """Why nothing is stored any more, until the process is started again."""
    created: bool = False
    """Whether the file was made at this start."""
    commits: int = 0
    """Transactions that reached the disk."""
    traces: str = ""
    """Where what was deleted lies still, after it was tried to be gone, for a person; empty: nowhere."""
    waiting: int = 0
    """Writes whose Deferreds have not fired; counted on the reactor's thread alone."""

    _log = Logger()

    def fail(self, told: StoreError) -> None:
        """Nothing is stored from now on; the first reason is the one that is told."""
        if self.failed is None:
            self.failed = told
            self._log.critical("{reason}", reason=str(told))


class WriteWorker(Generic[TablesT]):
    """Owns the connection that writes."""

    _log = Logger()

    def __init__(
        self,
        path: Path,
        schema: Schema[TablesT],
        vfs: str | None,
        exclusive: bool,
        health: Health,
        seconds: Callable[[], float],
    ) -> None:
        self._path = path
        self._schema = schema
        self._vfs = vfs
        self._exclusive = exclusive
        self._health = health
        self._seconds = seconds
        self._wal_pages = 0
        self._scrub_due = False
        self._stuck = ""

    def open(self) -> None:
        """Make or upgrade the database and open it. Raises the `StoreError` tree."""
        self._health.created = prepare(self._path, self._schema, self._vfs)
        self.connection = open_writer(self._path, self._vfs, self._exclusive)
        # In place of SQLite's automatic checkpoints, which swallow a failed fsync (F6); `rest` does ours.
        self.connection.set_wal_hook(self._note_wal)
        self._tables = self._schema.tables(self.connection)

    def run(self, job: Job[TablesT], more: Callable[[], Job[TablesT] | None]) -> Deliver:
        """One transaction; returns what fires its Deferreds."""
        batch = [job]
        if self._health.failed is not None:
            job.error = anew(self._health.failed)
            return partial(deliver, batch, self._health)
        committing = False
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            self._operate(batch, more)
            reach(Point.BEFORE_COMMIT)
            committing = True
            self.connection.execute("COMMIT")
            reach(Point.AFTER_COMMIT)
            self._health.commits += 1
            self._scrub_due = self._scrub_due or any(each.scrub for each in batch)
        except Exception as error:
            self._give_up(batch, error, committing)
        if self._scrub_due and self._health.failed is None:
            self._scrub()
        return partial(deliver, batch, self._health)

    def rest(self) -> None:
        """Copy the WAL back when it is long; the results are out already."""
        if self._wal_pages < CHECKPOINT_PAGES or self._health.failed is not None:
            return
        self._wal_pages = 0
        self._checkpoint(apsw.SQLITE_CHECKPOINT_PASSIVE)

    def close(self) -> None:
        """Copy the whole WAL back and close; after a failure the files are left just as they are."""
        if self._health.failed is None:
            self._checkpoint(apsw.SQLITE_CHECKPOINT_TRUNCATE)
        if self._health.failed is not None:
            self.connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self.connection.close()

    def _scrub(self) -> None:
        """Empty the WAL, which holds pages as they were before, and drop old copies of the database."""
        traces: list[str] = []
        self.connection.set_busy_timeout(0)
        try:
            # Where a long read holds the WAL this is done after a later transaction: nothing waits for it here.
            self._scrub_due = not self._checkpoint(apsw.SQLITE_CHECKPOINT_TRUNCATE)
            if self._scrub_due:
                why = self._stuck or "is being read, as by a search or an export"
                traces.append(f"{self._path}-wal {why}")
            if self._vfs is None:
                remove_backups(self._path)
        except OSError as error:
            traces.append(f"the copy of {self._path} from before an upgrade cannot be removed ({error.strerror})")
        finally:
            self.connection.set_busy_timeout(BUSY_MILLISECONDS)
        self._health.traces = "; ".join(traces)

    def _operate(self, batch: list[Job[TablesT]], more: Callable[[], Job[TablesT] | None]) -> None:
        end = self._seconds() + BATCH_SECONDS
        self._do_first(batch[0])
        while len(batch) < BATCH_OPERATIONS and self._seconds() < end:
            job = more()
            if job is None:
                return
            batch.append(job)
            self._do(job)

    def _do_first(self, job: Job[TablesT]) -> None:
        """Like `_do`; the transaction holds nothing else yet, so beginning it again undoes this operation alone."""
        try:
            job.value = job.operation(self._tables)
        except Exception as error:
            if isinstance(error, DISK) or not self.connection.in_transaction:
                raise
            self.connection.execute("ROLLBACK")
            self.connection.execute("BEGIN IMMEDIATE")
            job.error = error

    def _do(self, job: Job[TablesT]) -> None:
        """One operation; what it raises is its own affair, unless the transaction is gone with it."""
        self.connection.execute("SAVEPOINT operation")
        try:
            job.value = job.operation(self._tables)
        except Exception as error:
            if isinstance(error, DISK) or not self.connection.in_transaction:
                raise
            self.connection.execute("ROLLBACK TO operation")
            job.error = error
        self.connection.execute("RELEASE operation")

    def _give_up(self, batch: list[Job[TablesT]], error: Exception, committing: bool) -> None:
        """Nothing of the batch was stored, or nobody knows: all of it fails, also what had worked."""
        told = store_error(error, str(self._path), self.connection.system_errno)
        told.__cause__ = error
        if ends_use(error, told):
            self._health.fail(told)
        for job in batch:
            job.error = anew(unsure(error, told, str(self._path)) if committing else told)
        try:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
        except Exception as second:
            self._log.error("rolling back {path} failed: {error}", path=str(self._path), error=str(second))
            self._health.fail(told)

    def _checkpoint(self, mode: int) -> bool:
        """Copy the WAL back; false if a reader was in the way, or (`_stuck` says why) it failed."""
        self._stuck = ""
        try:
            self.connection.wal_checkpoint(mode=mode)
            reach(Point.CHECKPOINTED)
            return True
        except apsw.BusyError:
            pass  # a long read is under way: the next checkpoint does it
        except Exception as error:
            told = store_error(error, str(self._path), self.connection.system_errno)
            told.__cause__ = error
            self._stuck = f"could not be emptied ({error})"
            # What was committed is safe in the WAL; only a failed disk ends the use.
            self._log.warn("copying the WAL of {path} back failed: {error}", path=str(self._path), error=str(error))
            if ends_use(error, told):
                self._health.fail(told)
        return False

    def _note_wal(self, connection: apsw.Connection, name: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK


class ReadWorker(Generic[TablesT]):
    """Reads, each operation in one snapshot; on a connection of its own, or on the writer's between its batches."""

    def __init__(
        self,
        path: Path,
        schema: Schema[TablesT],
        vfs: str | None,
        health: Health,
        writer: WriteWorker[TablesT] | None,
    ) -> None:
        self._path = path
        self._schema = schema
        self._vfs = vfs
        self._health = health
        self._writer = writer
        self._interrupted = False

    def open(self) -> None:
        """Open the connection; the writer has made the database. Raises the `StoreError` tree."""
        if self._writer is not None:
            self._connection = self._writer.connection
        else:
            self._connection = open_reader(self._path, self._vfs)
            self._connection.set_progress_handler(lambda: self._interrupted, INTERRUPT_STEPS)
        self._tables = self._schema.tables(self._connection)

    def run(self, job: Job[TablesT], more: Callable[[], Job[TablesT] | None]) -> Deliver:
        """One operation."""
        if self._interrupted:
            job.error = store_error(apsw.InterruptError(), str(self._path))
            return job.fire
        try:
            if job.anew:
                self._reopen()
            self._end()  # the last one, where that failed
            self._connection.execute("BEGIN")
            job.value = job.operation(self._tables)
            self._end()
        except Exception as error:
            job.error = self._judge(error)
            with suppress(*DISK):
                self._end()
        return job.fire

    def rest(self) -> None:
        """Nothing to do."""

    def interrupt(self) -> None:
        """Make the running operation, and those that wait, fail soon; from any thread."""
        # Not SQLite's interrupt(), which does nothing to an operation that is between two statements.
        self._interrupted = True

    def close(self) -> None:
        """Close the connection, if it is our own."""
        if self._writer is None:
            self._connection.close()

    def _reopen(self) -> None:
        before = self._connection
        self.open()
        if self._connection is not before:
            before.close()

    def _end(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _judge(self, error: Exception) -> Exception:
        if not isinstance(error, DISK):
            return error
        told = store_error(error, str(self._path), self._connection.system_errno)
        told.__cause__ = error
        if ends_use(error, told):
            self._health.fail(told)
        return anew(told)


def deliver(batch: list[Job[TablesT]], health: Health) -> None:
    """Fire the Deferreds of a batch of writes, in order."""
    for job in batch:
        health.waiting -= 1
        job.fire()
