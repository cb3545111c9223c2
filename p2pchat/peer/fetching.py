"""
What comes of asking for older messages: to the disk, then to the screen, and the window opens again.

It is kept apart from what is new: it moves no stream's end, acknowledges nothing, and is marked as history.
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred

from ..api import HistoryFetched, Person, Said
from ..core.effects import Fetched, ReceivedOld
from ..core.entries import AUTH_LINK, Kind, author_in, first_head, moved_lamport
from ..core.errors import UserError
from ..core.messages import MAX_INTEGER
from ..storage.conversations import Stream
from ..storage.entries import NewEntry
from ..storage.peer_tables import PeerTables
from .environment import Environment
from .ledger import Two
from .selected import Selected


class StoredOld(NamedTuple):
    """What became of an older entry."""

    stream: int
    """The row of its stream."""
    entry: int
    """Its arrival number; 0 if it is not stored."""


def store_old(tables: PeerTables, two: Two, batch: Sequence[ReceivedOld], now: int) -> list[StoredOld]:
    """
    Store older entries, and say what became of each.

    Not stored is what is here already, what cannot be read, and what stands where something else was stored before.
    """
    lamport = tables.conversations.get(two.conversation).lamport
    stored: list[StoredOld] = []
    for received in batch:
        judged = received.judged
        stream = _stream_of(tables, two, received)
        known = judged.refusal is not None or tables.entries.by_author_id(two.them, judged.id) is not None
        if known or tables.entries.at(stream.stream, received.seq) is not None:
            stored.append(StoredOld(stream.stream, 0))
            continue
        lamport = moved_lamport(lamport, judged.lamport)
        entry = tables.entries.insert(
            stream.stream,
            NewEntry(
                received.seq,
                received.head,
                judged.id,
                judged.number,
                judged.lamport,
                judged.time,
                now,
                judged.kind,
                AUTH_LINK,
                True,
                received.data,
            ),
        )
        if judged.kind == Kind.TEXT:
            tables.search.add([(entry, judged.text)])
        stored.append(StoredOld(stream.stream, entry))
    tables.conversations.set_counts(two.conversation, 0, lamport)
    return stored


def _stream_of(tables: PeerTables, two: Two, received: ReceivedOld) -> Stream:
    incoming = received.incoming
    stream = tables.streams.by_name(incoming.name)
    if stream is not None:
        return stream
    # Nothing of it is here: it begins where its author says that we read from.
    return tables.streams.create(
        two.conversation, author_in(incoming.name), incoming.name, incoming.first, incoming.base
    )


def finish(tables: PeerTables, two: Two, fetched: Fetched) -> None:
    """An answer has ended: if it was whole the stream begins at its beginning; nothing else can come of asking."""
    stream = tables.streams.by_name(fetched.incoming.name)
    if fetched.complete and stream is not None:
        tables.streams.set_base(stream.stream, 1, first_head(fetched.incoming.name))
    if fetched.last:
        tables.doubts.settle(two.conversation, False, 1, MAX_INTEGER)


class Fetching:
    """Older messages of one conversation. `run` runs a coroutine and looks after its failure."""

    def __init__(
        self,
        environment: Environment,
        two: Two,
        selected: Callable[[], Selected | None],
        person: Callable[[], Person],
        run: Callable[[Coroutine[Deferred[Any], Any, None]], None],
    ) -> None:
        self._environment = environment
        self._two = two
        self._selected = selected
        self._person = person
        self._run = run
        self._came: list[ReceivedOld | Fetched] = []
        self._storing = False
        self._count = 0
        self._complete = True

    def ask(self) -> None:
        """Ask for all older messages; raises UserError."""
        name, selected = self._person().name, self._selected()
        exchange = None if selected is None else selected.exchange
        if selected is None or exchange is None or not exchange.linked:
            raise UserError(f"there is no link with {name} now; ask again when the chat is open")
        if exchange.fetching:
            raise UserError(f"{name} is asked already; what is there comes by and by")
        if not exchange.fetch():
            raise UserError(f"{name} has nothing older than what is here")
        self._count, self._complete = 0, True
        for question in exchange.questions():
            selected.link.send(question)

    def take(self, came: ReceivedOld | Fetched) -> None:
        """Something of an answer came over the selected link."""
        self._came.append(came)
        if not self._storing:
            self._storing = True
            self._run(self._store_all())

    def drop(self) -> None:
        """The link is gone, and with it what was asked over it."""
        self._came = []

    async def _store_all(self) -> None:
        try:
            while self._came:
                came, self._came = self._came, []
                selected = self._selected()
                old = [each for each in came if isinstance(each, ReceivedOld)]
                ends = [each for each in came if isinstance(each, Fetched)]
                stored = await self._write(old, ends)
                self._tell(old, stored)
                if selected is not None and selected is self._selected():
                    self._go_on(selected, old, ends)
        finally:
            self._storing = False

    def _write(self, old: list[ReceivedOld], ends: list[Fetched]) -> Deferred[list[StoredOld]]:
        two, now = self._two, self._environment.wall()
        return self._environment.database.write(lambda tables: _store(tables, two, old, ends, now))

    def _tell(self, old: Sequence[ReceivedOld], stored: Sequence[StoredOld]) -> None:
        person = self._person()
        for received, (stream, entry) in zip(old, stored, strict=True):
            received.incoming.stream = stream
            judged = received.judged
            if entry and judged.kind not in (Kind.VOID, Kind.RESET):
                self._count += 1
                self._environment.emit(
                    Said(
                        person=person,
                        number=judged.number,
                        text=judged.text,
                        kind=judged.kind,
                        at=judged.time,
                        entry=entry,
                        history=True,
                    )
                )

    def _go_on(self, selected: Selected, old: Sequence[ReceivedOld], ends: Sequence[Fetched]) -> None:
        """Open the window again, and ask the next question or say that all have been answered."""
        assert selected.exchange is not None
        size = sum(len(each.data) for each in old)
        for message in [*selected.exchange.committed(len(old), size, ()), *selected.exchange.questions()]:
            selected.link.send(message)
        for end in ends:
            self._complete = self._complete and end.complete
            if end.last:
                person = self._person()
                self._environment.emit(HistoryFetched(person=person, count=self._count, complete=self._complete))


def _store(
    tables: PeerTables, two: Two, old: Sequence[ReceivedOld], ends: Sequence[Fetched], now: int
) -> list[StoredOld]:
    stored = store_old(tables, two, old, now)
    for end in ends:
        finish(tables, two, end)
    return stored
