"""Whether this peer's wall clock can be believed: what core/clockwatch.py decides, what is stored, what servers say."""

from collections.abc import Callable, Iterable

import msgspec

from ..core.clockwatch import JUMP, ClockWatch
from ..core.errors import UserError
from ..storage.peer_tables import PeerTables
from .environment import Environment
from .server_link import ServerLink

CLOCK_SETTING = "clock"
"""The setting that says when the clock was last believed, in JSON."""

STORE_EVERY = 3_600_000
"""ms that go by before it is stored anew."""

STORE_RAN = 600.0
"""Seconds of doubt after which they are."""


class Believed(msgspec.Struct, frozen=True):
    """What is stored of the clock."""

    at: int
    """When it was last believed, ms since 1970."""
    ran: float = 0.0
    """Seconds for which processes ran since it is doubted; 0 while it is not."""


def told_by(servers: Iterable[ServerLink]) -> list[int]:
    """By how many ms our clock is ahead of those of servers that do not share it."""
    return [link.clock_ahead for link in servers if link.clock_ahead is not None and not link.local]


def _stored(tables: PeerTables, now: int) -> tuple[Believed, int]:
    """
    What is stored; without that the clock was right when something came last, and else is so now.

    And the arrival number of what came last.
    """
    data, number = tables.settings.get(CLOCK_SETTING), tables.entries.newest()
    try:
        if data is not None:
            return msgspec.json.decode(data, type=Believed), number
    except msgspec.MsgspecError:
        pass
    newest = tables.entries.get(number)
    return Believed(now if newest is None else newest.arrived_at), number


class Timekeeping:
    """Watches the clock; `told` is what `told_by` gives now."""

    def __init__(self, environment: Environment, told: Callable[[], Iterable[int]]) -> None:
        self._environment = environment
        self._told = told
        self._watch = ClockWatch(environment.wall(), environment.clock.seconds())
        self._stored: Believed | None = None
        self._dated = 0
        """Up to this arrival number the times of arrival are left as they are."""
        self._before = 0
        """When the clock was believed last before the start, ms since 1970."""

    @property
    def off(self) -> int:
        """By how many ms the clock went on that are in doubt."""
        return self._watch.off

    def look(self) -> None:
        """Once a second: see whether it jumped."""
        self._watch.look(self._environment.wall(), self._environment.clock.seconds())

    async def begin(self) -> Believed:
        """At the start: compare it with when it was last believed."""
        if self._stored is None:
            wall = self._environment.wall()
            stored, newest = await self._environment.database.read(lambda tables: _stored(tables, wall))
            if self._stored is None:  # else somebody else asked meanwhile
                self._stored, self._dated, self._before = stored, newest, stored.at
                self._watch.begin(stored.at, stored.ran)
        return self._stored

    async def believed(self) -> bool:
        """Whether something may be deleted by the clock now."""
        before = await self.begin()
        self.look()
        if self._watch.doubted and any(abs(ahead) < JUMP for ahead in self._told()):
            self._watch.confirm()
        if self._watch.leapt and not self._watch.doubted:
            await self._date_anew()
        await self._store(before)
        return not self._watch.doubted

    async def _date_anew(self) -> None:
        """What came since the start, under a clock that was behind, counts as if it came now."""
        wall, after, before = self._environment.wall(), self._dated, self._before
        self._watch.leapt = False

        def date(tables: PeerTables) -> int:
            tables.entries.date_anew(after, wall, before, JUMP)
            return tables.entries.newest()

        try:
            self._dated = await self._environment.database.write(date)
        except UserError:
            self._watch.leapt = True
            raise

    async def _store(self, before: Believed) -> None:
        watch = self._watch
        known = Believed(before.at if watch.doubted else self._environment.wall(), watch.ran)
        if abs(known.at - before.at) >= STORE_EVERY or abs(known.ran - before.ran) >= STORE_RAN:
            data = msgspec.json.encode(known)
            await self._environment.database.write(lambda tables: tables.settings.set(CLOCK_SETTING, data))
            self._stored = known
