"""
Deleting what was said: a whole chat because its person says so, or what is older than they want to keep.

Bytes go, ids stay (or what was deleted would come back); what waits to be delivered stays until it is. Each step is
one short transaction, between which messages have their turn; at the end no trace is left in the database's files.
What is interrupted is noted there (peer/erasing.py), and finished by whatever deletes next, or by the next start.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..api import Problem
from ..api.health import span
from ..core.errors import Reported, StoreError, UserError
from ..storage.peer_tables import PeerTables
from ..storage.remembered import EVERYWHERE
from . import erasing, revision
from .environment import Environment
from .timekeeping import Timekeeping

DAY = 86_400_000
"""Milliseconds."""

EVERY = 3_600.0
"""Seconds between two looks for what is too old."""

AGAIN = 60.0
"""Seconds after which what could not be finished is tried again."""

CLOCK_DOUBTED = (
    "what is too old is not deleted: this machine's clock is {} ahead of when it was last known to be right, and no "
    "server confirms it; check it with: date (after a day it is believed)"
)

_EVER = (1 << 62) - 1
"""A time, and an arrival number, beyond all others."""


ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What forgetting did."""

    count: int
    """Messages that were deleted."""
    waiting: int
    """Those that stay, since they wait to leave."""
    traces: str
    """Where what was deleted lies still, and why; empty: nowhere."""


