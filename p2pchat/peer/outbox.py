"""
What we say in one conversation: to the disk, and from there over the selected link, as far as the window allows.
"""

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ..api import Person, Queued
from ..core.allowance import Waiting
from ..core.delivery import Exchange
from ..core.effects import Batch, Outgoing
from ..core.errors import OutboxFull, UserError
from ..storage.crash import Point, reach
from . import ledger
from .environment import Environment
from .ledger import Draft, Two, Written
from .selected import Selected

MAX_DRAFTS = 2_000
"""Messages that wait for their commit: a program that writes faster than the disk is told to wait."""


def _size(draft: Draft) -> int:
    return len(draft.text.encode("utf-8", "surrogatepass")) + ledger.ENTRY_OVERHEAD


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
        self._drafts: deque[tuple[Draft, Deferred[Queued]]] = deque()
        self._uncommitted = 0
        self._uncommitted_bytes = 0
        self._appending = False
        self._loading = False

    def say(self, text: str) -> Deferred[Queued]:
        """
        Queue a message; fires with what is told of it when it is committed.

        It fails with UserError if it was not accepted.
        Raises OutboxFull if too much waits already, for the disk or for the reader.
        """
        if len(self._drafts) >= MAX_DRAFTS:
            raise OutboxFull("too many messages wait for the disk; try again in a moment")
        draft = Draft(text, self._environment.random(16), self._environment.wall())
        size = self._uncommitted_bytes + _size(draft)
        self.waiting.check(self._uncommitted + 1, size)
        self._uncommitted += 1
        self._uncommitted_bytes = size
        accepted: Deferred[Queued] = Deferred()
        self._drafts.append((draft, accepted))
        if not self._appending:
            self._appending = True
            self._run(self._append_all())
        return accepted

    async def _append_all(self) -> None:
        """Commit what waits, in batches: while one is on its way to the disk the next one gathers."""
        try:
            while self._drafts:
                batch = [self._drafts.popleft() for _ in range(min(len(self._drafts), ledger.APPEND_BATCH))]
                size = sum(_size(draft) for draft, _ in batch)
                try:
                    try:
                        outgoing, written = await self._append([draft for draft, _ in batch])
                    finally:
                        # Before anybody is told, who may say something more at once.
                        self._uncommitted -= len(batch)
                        self._uncommitted_bytes -= size
                except Exception as error:
                    for _, accepted in batch:
                        accepted.errback(error)
                    if not isinstance(error, UserError):
                        # A bug must not keep those waiting who come next.
                        self.log.failure("What was said could not be written")
                else:
                    self._appended(outgoing, batch, written)
        finally:
            self._appending = False

    def _append(self, drafts: list[Draft]) -> Deferred[tuple[Outgoing, list[Written]]]:
        two, random, sent = self._two, self._environment.random(16), self._may_send_at_once(drafts)
        return self._environment.database.write(lambda tables: ledger.append_texts(tables, two, drafts, random, sent))

    def _may_send_at_once(self, drafts: list[Draft]) -> bool:
        selected = self._selected()
        exchange = None if selected is None else selected.usable
        if exchange is None:
            return False
        size = sum(len(draft.text) * 4 + ledger.ENTRY_OVERHEAD for draft in drafts)
        return exchange.idle and exchange.credit.entries >= len(drafts) and exchange.credit.bytes >= size

    def _appended(
        self, outgoing: Outgoing, batch: list[tuple[Draft, Deferred[Queued]]], written: list[Written]
    ) -> None:
        reach(Point.OWN_COMMITTED)
        self.waiting.add(len(written), sum(len(each.data) for each in written))
        person, author = self._person(), self._author()
        for (draft, accepted), each in zip(batch, written, strict=True):
            queued = Queued(person=person, author=author, number=each.number, text=draft.text, at=draft.time)
            self._environment.emit(queued)
            accepted.callback(queued)
        reach(Point.OWN_ANNOUNCED)
        selected = self._selected()
        if selected is None or selected.exchange is None:
            return
        current = selected.exchange.appended(outgoing)
        for each in written:
            if each.seq <= current.sent_mark:
                self._send(selected, selected.exchange, current, each)
        self.pump()

    def went_on(self, outgoing: Outgoing, count: int, size: int) -> None:
        """So many messages, of so many bytes, were put to the end of a stream of ours by other means than `say`."""
        self.waiting.add(count, size)
        selected = self._selected()
        if selected is not None and selected.exchange is not None:
            selected.exchange.appended(outgoing)
            self.pump()

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
        two = self._two
        written = await self._environment.database.write(lambda tables: ledger.load_batch(tables, two, batch))
        reach(Point.REST_LOADED)
        if selected is not self._selected():
            return True
        return sum(self._send(selected, exchange, batch.outgoing, each) for each in written) > 0

    async def _answer(self, selected: Selected, exchange: Exchange, batch: Batch) -> bool:
        """Send older entries that were asked for."""
        two = self._two
        found = await self._environment.database.read(lambda tables: ledger.load_history(tables, two, batch))
        if selected is not self._selected():
            return True
        messages = exchange.answer(batch, found)
        for message in messages:
            selected.link.send(message)
        return bool(messages)

    def _send(self, selected: Selected, exchange: Exchange, outgoing: Outgoing, written: Written) -> bool:
        messages = exchange.send(outgoing, written.seq, written.head, written.number, written.data)
        for message in messages:
            selected.link.send(message)
            reach(Point.OWN_SENT)
        return bool(messages)
