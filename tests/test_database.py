"""p2pchat.storage.database, with real threads."""

import os
import threading
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.trial.unittest import TestCase

from p2pchat.core.errors import StoreCorrupt, StoreError
from p2pchat.storage.database import Database
from p2pchat.storage.executor import ThreadExecutor
from tests.toys import Oops, Places, ToyTables, adding, failing


class SlowExecutor(ThreadExecutor):
    """Batches without a bound in time, since tests may be stopped anywhere."""

    def seconds(self) -> float:
        return 0.0


class Threads(TestCase, Places):
    """With real threads."""

    def setUp(self) -> None:
        self.place(self)
        self.database = Database(self.path, self.schema(), SlowExecutor(reactor))  # type: ignore[arg-type]

    def descriptors(self) -> list[str]:
        """Our descriptors on the database's files."""
        found = (os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd"))
        return [path for path in found if path.startswith(str(self.path))]

    async def test_group_commit(self) -> None:
        """What comes while the writer is busy shares one commit, in the order of the calls."""
        await self.database.open()
        begun, go = threading.Event(), threading.Event()
        fired: list[str] = []

        def wait(tables: ToyTables) -> str:
            begun.set()
            go.wait(30)
            return tables.add("first")

        waiting = [self.database.write(wait).addCallback(fired.append)]
        begun.wait(30)
        waiting += [self.database.write(adding(str(n))).addCallback(fired.append) for n in range(100)]
        self.assertEqual(self.database.waiting, 101)
        go.set()
        await gatherResults(waiting)
        self.assertEqual(fired, ["first", *map(str, range(100))])
        self.assertEqual((self.database.commits, self.database.waiting), (1, 0))
        await self.database.close()

    async def test_failures(self) -> None:
        """An operation's exception comes back to the reactor's thread; the others are stored."""
        await self.database.open()
        deferreds = [self.database.write(operation) for operation in (adding("a"), failing, adding("b"))]
        self.assertEqual(await deferreds[0], "a")
        await self.assertFailure(deferreds[1], Oops)
        self.assertEqual(await deferreds[2], "b")
        self.assertEqual(await self.database.read(ToyTables.lines), ["a", "b"])
        await self.assertFailure(self.database.read(failing), StoreError)
        await self.database.close()

    async def test_fired_on_the_reactors_thread(self) -> None:
        """Operations run elsewhere, callbacks on the reactor's thread."""
        await self.database.open()
        here = threading.current_thread()
        for ask in (self.database.write, self.database.read):
            fired = ask(lambda tables: threading.current_thread()).addCallback(
                lambda thread: (thread, threading.current_thread())
            )
            thread, back = await fired
            self.assertIsNot(thread, here)
            self.assertIs(back, here)
        await self.database.close()

    async def test_a_long_read_delays_nobody(self) -> None:
        """While a search runs, writes are committed, and short reads see them; the search sees its own moment."""
        await self.database.open()
        begun, go = threading.Event(), threading.Event()

        def search(tables: ToyTables) -> list[str]:
            before = tables.lines()
            begun.set()
            go.wait(30)
            assert tables.lines() == before
            return before

        searching = self.database.read(search, long=True)
        begun.wait(30)
        await self.database.write(adding("meanwhile"))
        self.assertEqual(await self.database.read(ToyTables.lines), ["meanwhile"])
        go.set()
        self.assertEqual(await searching, [])
        await self.database.close()

    async def test_close_finishes(self) -> None:
        """close() does what waits, fires it, leaves no thread, no WAL and no descriptor; open() works again."""
        threads = threading.active_count()
        await self.database.open()
        fired: list[str] = []
        for number in range(200):
            self.database.write(adding(str(number))).addCallback(fired.append)
        self.assertNotEqual(self.descriptors(), [])
        await self.database.close()
        self.assertEqual(len(fired), 200)
        self.assertFalse(Path(f"{self.path}-wal").exists())
        for thread in threading.enumerate():
            if thread.name.startswith("toy "):
                thread.join(30)
        self.assertEqual((threading.active_count(), self.descriptors()), (threads, []))
        await self.database.open()
        self.assertEqual(len(await self.database.read(ToyTables.lines)), 200)
        await self.database.close()

    async def test_close_interrupts_a_search(self) -> None:
        """close() does not wait for searches."""
        await self.database.open()
        begun = threading.Event()

        def search(tables: ToyTables) -> None:
            begun.set()
            tables.connection.execute(
                "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n) SELECT max(n) FROM n"
            )

        searches = [self.database.read(search, long=True) for _ in range(2)]
        begun.wait(30)
        closing = self.database.close()
        for searching in searches:
            await self.assertFailure(searching, StoreError)
        await closing

    async def test_open_fails(self) -> None:
        """If it cannot be opened, the Deferred says why, and no thread stays."""
        threads = threading.active_count()
        self.path.write_bytes(b"no database")
        await self.assertFailure(self.database.open(), StoreCorrupt)
        for thread in threading.enumerate():
            if thread.name.startswith("toy "):
                thread.join(30)
        self.assertEqual(threading.active_count(), threads)
        await self.assertFailure(self.database.write(adding("x")), StoreError)
