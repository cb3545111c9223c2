"""
Deleting what was said: a whole chat because its person says so, or what is older than they want to keep.

Bytes go, ids stay (or what was deleted would come back); what waits to be delivered stays until it is. Each step is
one short transaction, between which messages have their turn; at the end no trace is left in the database's files.
"""

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..api import Problem
from ..core.errors import UserError
from ..storage.peer_tables import PeerTables
from ..storage.remembered import EVERYWHERE
from . import revision
from .environment import Environment

DAY = 86_400_000
"""Milliseconds."""

EVERY = 3_600.0
"""Seconds between two looks for what is too old."""

_EVER = (1 << 62) - 1
"""A time, and an arrival number, beyond all others."""


class Forgetting:
    """Deletes; one thing at a time."""

    _log = Logger()

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._due: float | None = None
        self._lock = DeferredLock()

    async def forget(self, wire: bytes) -> tuple[int, int]:
        """Delete all of a conversation; how many messages that were, and how many stay since they wait to leave."""
        me = self._environment.identity.id
        database = self._environment.database
        conversation = await database.read(lambda tables: tables.conversations.by_id(wire))
        if conversation is None:
            return 0, 0
        row = conversation.conversation
        newest = await database.read(lambda tables: tables.entries.newest())
        count = await self._exclusively(row, newest, _EVER)
        waiting = await database.write(
            lambda tables: (tables.doubts.forget(row), tables.lines.count_waiting(me, row))[1]
        )
        return count, waiting

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
        await self.enforce()

    def look(self) -> None:
        """Once a second: enforce retention at the start, and every hour."""
        now = self._environment.clock.seconds()
        if self._due is None or now >= self._due:
            self._due = now + EVERY
            Deferred.fromCoroutine(self.enforce()).addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        if failure.check(UserError):
            self._environment.emit(Problem(text=f"what is too old was not deleted: {failure.getErrorMessage()}"))
        else:
            self._log.failure("What is too old could not be deleted", failure)

    async def enforce(self) -> int:
        """Delete what is too old; how many messages that were. By this machine's clock."""
        now = self._environment.wall()
        limits = await self._environment.database.read(_limits)
        count = 0
        for conversation, days in limits:
            count += await self._if_any(conversation, days, now - days * DAY)
        return count

    async def _if_any(self, conversation: int, days: int, before: int) -> int:
        me = self._environment.identity.id
        # On the connection for searches: to find that nothing is too old may take a while.
        found = await self._environment.database.read(
            lambda tables: tables.lines.erasable(me, conversation, 0, _EVER, before, 1), long=True
        )
        return await self._exclusively(conversation, _EVER, before, found[0][0] - 1, days) if found else 0

    async def _exclusively(
        self, conversation: int, until: int, before: int, after: int = 0, days: int | None = None
    ) -> int:
        await self._lock.acquire()
        try:
            return await self._erase(conversation, until, before, after, days)
        finally:
            self._lock.release()

    async def _erase(self, conversation: int, until: int, before: int, after: int, days: int | None) -> int:
        database, total = self._environment.database, 0
        while True:
            count, after = await self._erase_some(conversation, until, before, after, days)
            total += count
            if not after:
                break
        if total:
            merging = await database.write(lambda tables: tables.search.merge(True))
            while merging:
                merging = await database.write(lambda tables: tables.search.merge(False))
            await database.write(lambda tables: None, scrub=True)
        return total

    def _erase_some(
        self, conversation: int, until: int, before: int, after: int, days: int | None
    ) -> Deferred[tuple[int, int]]:
        me = self._environment.identity.id

        def erase(tables: PeerTables) -> tuple[int, int]:
            if days is not None and _days_of(tables.retentions.all(), conversation) != days:
                return 0, 0  # the person has said otherwise since
            return revision.erase(tables, me, conversation, after, until, before)

        return self._environment.database.write(erase)


def _limits(tables: PeerTables) -> list[tuple[int, int]]:
    """The conversations of which not everything is kept, and for how many days."""
    wanted = tables.retentions.all()
    days = ((each.conversation, _days_of(wanted, each.conversation)) for each in tables.conversations.all())
    return [(conversation, limit) for conversation, limit in days if limit is not None]


def _days_of(wanted: dict[int, int | None], conversation: int) -> int | None:
    return wanted.get(conversation, wanted.get(EVERYWHERE))