class Forgetting:
    """Deletes; one thing at a time."""

    _log = Logger()

    def __init__(self, environment: Environment, timekeeping: Timekeeping) -> None:
        self._environment = environment
        self._timekeeping = timekeeping
        self._due: float | None = None
        self._lock = DeferredLock()
        self._deleted = dict[bytes, int]()
        """Messages of chats that are being forgotten, by whoever deleted them: several may be under way at once."""
        self._told = ""
        """Of which traces the person was told last."""
        self._doubted = 0
        """How often nothing was deleted by age since the clock is doubted."""
        self._doubt_told = False

    async def forget(self, wire: bytes) -> Forgotten:
        """Delete all of a conversation. Raises UserError; what is not deleted by then is deleted later."""
        me = self._environment.identity.id
        database = self._environment.database
        conversation = await database.read(lambda tables: tables.conversations.by_id(wire))
        if conversation is None:
            return Forgotten(0, 0, "")
        row = conversation.conversation

        def begin(tables: PeerTables) -> None:
            tables.doubts.forget(row)
            erasing.note(tables, (wire, tables.entries.newest()))

        await database.write(begin)
        self._deleted.pop(wire, None)
        try:
            traces = await self._exclusively(self._finish)
            waiting = await database.read(lambda tables: tables.lines.count_waiting(me, row))
        except StoreError as error:
            told = f"not all is deleted yet, the rest as soon as it can be: {error}"
            raise Reported(told, error.exit_code) from error
        return Forgotten(self._deleted.pop(wire, 0), waiting, traces)

    def out_of_reach(self, name: str) -> str:
        """What forgetting cannot delete, in one line."""
        return (
            f"not in reach: what {name} has, backups and snapshots of this machine, transcripts and exports, what "
            "p2pchat recover kept (*.damaged-*), and what a terminal still shows"
        )

    async def set_retention(self, wire: bytes | None, days: int | None) -> None:
        """Keep what is said for so many days from now on (None: for ever), everywhere or in one conversation."""

        def store(tables: PeerTables) -> None:
            conversation = None if wire is None else tables.conversations.by_id(wire)
            if wire is not None and conversation is None:
                raise UserError("nothing was said in that chat yet; set it for all chats, or later")
            tables.retentions.set(EVERYWHERE if conversation is None else conversation.conversation, days)

        await self._environment.database.write(store)
        await self.enforce(waits=True)

    def look(self) -> None:
        """Once a second: at the start and every hour, finish what was interrupted, and enforce retention."""
        self._timekeeping.look()
        now = self._environment.clock.seconds()
        if self._due is None or now >= self._due:
            self._due = now + EVERY
            Deferred.fromCoroutine(self._go_on()).addErrback(self._failed)

    async def _go_on(self) -> None:
        if await self._environment.database.read(erasing.noted) is not None:
            self._tell(await self._exclusively(self._finish))
        await self._timekeeping.begin()
        await self.enforce()

    def _tell(self, traces: str) -> None:
        """Say once that what was deleted is not gone."""
        if traces and traces != self._told:
            self._environment.emit(Problem(text=f"what was deleted is not gone yet: {traces}"))
        self._told = traces

    def _failed(self, failure: Failure) -> None:
        if failure.check(UserError):
            self._environment.emit(Problem(text=f"what is too old was not deleted: {failure.getErrorMessage()}"))
        else:
            self._log.failure("What is too old could not be deleted", failure)

    async def enforce(self, waits: bool = False) -> int:
        """
        Delete what is too old; how many messages that were. By this machine's clock, while it can be believed.

        `waits`: a person waits for it.
        """
        limits = await self._environment.database.read(_limits)
        if not limits or not await self._may_judge(waits):
            return 0
        now, count = self._environment.wall(), 0
        for conversation, days in limits:
            count += await self._if_any(conversation, days, now - days * DAY)
        return count

    async def _may_judge(self, waits: bool) -> bool:
        """Whether the clock is believed. If it stays in doubt the person is told once: a server may need a moment."""
        if await self._timekeeping.believed():
            self._doubted, self._doubt_told = 0, False
            return True
        self._doubted += 1
        if (waits or self._doubted > 1) and not self._doubt_told:
            self._doubt_told = True
            self._environment.emit(Problem(text=CLOCK_DOUBTED.format(span(self._timekeeping.off))))
        self._go_on_soon()
        return False

    async def _if_any(self, conversation: int, days: int, before: int) -> int:
        me = self._environment.identity.id
        # On the connection for searches: to find that nothing is too old may take a while.
        found = await self._environment.database.read(
            lambda tables: tables.lines.erasable(me, conversation, 0, _EVER, before, 1), long=True
        )
        if not found:
            return 0

        async def work() -> tuple[int, str]:
            count = await self._erase(conversation, _EVER, before, found[0][0] - 1, days)
            return count, await self._finish()

        count, traces = await self._exclusively(work)
        self._tell(traces)
        return count

    async def _exclusively(self, work: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """One deletion at a time; where one fails it is gone on with soon."""
        await self._lock.acquire()
        try:
            return await work()
        except UserError:
            self._go_on_soon()
            raise
        finally:
            self._lock.release()

    def _go_on_soon(self) -> None:
        if self._due is not None:
            self._due = min(self._due, self._environment.clock.seconds() + AGAIN)

    async def _finish(self) -> str:
        """Delete all that is noted; where traces of it are left."""
        database = self._environment.database
        note = await database.read(erasing.noted)
        if note is None:
            return ""
        for wire, until in note.chats:
            await self._erase_chat(wire, until)
        merging = await database.write(lambda tables: tables.search.merge(True))
        while merging:
            merging = await database.write(lambda tables: tables.search.merge(False))
        await database.write(lambda tables: None, scrub=True)
        if traces := database.traces:
            self._go_on_soon()
        else:
            await database.write(lambda tables: erasing.gone(tables, note))
        return traces

    async def _erase_chat(self, wire: bytes, until: int) -> None:
        conversation = await self._environment.database.read(lambda tables: tables.conversations.by_id(wire))
        if conversation is not None:
            count = await self._erase(conversation.conversation, until, _EVER)
            self._deleted[wire] = self._deleted.get(wire, 0) + count

    async def _erase(self, conversation: int, until: int, before: int, after: int = 0, days: int | None = None) -> int:
        total = 0
        while True:
            count, after = await self._erase_some(conversation, until, before, after, days)
            total += count
            if not after:
                return total

    def _erase_some(
        self, conversation: int, until: int, before: int, after: int, days: int | None
    ) -> Deferred[tuple[int, int]]:
        me = self._environment.identity.id

        def erase(tables: PeerTables) -> tuple[int, int]:
            if days is not None and _days_of(tables.retentions.all(), conversation) != days:
                return 0, 0  # the person has said otherwise since
            count, last = revision.erase(tables, me, conversation, after, until, before)
            if count:
                erasing.note(tables)
            return count, last

        return self._environment.database.write(erase)


def _limits(tables: PeerTables) -> list[tuple[int, int]]:
    """The conversations of which not everything is kept, and for how many days."""
    wanted = tables.retentions.all()
    days = ((each.conversation, _days_of(wanted, each.conversation)) for each in tables.conversations.all())
    return [(conversation, limit) for conversation, limit in days if limit is not None]


def _days_of(wanted: dict[int, int | None], conversation: int) -> int | None:
    return wanted.get(conversation, wanted.get(EVERYWHERE))
