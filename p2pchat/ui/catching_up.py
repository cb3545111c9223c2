"""
What a transcript lacks of what is stored here: what arrived since its end was written, while it was not.

A process that is killed, a machine that loses power, a peer that ran without a transcript for a while: what they stored
is written when the transcript is gone on with, in the order in which it arrived and before anything that is new. What
was deleted here meanwhile stays away. Receipts are told of the messages that are compared and of those that are
added, as far as they are known now.
"""

import math
from collections.abc import Awaitable, Callable, Iterator

from p2pchat import api

from .numbers import Numbers
from .written import Written

PAGE_LINES = 200
"""What the api gives at once."""

LOOK_BACK = 1024
"""Once something was found, so many lines further back nothing more is looked for."""


_RECEIPTS = {"delivered": ("delivered",), "seen": ("delivered", "seen"), "taken back": ("taken back",)}
"""What is told of a line in a state."""


class CatchingUp:
    """One walk through what arrived: back to what stands in the transcript, and forward from there."""

    def __init__(self, held: api.Api, written: Written) -> None:
        self._api = held
        self._written = written
        self._there: set[int] = set()
        """Entries that stand in the transcript."""
        self._begin = 0
        self._end = 0
        self._own: dict[str, Numbers] = {}
        """One's own numbers, by person, that arrived since the begin."""
        self._people: dict[str, api.Person] = {}
        self._receipts: dict[tuple[str, str], Numbers] = {}
        """Numbers by kind and person."""

    async def find(self) -> None:
        """Find where the transcript ends. Raises UserError."""
        reply = await self._api.execute(api.WhoAmI())
        assert isinstance(reply, api.Myself)
        self._written.own = reply.name
        since = math.inf if self._written.since is None else self._written.since
        newest = before = None
        recent, is_recent, beyond = None, True, 0
        while True:
            page = await self._page(before=before)
            for line in reversed(page.lines):
                newest = newest or line.entry
                if self._written.match(line):
                    self._there.add(line.entry)
                    beyond = 0
                    self._note_receipts(line, self._written)
                else:
                    beyond += 1
                is_recent = is_recent and line.arrived >= since * 1000
                recent = line.entry if is_recent else recent
            if not page.more or not page.lines or self._is_enough(is_recent, beyond):
                break
            before = page.lines[0].entry
        self._begin = min(self._there, default=(newest or 0) if recent is None else recent - 1)
        self._end = self._begin

    def _is_enough(self, is_recent: bool, beyond: int) -> bool:
        """Whether nothing would be found further back."""
        if self._there:
            return self._written.is_found or beyond >= LOOK_BACK
        return not self._written.records and not is_recent

    async def run(self, write: Callable[[api.Event, float], None], room: Callable[[], Awaitable[None]]) -> None:
        """
        Give `write` what is lacking, as events, each with the time (seconds since 1970) at which it arrived.

        Before each page of them `room` is waited for.
        """
        more = True
        while more:
            await room()
            page = await self._page(after=self._end)
            for line in page.lines:
                self._end = line.entry
                if line.mine:
                    self._own.setdefault(line.person.id, Numbers()).add(line.number)
                if line.entry not in self._there and line.state != "deleted":
                    if line.state != "taken back":
                        write(_as_event(line), line.arrived / 1000)
                    self._note_receipts(line, Written())
            more = page.more and bool(page.lines)

    def receipts(self) -> Iterator[api.Event]:
        """What is known of our own messages and does not stand there."""
        for (what, identifier), numbers in self._receipts.items():
            person = self._people[identifier]
            match what:
                case "delivered":
                    yield api.Delivered(person=person, numbers=_all(numbers), at=0)
                case "seen":
                    yield api.Seen(person=person, numbers=_all(numbers), at=0)
                case _:
                    for number in _all(numbers):
                        yield api.TakenBack(person=person, number=number)

    def without_told(self, event: api.Event) -> api.Event | None:
        """What remains to be written of an event that came meanwhile."""
        match event:
            case api.Said(entry=entry):
                return None if self._begin < entry <= self._end else event
            case api.Queued(person=person, number=number):
                return None if number in self._own.get(person.id, ()) else event
            case api.TakenBack(person=person, number=number):
                return None if number in self._told("taken back", person) else event
            case api.Delivered(person=person, numbers=numbers):
                left = _without(numbers, self._told("delivered", person))
                return api.Delivered(person=person, numbers=left, at=event.at) if left else None
            case api.Seen(person=person, numbers=numbers):
                left = _without(numbers, self._told("seen", person))
                return api.Seen(person=person, numbers=left, at=event.at) if left else None
        return event

    def _told(self, what: str, person: api.Person) -> Numbers:
        return self._receipts.get((what, person.id), Numbers())

    def _note_receipts(self, line: api.StoredLine, written: Written) -> None:
        if not line.mine:
            return
        self._people[line.person.id] = line.person
        for what in _RECEIPTS.get(line.state, ()):
            if not written.is_told(line, what):
                self._receipts.setdefault((what, line.person.id), Numbers()).add(line.number)

    async def _page(self, before: int | None = None, after: int | None = None) -> api.Lines:
        reply = await self._api.execute(api.ShowArrivals(count=PAGE_LINES, before=before, after=after))
        assert isinstance(reply, api.Lines)
        return reply


def _as_event(line: api.StoredLine) -> api.Event:
    if line.mine:
        return api.Queued(person=line.person, author=line.author, number=line.number, text=line.text, at=line.at)
    return api.Said(
        person=line.person,
        number=line.number,
        text=line.text,
        kind=line.kind,
        at=line.at,
        entry=line.entry,
        history=line.history,
    )


def _without(numbers: tuple[int, ...], told: Numbers) -> tuple[int, ...]:
    return tuple(number for number in numbers if number not in told)


def _all(numbers: Numbers) -> tuple[int, ...]:
    return tuple(number for first, last in numbers.ranges() for number in range(first, last + 1))
