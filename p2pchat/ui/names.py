"""
Names that cannot be taken for one another, put between a front end and the api.

A petname belongs to one contact; a handle is whatever a stranger chose. A stranger whose name looks like that of
somebody else who is known (core.text.name_skeleton) is shown as `bob/x1mm-2k7d-4h5j-6k7m`, with 16 characters of the
id. The same can be typed wherever a name can, and so can the first 16 characters of the id of anybody who was shown.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from twisted.internet.defer import Deferred

from p2pchat import api
from p2pchat.core.text import name_skeleton

from .words import short_id

LEAST_LETTERS = 16
"""Of an id, so that a beginning of it means somebody."""

MOST_KNOWN = 10_000
"""People remembered; the first are forgotten first, contacts never."""

Shown = TypeVar("Shown", bound=msgspec.Struct)


class Names:
    """Who was heard of, and what they are called on the screen."""

    def __init__(self) -> None:
        self._people: dict[str, api.Person] = {}
        self._skeletons: dict[str, str] = {}
        """Of those people, by id."""
        self._looks: dict[str, set[str]] = {}
        """Ids, by skeleton."""

    def distinct(self, person: api.Person) -> api.Person:
        """Somebody, under a name that nobody else has or looks like having."""
        self._learn(person)
        if person.contact or len(self._looks[self._skeletons[person.id]]) < 2:
            return person
        return msgspec.structs.replace(person, name=f"{person.name}/{short_id(person.id)}")

    def resolve(self, who: str) -> str:
        """The whole id, if `who` is one that was shown in part; else `who` as it is."""
        letters = who.rpartition("/")[2].lower().replace("-", "")
        if len(letters) < LEAST_LETTERS:
            return who
        found = [known for known in self._people if known.replace("-", "").startswith(letters)]
        return found[0] if len(found) == 1 else who

    def _learn(self, person: api.Person) -> None:
        before = self._people.get(person.id)
        if before is not None:
            if (before.name, before.contact) == (person.name, person.contact):
                return
            self._forget(before)
        elif len(self._people) >= MOST_KNOWN:
            self._forget(next((one for one in self._people.values() if not one.contact), person))
        self._people[person.id] = person
        look = self._skeletons[person.id] = name_skeleton(person.name)
        self._looks.setdefault(look, set()).add(person.id)

    def _forget(self, person: api.Person) -> None:
        if self._people.pop(person.id, None) is None:
            return
        look = self._skeletons.pop(person.id)
        self._looks[look].discard(person.id)
        if not self._looks[look]:
            del self._looks[look]


class NamedApi:
    """An `api.Api` over another one, in whose events and replies names are distinct."""

    def __init__(self, inner: api.Api) -> None:
        self._inner = inner
        self._names = Names()

    def execute(self, command: api.Command) -> "Deferred[api.Reply]":
        """As `Api.execute`; `who` may also be what was shown."""
        who = getattr(command, "who", None)
        if isinstance(who, str):
            command = msgspec.structs.replace(command, who=self._names.resolve(who))
        return self._inner.execute(command).addCallback(self._shown)

    def subscribe(self, listener: Callable[[api.Event], None]) -> api.Subscription:
        """As `Api.subscribe`."""
        return self._inner.subscribe(lambda event: listener(self._shown(event)))

    def _shown(self, told: Shown) -> Shown:
        """The same with all people in it under distinct names."""
        changes: dict[str, Any] = {}
        for field in ("person", "people", "chats", "lines", "waiting", "doubts", "muted", "requests", "trips"):
            match getattr(told, field, None):
                case api.Person() as person:
                    changes[field] = self._names.distinct(person)
                case (msgspec.Struct(), *_) as values:
                    changes[field] = tuple(map(self._shown_inside, values))
        return msgspec.structs.replace(told, **changes) if changes else told

    def _shown_inside(self, value: msgspec.Struct) -> msgspec.Struct:
        return self._names.distinct(value) if isinstance(value, api.Person) else self._shown(value)
