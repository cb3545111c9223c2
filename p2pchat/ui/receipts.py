"""
Receipts that cost a line: what is not delivered after some seconds, that it was, and that somebody is back.

That a message was delivered and seen is told by the status bar (ui/overview.py). Where there is none, as in a pipe,
it is told here: what comes within `GATHER` at once, for each person in one line, with numbers in ranges. Pure: the
caller tells the time and asks when to come again; `Teller` is such a caller.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from p2pchat import api

from .drawing import Line, note
from .numbers import Numbers, write_numbers
from .words import name_of

GATHER = 0.4
"""Seconds from the first receipt to the line that tells it: short for an eye, long for a stream."""

RETURN = 2.0
"""Seconds for which "is back" waits for what was not delivered, to say both at once."""

LATE = 5.0
"""Seconds after which somebody wonders whether a message has arrived."""

AGAIN = 30.0
"""Seconds until it is said of further messages, where it was said of earlier ones and nothing has changed."""


@dataclass
class _Gathered:
    """What is to be said about one person."""

    person: api.Person
    due: float
    back: bool = False
    delivered: Numbers = field(default_factory=Numbers)
    seen: Numbers = field(default_factory=Numbers)


@dataclass
class _Waiting:
    """What was sent to one person and is not delivered."""

    person: api.Person
    due: float | None = None
    """When that is to be said of `fresh`."""
    fresh: Numbers = field(default_factory=Numbers)
    """Of these it was not said."""
    told: Numbers = field(default_factory=Numbers)


class Receipts:
    """Gathers receipts for a screen."""

    def __init__(self, silent: bool = False) -> None:
        self._is_silent = silent
        """Whether something else tells what was delivered and seen."""
        self._gathered: dict[str, _Gathered] = {}
        self._waiting: dict[str, _Waiting] = {}
        self._away: set[str] = set()
        """Of whom it was said that they are silent."""

    def take(self, event: api.Event, now: float) -> None:
        """Remember what is to be said of this event, if it is a receipt or a return."""
        match event:
            case api.Queued(person=person, number=number):
                self._queued(person, number, now)
            case api.Silent(person=person):
                self._silent(person, event.waiting)
            case api.Back(person=person):
                self._back(person, now)
            case api.Delivered(person=person):
                self._delivered(person, event.numbers, now)
            case api.Seen(person=person) if not self._is_silent:
                self._receipt(person, now).seen.update(event.numbers)
            case api.NotDelivered(person=person, number=number) | api.TakenBack(person=person, number=number):
                self._settle(person, (number,))
            case api.Ended(person=api.Person(id=identifier)):
                self._away.discard(identifier)

    def lost_track(self) -> None:
        """Events were left out: what was delivered meanwhile is not known, so nothing is said to wait."""
        self._waiting.clear()

    def next_due(self) -> float | None:
        """When `due` will have something to say; None if never, as things are."""
        dues = [one.due for one in self._gathered.values()]
        dues += [one.due for one in self._waiting.values() if one.due is not None]
        return min(dues, default=None)

    def due(self, now: float) -> list[Line]:
        """What is to be said now."""
        late = [one for one in self._waiting.values() if one.due is not None and one.due <= now]
        ready = [identifier for identifier, one in self._gathered.items() if one.due <= now]
        return [*(self._tell_late(one) for one in late), *(self._tell(identifier) for identifier in ready)]

    # --- what waits

    def _queued(self, person: api.Person, number: int, now: float) -> None:
        waiting = self._waiting.setdefault(person.id, _Waiting(person))
        waiting.person = person
        if person.chat != "open":
            waiting.told.add(number)  # it was shown as queued
            return
        waiting.fresh.add(number)
        if waiting.due is None:
            waiting.due = now + (AGAIN if waiting.told else LATE)

    def _silent(self, person: api.Person, numbers: tuple[int, ...]) -> None:
        """The narrator said it, with these numbers."""
        self._away.add(person.id)
        waiting = self._waiting.setdefault(person.id, _Waiting(person))
        waiting.told.update(numbers)
        for number in numbers:
            waiting.fresh.discard(number)
        if not waiting.fresh:
            waiting.due = None

    def _tell_late(self, waiting: _Waiting) -> Line:
        waiting.due = None
        for first, last in waiting.fresh.ranges():
            waiting.told.update(range(first, last + 1))
        numbers, waiting.fresh = write_numbers(waiting.fresh), Numbers()
        name = name_of(waiting.person)
        return note(f"{name}: {numbers} not delivered yet; kept until {name} is reached")

    def _settle(self, person: api.Person, numbers: tuple[int, ...]) -> list[int]:
        """These wait no longer; gives those of which it was said that they wait."""
        waiting = self._waiting.get(person.id)
        if waiting is None:
            return []
        for number in numbers:
            waiting.fresh.discard(number)
        if not waiting.fresh:
            waiting.due = None
        settled = [number for number in numbers if waiting.told.discard(number)]
        if not waiting.fresh and not waiting.told and person.id not in self._away:
            del self._waiting[person.id]
        return settled

    # --- what came

    def _delivered(self, person: api.Person, numbers: tuple[int, ...], now: float) -> None:
        missed = self._settle(person, numbers)
        if missed or not self._is_silent:
            self._receipt(person, now).delivered.update(missed if self._is_silent else numbers)
            self._hasten(person, now)

    def _back(self, person: api.Person, now: float) -> None:
        if person.id not in self._away:
            return  # nobody was told that they were silent
        gathered = self._receipt(person, now)
        if not gathered.back:
            gathered.back, gathered.due = (True, now + (RETURN if self._waits(person) else GATHER))

    def _hasten(self, person: api.Person, now: float) -> None:
        """Once all that was named as waiting is delivered, "is back" waits no longer."""
        gathered = self._gathered[person.id]
        if gathered.back and not self._waits(person):
            gathered.due = min(gathered.due, now + GATHER)

    def _waits(self, person: api.Person) -> bool:
        waiting = self._waiting.get(person.id)
        return waiting is not None and len(waiting.told) > 0

    def _receipt(self, person: api.Person, now: float) -> _Gathered:
        return self._gathered.setdefault(person.id, _Gathered(person, now + GATHER))

    def _tell(self, identifier: str) -> Line:
        gathered = self._gathered.pop(identifier)
        if gathered.back:
            self._away.discard(identifier)
        return note(_write(gathered))


def _write(gathered: _Gathered) -> str:
    delivered, seen = write_numbers(gathered.delivered), write_numbers(gathered.seen)
    if seen and seen == delivered:
        parts = [f"{delivered} delivered, seen"]
    else:
        parts = [f"{numbers} {what}" for numbers, what in ((delivered, "delivered"), (seen, "seen")) if numbers]
    name = name_of(gathered.person)
    return "; ".join([f"{name} is back", *parts]) if gathered.back else f"{name}: {'; '.join(parts)}"


class Teller:
    """Shows what `Receipts` say, in time."""

    def __init__(self, receipts: Receipts, clock: IReactorTime, show: Callable[[Line], None]) -> None:
        self._receipts = receipts
        self._clock = clock
        self._show = show
        self._due: IDelayedCall | None = None

    def take(self, event: api.Event) -> None:
        """Something happened."""
        self._receipts.take(event, self._clock.seconds())
        self._arm()

    def lost_track(self) -> None:
        """Events were left out."""
        self._receipts.lost_track()

    def stop(self) -> None:
        """Show nothing more."""
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _arm(self) -> None:
        due = self._receipts.next_due()
        if self._due is not None:
            if due is not None and self._due.getTime() <= due:
                return
            self.stop()
        if due is not None:
            self._due = self._clock.callLater(max(0.0, due - self._clock.seconds()), self._tell)

    def _tell(self) -> None:
        self._due = None
        for line in self._receipts.due(self._clock.seconds()):
            self._show(line)
        self._arm()
