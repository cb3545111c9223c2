"""
Receipts in few lines: what was delivered and seen, and that somebody is back.

While messages stream, every one of them would cost three lines; so what comes within `GATHER` is said at once,
for each person in one line, with numbers in ranges. Pure: the caller tells the time and asks when to come again.
"""

from dataclasses import dataclass, field

from p2pchat import api

from .drawing import Line, note
from .numbers import Numbers, write_numbers
from .words import name_of

GATHER = 0.4
"""Seconds from the first receipt to the line that tells it: short for an eye, long for a stream."""

RETURN = 2.0
"""Seconds for which "is back" waits for what was not delivered, to say both at once."""


@dataclass
class _Gathered:
    """What is to be said about one person."""

    person: api.Person
    due: float
    back: bool = False
    delivered: Numbers = field(default_factory=Numbers)
    seen: Numbers = field(default_factory=Numbers)


class Receipts:
    """Gathers receipts for a screen."""

    def __init__(self) -> None:
        self._gathered: dict[str, _Gathered] = {}
        self._silent: dict[str, Numbers] = {}

    def take(self, event: api.Event, now: float) -> None:
        """Remember what is to be said of this event, if it is a receipt or a return."""
        match event:
            case api.Silent(person=person):
                self._silent[person.id] = Numbers(event.waiting)
            case api.Back(person=person) | api.Opened(person=person, again=True):
                self._back(person, now)
            case api.Delivered(person=person):
                self._receipt(person, now).delivered.update(event.numbers)
                self._hasten(person, now)
            case api.Seen(person=person):
                self._receipt(person, now).seen.update(event.numbers)
            case api.Ended(person=api.Person(id=identifier)):
                self._silent.pop(identifier, None)

    def next_due(self) -> float | None:
        """When `due` will have something to say; None if never, as things are."""
        return min((one.due for one in self._gathered.values()), default=None)

    def due(self, now: float) -> list[Line]:
        """What is to be said now."""
        ready = [identifier for identifier, one in self._gathered.items() if one.due <= now]
        return [self._tell(identifier) for identifier in ready]

    def _tell(self, identifier: str) -> Line:
        gathered = self._gathered.pop(identifier)
        if gathered.back:
            self._silent.pop(identifier, None)
        return note(_write(gathered))

    def _receipt(self, person: api.Person, now: float) -> _Gathered:
        return self._gathered.setdefault(person.id, _Gathered(person, now + GATHER))

    def _back(self, person: api.Person, now: float) -> None:
        waiting = self._silent.get(person.id)
        if waiting is None:
            return  # nobody was told that they were silent
        gathered = self._receipt(person, now)
        if not gathered.back:
            gathered.back, gathered.due = True, now + (RETURN if waiting else GATHER)
        if not waiting:
            del self._silent[person.id]

    def _hasten(self, person: api.Person, now: float) -> None:
        """Once all that was named as waiting is delivered, "is back" waits no longer."""
        gathered, waiting = self._gathered[person.id], self._silent.get(person.id)
        if waiting is None:
            return
        if all(number in gathered.delivered for first, last in waiting.ranges() for number in range(first, last + 1)):
            del self._silent[person.id]
            gathered.due = min(gathered.due, now + GATHER)


def _write(gathered: _Gathered) -> str:
    delivered, seen = write_numbers(gathered.delivered), write_numbers(gathered.seen)
    if seen and seen == delivered:
        parts = [f"{delivered} delivered, seen"]
    else:
        parts = [f"{numbers} {what}" for numbers, what in ((delivered, "delivered"), (seen, "seen")) if numbers]
    name = name_of(gathered.person)
    return "; ".join([f"{name} is back", *parts]) if gathered.back else f"{name}: {'; '.join(parts)}"
