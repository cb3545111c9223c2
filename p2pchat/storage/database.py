"""
One SQLite database: `write` and `read` take an operation on its tables and answer with a Deferred.

A write's Deferred fires after the commit that holds it has reached the disk, never before; that is what the
promise ("a message that was accepted is on disk") rests on.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred, fail

from p2pchat.core.errors import StoreError
from p2pchat.storage.executor import Executor, Lane
from p2pchat.storage.schema import Schema, TablesT
from p2pchat.storage.workers import Health, Job, ReadWorker, WriteWorker

ResultT = TypeVar("ResultT")

WAITING_WRITES = 65_536
"""Writes that may wait for the disk; beyond that they are refused, so that a stuck disk does not fill the memory."""


class Database(Generic[TablesT]):
    """
    A database of one schema in one file.

    `vfs` names a registered apsw VFS, for simulated disks. The constructor touches nothing; whoever calls `open`
    holds the lock of the state directory that the file is in.
    """

    def __init__(self, path: Path, schema: Schema[TablesT], executor: Executor, vfs: str | None = None) -> None:
        self.path = path
        self._health = Health()
        self._is_open = False
        shared = executor.one_connection
        writer = WriteWorker(path, schema, vfs, shared, self._health, executor.seconds)
        self._writes: Lane[Job[TablesT]] = executor.lane(f"{schema.name} writer", writer)
        self._readers = [ReadWorker(path, schema, vfs, self._health, writer if shared else None) for _ in range(2)]
        self._reads: Lane[Job[TablesT]] = executor.lane(f"{schema.name} reader", self._readers[0])
        self._searches: Lane[Job[TablesT]] = executor.lane(f"{schema.name} searcher", self._readers[1])

    @property
    def created(self) -> bool:
        """Whether there was no database before this `open`: a first start, or the old one is lost."""
        return self._health.created

    @property
    def waiting(self) -> int:
        """Writes whose Deferreds have not fired yet; for callers that refuse before it gets too many."""
        return self._health.waiting

    @property
    def failed(self) -> StoreError | None:
        """Why nothing is stored any more (F6), or None: then every write fails with this."""
        return self._health.failed

    @property
    def traces(self) -> str:
        """Which files still hold what was deleted before the last `write` with `scrub`, one line; empty: none."""
        return self._health.traces

    @property
    def commits(self) -> int:
        """Transactions committed since `open`."""
        return self._health.commits

    def open(self) -> Deferred[None]:
        """
        Make, upgrade or check the database, and start its threads.

        Fails with `StoreCorrupt`, `StoreTooNew`, `StoreFull`, or another `StoreError` or `StateError`; nothing is
        open then.
        """
        return Deferred.fromCoroutine(self._open())

    def write(self, operation: Callable[[TablesT], ResultT], scrub: bool = False) -> Deferred[ResultT]:
        """
        Run `operation` on the writer's thread; fires with its result when that is on the disk.

        Operations run in the order of the calls, and their Deferreds fire in it. What the operation raises undoes
        it alone and comes out here. Fails with `StoreFull` or another `StoreError` if it was not stored.

        `scrub`: what was deleted up to here leaves the files too (the WAL, copies made by upgrades), at once unless a
        long read is under way; `traces` then tells.
        """
        if not self._is_open:
            return fail(self._closed())
        if self._health.waiting >= WAITING_WRITES:
            return fail(StoreError(f"the disk under {self.path} is too slow: nothing was stored; try again later"))
        result: Deferred[ResultT] = Deferred()
        self._health.waiting += 1
        self._writes.submit(Job(operation, result, scrub))
        return result

    def read(
        self, operation: Callable[[TablesT], ResultT], long: bool = False, anew: bool = False
    ) -> Deferred[ResultT]:
        """
        Run `operation` on a reader's thread; fires with its result.

        It sees one state of the database, which holds every write whose Deferred has fired. A `long` one (a
        search, an export) has a thread and connection of its own and delays nobody. `anew`: over a connection that
        remembers nothing of what was written before, for whoever doubts what is there.
        """
        if not self._is_open:
            return fail(self._closed())
        result: Deferred[ResultT] = Deferred()
        lane = self._searches if long else self._reads
        lane.submit(Job(operation, result, anew=anew))
        return result

    def close(self) -> Deferred[None]:
        """Finish what waits (but interrupt a long read), copy the WAL back, close; fires when all is closed."""
        return Deferred.fromCoroutine(self._close())

    async def _open(self) -> None:
        started: list[Lane[Job[TablesT]]] = []
        try:
            for lane in (self._writes, self._reads, self._searches):
                await lane.start()
                started.append(lane)
        except BaseException:
            for lane in reversed(started):
                await lane.stop()
            raise
        self._is_open = True

    async def _close(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        self._readers[1].interrupt()
        await self._searches.stop()
        await self._reads.stop()
        await self._writes.stop()

    def _closed(self) -> StoreError:
        return StoreError(f"{self.path} is not open: nothing was stored or read")
