"""
What we say in one conversation: to the disk, and from there over the selected link, as far as the window allows.
"""

from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ..api import Person, Queued
from ..core.allowance import Waiting
from ..core.delivery import Exchange
from ..core.effects import Batch, Outgoing, Written
from ..core.entries import ids_from
from ..core.errors import OutboxFull, UserError
from ..core.unsent import Unsent
from ..core.window import NO_ROOM, Room
from ..storage.crash import Point, reach
from ..storage.peer_tables import PeerTables
from . import ledger
from .environment import Environment
from .ledger import Draft, Two
from .selected import Selected

MAX_DRAFTS, MAX_DRAFT_BYTES = 10_000, 32 * 2**20
"""
Messages that wait for their commit, and bytes of their entries: a program that writes faster than the disk is told to
wait. Some forty programs that say all that `p2pchat send` says at once have room.
"""


class Saying(NamedTuple):
    """Messages that wait for their commit, which is one for all of them, and whoever said them."""

    texts: Sequence[str]
    time: int
    """Wall clock, ms."""
    size: int
    """Bytes of their entries, at most."""
    accepted: Deferred[list[Queued]]


class Outbox:
    """The way out of one conversation. `run` runs a coroutine and looks after its failure."""

    log = Logger()

    def __init__(
        self,
        environment: Environment,
        two: Two,
        selected: Callable[[], Selected | None],
        person: Callable[[], Person],
        author: Callable[[], str],
        run: Callable[[Coroutine[Deferred[Any], Any, None]], None],
    ) -> None:
        self.waiting = Waiting(environment.allowance)
        """Our messages that are not delivered."""
        self._environment = environment
        self._two = two
        self._selected = selected
        self._person = person
        self._author = author
        self._run = run
        self._sayings: deque[Saying] = deque()
        self._uncommitted = 0
        self._uncommitted_bytes = 0
        self._appending = False
        self._loading = False
        self._unsent = Unsent()

    def say(self, texts: Sequence[str]) -> Deferred[list[Queued]]:
        """
        Queue messages, at least one and at most `ledger.APPEND_BATCH`; fires with what is told of them when they are
        committed, by one transaction.

        It fails with UserError if they were not accepted.
        Raises OutboxFull if too much waits already, for the disk or for the reader.
        """
        count = len(texts)
        size = len("".join(texts).encode("utf-8", "surrogatepass")) + count * ledger.ENTRY_OVERHEAD
        if self._uncommitted + count > MAX_DRAFTS or self._uncommitted_bytes + size > MAX_DRAFT_BYTES:
            raise OutboxFull("too many messages wait for the disk; try again in a moment")
        self.waiting.check(self._uncommitted + count, self._uncommitted_bytes + size, count)
        self._uncommitted += count
        self._uncommitted_bytes += size
        accepted: Deferred[list[Queued]] = Deferred()
        self._sayings.append(Saying(texts, self._environment.wall(), size, accepted))
        if not self._appending:
            self._appending = True
            self._run(self._append_all())
        return accepted

    async def _append_all(self) -> None:
        """Commit what waits, in batches: while one is on its way to the disk the next one gathers."""
        try:
            while self._sayings:
                batch: list[Saying] = []
                try:
                    outgoing, written = await self._append(batch)
                except Exception as error:
                    # A store that failed before does not even look at what it is given.
                    self._refuse(batch or self._take(), error)
                else:
                    self._forget(batch)
                    self._appended(outgoing, batch, written)
        finally:
            self._appending = False

    def _take(self) -> list[Saying]:
        """The next ones. Also called on the writer's thread: a deque is never seen with an item half taken."""
        taken: list[Saying] = []
        room = ledger.APPEND_BATCH
        while self._sayings and (not taken or len(self._sayings[0].texts) <= room):
            taken.append(self._sayings.popleft())
            room -= len(taken[-1].texts)
        return taken

    def _forget(self, batch: list[Saying]) -> None:
        """These are committed, or never will be. Called before anybody is told, who may say something more at once."""
        self._uncommitted -= sum(len(saying.texts) for saying in batch)
        self._uncommitted_bytes -= sum(saying.size for saying in batch)

    def _refuse(self, batch: list[Saying], error: Exception) -> None:
        self._forget(batch)
        for saying in batch:
            saying.accepted.errback(error)
        if not isinstance(error, UserError):
            # A bug must not keep those waiting who come next.
            self.log.failure("What was said could not be written")

    def _append(self, batch: list[Saying]) -> Deferred[tuple[Outgoing, list[Written]]]:
        """Commit a batch, which is filled when its turn has come: with all that was said until then."""
        two, environment = self._two, self._environment
        room, behind = self._room(), self._unsent.head
        random, first_id = environment.random(16), environment.random(16)

        def append(tables: PeerTables) -> tuple[Outgoing, list[Written]]:
            batch.extend(self._take())
            said = [(text, saying.time) for saying in batch for text in saying.texts]
            ids = ids_from(first_id, len(said))
            drafts = [Draft(text, id, time) for (text, time), id in zip(said, ids, strict=True)]
            return ledger.append_texts(tables, two, drafts, random, room, behind)

        return environment.database.write(append)

    def _room(self) -> Room:
        """What may leave as soon as it is committed, behind what waits in the memory."""
        selected = self._selected()
        exchange = None if selected is None else selected.usable
        return NO_ROOM if exchange is None else exchange.room_behind(self._unsent.room)

    def _appended(self, outgoing: Outgoing, batch: list[Saying], written: list[Written]) -> None:
        reach(Point.OWN_COMMITTED)
        self.waiting.add(len(written), sum(len(each.data) for each in written))
        person, author, emit = self._person(), self._author(), self._environment.emit
        numbers = iter([each.number for each in written])
        for saying in batch:
            queued = [
                Queued(person=person, author=author, number=number, text=text, at=saying.time)
                for text, number in zip(saying.texts, numbers, strict=False)
            ]
            for each in queued:
                emit(each)
            saying.accepted.callback(queued)
        reach(Point.OWN_ANNOUNCED)
        selected = self._selected()
        if selected is None or selected.exchange is None:
            self._unsent.clear()
            return
        current = selected.exchange.appended(outgoing)
        self._unsent.sent(current.name, current.next_seq)
        self._unsent.add(current.name, written)
        self._send(selected, selected.exchange, current, self._unsent.up_to(current.name, current.sent_mark))
        self.pump()

    def went_on(self, outgoing: Outgoing, count: int, size: int) -> None:
        """So many messages, of so many bytes, were put to the end of a stream of ours by other means than `say`."""
        self.waiting.add(count, size)
        selected = self._selected()
        if selected is not None and selected.exchange is not None:
            selected.exchange.appended(outgoing)
            self.pump()

    def drop(self) -> None:
        """The link is gone: what waits is read from the disk for the next one."""
        self._unsent.clear()

    def pump(self) -> None:
        """Send what waits, as far as the window and the transport take it."""
        if not self._loading and self._next() is not None:
            self._loading = True
            self._run(self._load_and_send())

    def _next(self) -> tuple[Selected, Exchange, Batch] | None:
        selected = self._selected()
        exchange = None if selected is None else selected.usable
        batch = None if exchange is None else exchange.next_batch()
        return None if selected is None or exchange is None or batch is None else (selected, exchange, batch)

    async def _load_and_send(self) -> None:
        try:
            while (following := self._next()) is not None:
                selected, exchange, batch = following
                if batch.history:
                    going_on = await self._answer(selected, exchange, batch)
                else:
                    going_on = await self._continue(selected, exchange, batch)
                if not going_on:
                    return
        finally:
            self._loading = False

    async def _continue(self, selected: Selected, exchange: Exchange, batch: Batch) -> bool:
        """Send the next entries; whether it is worth going on."""
        two, kept = self._two, self._unsent.within(batch)
        written = await self._environment.database.write(lambda tables: ledger.load_batch(tables, two, batch, kept))
        reach(Point.REST_LOADED)
        if selected is not self._selected():
            return True
        return self._send(selected, exchange, batch.outgoing, written)

    async def _answer(self, selected: Selected, exchange: Exchange, batch: Batch) -> bool:
        """Send older entries that were asked for."""
        two = self._two
        found = await self._environment.database.read(lambda tables: ledger.load_history(tables, two, batch))
        if selected is not self._selected():
            return True
        messages = exchange.answer(batch, found)
        selected.link.send_all(messages)
        return bool(messages)

    def _send(self, selected: Selected, exchange: Exchange, outgoing: Outgoing, written: Iterable[Written]) -> bool:
        """Send entries as far as the window goes; whether any of them left."""
        messages = exchange.send(outgoing, written)
        self._unsent.sent(outgoing.name, outgoing.next_seq)
        selected.link.send_all(messages)
        if messages:
            reach(Point.OWN_SENT)
        return bool(messages)
