"""
What comes in one conversation: to the disk, and only then acknowledged and shown.
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from ..api import Doubt, Person, Said
from ..core.delivery import Exchange
from ..core.effects import Incoming, Received
from ..core.entries import Judged, Kind
from ..core.messages import Refused
from ..storage.crash import Point, reach
from ..storage.peer_tables import PeerTables
from ..storage.remembered import StoredDoubt
from . import receipts
from .doubts import Doubts
from .environment import Environment
from .ledger import Two
from .receipts import Stored, Taken
from .selected import Selected
from .settlement import RESET

UNTOLD = frozenset({Kind.RESET.value, Kind.VOID.value})
"""Kinds of entries that are no messages."""


class Inbox:
    """The way into one conversation. `run` runs a coroutine and looks after its failure."""

    def __init__(
        self,
        environment: Environment,
        two: Two,
        selected: Callable[[], Selected | None],
        person: Callable[[], Person],
        doubts: Doubts,
        run: Callable[[Coroutine[Deferred[Any], Any, None]], None],
    ) -> None:
        self._environment = environment
        self._two = two
        self._selected = selected
        self._person = person
        self._doubts = doubts
        self._run = run
        self._received: list[Received] = []
        self._storing = False

    def take(self, received: Sequence[Received]) -> None:
        """Entries came over the selected link."""
        reach(Point.RECEIVED)
        self._received += received
        if not self._storing:
            self._storing = True
            self._run(self._store_all())

    def drop(self) -> None:
        """The link is gone: what is not on its way to the disk comes again over the next one."""
        self._received = []

    async def _store_all(self) -> None:
        """Commit what came, in batches: while one is on its way to the disk the next one gathers."""
        two, environment = self._two, self._environment
        try:
            while self._received:
                batch, self._received = self._received, []
                selected = self._selected()
                now = environment.wall()
                stored, until_told = await self._write(two, batch, now)
                reach(Point.RECEIVED_COMMITTED)
                tells_doubts = self._doubts.may_tell(stored)
                self._tell(stored, now, tells_doubts)
                reach(Point.RECEIVED_TOLD)
                if until_told and not tells_doubts:
                    self._run(self._fold(until_told, now))
                elif until_told and environment.heard():
                    self._run(self._forget_told(until_told))
                if selected is not None and selected is self._selected() and selected.exchange is not None:
                    self._acknowledge(selected, selected.exchange, stored)
                    reach(Point.RECEIVED_ACKNOWLEDGED)
        finally:
            self._storing = False

    def _write(self, two: Two, batch: list[Received], now: int) -> Deferred[Taken]:
        return self._environment.database.write(lambda tables: receipts.store_received(tables, two, batch, now))

    async def _forget_told(self, doubts: Sequence[tuple[int, int]]) -> None:
        conversation = self._two.conversation

        def forget(tables: PeerTables) -> None:
            for first, last in doubts:
                tables.doubts.settle(conversation, False, first, last)

        await self._environment.database.write(forget)

    async def _fold(self, doubts: Sequence[tuple[int, int]], now: int) -> None:
        """Remember what is not told as one range, however many there are: whoever asks for doubts finds it."""
        doubt = StoredDoubt(self._two.conversation, False, 1, max(last for _, last in doubts), now)
        await self._environment.database.write(lambda tables: tables.doubts.put(doubt))

    def _tell(self, stored: list[Stored], now: int, tells_doubts: bool) -> None:
        person, emit = self._person(), self._environment.emit
        for each in stored:
            received = each.received
            received.incoming.stream = each.stream
            judged = received.judged
            if each.doubt is not None and tells_doubts:
                emit(_doubt_of(person, judged, each.doubt, now))
            if each.entry and judged.kind not in UNTOLD:
                emit(
                    Said(
                        person=person,
                        number=judged.number,
                        text=judged.text,
                        kind=judged.kind,
                        at=judged.time,
                        entry=each.entry,
                    )
                )

    def _acknowledge(self, selected: Selected, exchange: Exchange, stored: list[Stored]) -> None:
        moved: dict[bytes, tuple[Incoming, int, bytes]] = {}
        for each in stored:
            received = each.received
            if each.refusal is not None:
                selected.link.send(Refused(stream=received.incoming.name, seq=received.seq, code=each.refusal.value))
            moved[received.incoming.name] = (received.incoming, received.seq, received.head)
        size = sum(len(each.received.data) for each in stored)
        for message in exchange.committed(len(stored), size, moved.values()):
            selected.link.send(message)


def _doubt_of(person: Person, judged: Judged, doubt: tuple[int, int], now: int) -> Doubt:
    first, last = doubt
    reset = judged.kind == Kind.RESET
    missing = "these are not here" if first else "what they said before is not here"
    return Doubt(
        person=person,
        mine=False,
        first=first,
        last=last,
        explanation=RESET if reset else f"our database is new: {missing}",
        here=reset and first > 0,
        waits=not reset and first > 0,
        at=now,
    )
