"""
What stands beside the lines: who I am, the servers, the chats and their places, what is unread, delivered, waiting.

Pure. A screen with a status bar shows it as one row (`bar`, `fit`); one without says it in lines when it changes and
when it is asked for (`facts`). Transfers and rooms get parts of their own in both, once they exist.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from p2pchat import api
from p2pchat.core.text import Kind, cell_width, clean, take_cells

from .words import host_of, name_of

PLACES = 9
"""Chats that have a number, by which a key reaches them."""

BETWEEN = " | "
"""Between two parts of the bar."""


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that the bar tells."""

    forms: tuple[str, ...]
    """The longest first."""

    weights: tuple[int, ...]
    """Of each form but the last: the one that weighs least in the whole bar is given up first."""


@dataclass
class _Progress:
    """How far one's own messages have come with somebody."""

    delivered: int = 0
    seen: int = 0


class Overview:
    """What a screen tells all the time."""

    def __init__(self) -> None:
        self._name = ""
        self._servers: dict[str, api.ServerStatus] = {}
        self._people: dict[str, api.Person] = {}
        """Those with a chat, and those for whom something waits."""
        self._places: list[str | None] = []
        self._unread: dict[str, int] = {}
        self._progress: dict[str, _Progress] = {}

    # --- what happens

    def introduce(self, myself: api.Myself) -> None:
        """Who one is."""
        self._name = clean(myself.name, Kind.NAME)
        self._servers = {server.id: server for server in myself.servers}

    def take(self, event: api.Event, current: str | None) -> None:
        """Remember what an event means; `current` is the id of the person of the current chat."""
        person = getattr(event, "person", None)
        if isinstance(person, api.Person):
            self.meet(person)
        match event:
            case api.ServerChanged(server=server):
                self._servers[server.id] = server
            case api.Said(person=who) if who.id != current and not event.history:
                self._unread[who.id] = self._unread.get(who.id, 0) + 1
            case api.Delivered(person=who, numbers=numbers):
                self._move(who.id, delivered=max(numbers, default=0))
            case api.Seen(person=who, numbers=numbers):
                self._move(who.id, seen=max(numbers, default=0))

    def meet(self, person: api.Person) -> None:
        """Somebody, as they are now."""
        chats = person.chat in ("asking", "open", "lost")
        if chats or person.unsent:
            self._people[person.id] = person
        else:
            self._people.pop(person.id, None)
        if chats and person.id not in self._places:
            # A place that became free is taken again only by somebody new: nobody's number ever changes.
            free = self._places.index(None) if None in self._places else len(self._places)
            self._places[free : free + 1] = [person.id]
        elif not chats and person.id in self._places:
            self._places[self._places.index(person.id)] = None
            self._unread.pop(person.id, None)

    def missed(self, chats: Iterable[api.UnseenChat]) -> None:
        """What was said before this screen was there, and nobody saw; what came since is among it."""
        for chat in chats:
            self.meet(chat.person)
            if chat.person.id in self._places:
                self._unread[chat.person.id] = max(self._unread.get(chat.person.id, 0), chat.count)

    def turn_to(self, person_id: str) -> None:
        """That chat is the current one: what was said in it is read."""
        self._unread.pop(person_id, None)

    def recall(self, lines: Iterable[api.StoredLine]) -> None:
        """How far one's own messages had come before this screen was there."""
        for line in lines:
            if line.mine and line.state == "seen":
                self._move(line.person.id, seen=line.number)
            elif line.mine and line.state == "delivered":
                self._move(line.person.id, delivered=line.number)

    # --- places

    def at(self, place: int) -> api.Person | None:
        """Whose chat has this number, from 1 on."""
        found = self._places[place - 1] if 0 < place <= len(self._places) else None
        return self._people[found] if found is not None else None

    def places(self) -> Mapping[str, int]:
        """The number of each chat that has one, by the person's id."""
        return {one: place for place, one in enumerate(self._places[:PLACES], 1) if one is not None}

    def beside(self, current: str | None, step: int) -> api.Person | None:
        """Whose chat follows the current one, or precedes it, around the end."""
        known = [one for one in self._places if one is not None]
        if not known:
            return None
        start = known.index(current) if current in known else (-1 if step > 0 else 0)
        return self._people[known[(start + step) % len(known)]]

    # --- telling

    def bar(self, current: api.Person | None) -> tuple[Part, ...]:
        """All of it, in the order of the bar."""
        parts = [
            Part((self._name, ""), (1,)),
            self._server_part(),
            *self._chat_parts(current),
            *self._unread_parts(),
            self._waiting_part(),
        ]
        return tuple(part for part in parts if part.forms[0])

    def facts(self, current: api.Person | None) -> Mapping[str, str]:
        """What the bar says of chats, in a line for each matter."""
        facts = {}
        if current is not None:
            facts["chat"] = f"{name_of(current)}: {', '.join(_state(current))}"
            if told := self._told(current.id):
                facts["receipts"] = f"{name_of(current)}: {told}"
        unread = [f"{name_of(self._people[one])} {count}" for one, count in self._unread.items() if one in self._people]
        if unread:
            facts["unread"] = f"unread: {', '.join(unread)}"
        waiting = [person for person in self._people.values() if person.unsent]
        if waiting:
            names = ", ".join(f"{name_of(person)} {person.unsent}" for person in waiting)
            facts["waiting"] = f"waiting to be delivered: {names}"
        return facts

    def _move(self, person_id: str, delivered: int = 0, seen: int = 0) -> None:
        progress = self._progress.setdefault(person_id, _Progress())
        progress.seen = max(progress.seen, seen)
        progress.delivered = max(progress.delivered, delivered, seen)

    def _server_part(self) -> Part:
        servers = list(self._servers.values())
        up = [server for server in servers if server.state == "online"]
        if not servers:
            return Part(("no server", ""), (2,))
        if len(servers) == 1:
            host = host_of(servers[0].address)
            return Part((f"{host} up", "up", ""), (2, 2)) if up else Part((f"{host} down", "server down"), (6,))
        if len(up) == len(servers):
            return Part((f"{len(up)} servers up", "up", ""), (2, 2))
        return Part((f"{len(up)} of {len(servers)} servers up", f"{len(up)}/{len(servers)} up"), (6,))

    def _chat_parts(self, current: api.Person | None) -> list[Part]:
        if current is None:
            return [Part(("no chat", ""), (3,))]
        long, short = ", ".join(_state(current)), ", ".join(_state(current, brief=True))
        parts = [Part((f"{name_of(current)}: {long}", f"{name_of(current)}: {short}", short, ""), (4, 4, 8))]
        if told := self._told(current.id):
            parts.append(Part((told, self._told(current.id, brief=True), ""), (3, 5)))
        return parts

    def _told(self, person_id: str, brief: bool = False) -> str:
        progress = self._progress.get(person_id)
        if progress is None or not progress.delivered:
            return ""
        seen = f", seen #{progress.seen}" if progress.seen else ""
        return f"#{progress.delivered}{seen}" if brief else f"delivered #{progress.delivered}{seen}"

    def _unread_parts(self) -> list[Part]:
        parts = []
        for place, identifier in enumerate(self._places, 1):
            count = self._unread.get(identifier or "", 0)
            if identifier is not None and count:
                name = name_of(self._people[identifier])
                parts.append(f"{place} {name}: {count}" if place <= PLACES else f"{name}: {count}")
        if not parts:
            return []
        return [Part((" ".join(parts), f"{sum(self._unread.values())} unread"), (6,))]

    def _waiting_part(self) -> Part:
        waiting = sum(person.unsent for person in self._people.values())
        return Part((f"{waiting} waiting", f"{waiting} w"), (5,)) if waiting else Part(("",), ())


def fit(parts: Iterable[Part], width: int) -> str:
    """The parts in one row of at most `width` cells: what matters least is shortened and left out first."""
    parts = list(parts)
    chosen = [0] * len(parts)

    def row() -> str:
        return BETWEEN.join(filter(None, (part.forms[form] for part, form in zip(parts, chosen, strict=True))))

    while cell_width(row()) > width:
        weights = [
            (part.weights[form], index)
            for index, (part, form) in enumerate(zip(parts, chosen, strict=True))
            if form < len(part.weights)
        ]
        if not weights:
            break
        chosen[min(weights)[1]] += 1
    return take_cells(row(), width)


def _state(person: api.Person, brief: bool = False) -> list[str]:
    """How the link with somebody is, and whether they are who they say."""
    state = {"none": "no chat", "asking": "asking", "asked": "asks", "lost": "no link now"}.get(person.chat)
    found = [state] if state else [] if brief else [clean(person.path, Kind.NAME)]
    if person.group and person.chat == "open":
        quantum = "MLKEM" in person.group.upper()
        found.append(("pq" if brief else "post-quantum") if quantum else ("not pq" if brief else "not post-quantum"))
    found.append(person.standing if person.standing in ("verified", "blocked") else "not verified")
    return [one for one in found if one]


def changed_facts(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """
    What a screen without a bar says when `facts` changes: how the chat that one writes to is, and where is news.

    Receipts and what waits are said by ui/receipts.py; how many lines are unread is said when it is asked for.
    """
    changed = []
    if before.get("chat") != after.get("chat"):
        changed.append(f"you write to {after['chat']}" if "chat" in after else "you write to nobody now")
    if names := _news(after.get("unread", "")) - _news(before.get("unread", "")):
        changed.append(f"unread lines: {', '.join(sorted(names))}")
    return changed


def _news(unread: str) -> set[str]:
    return {one.rpartition(" ")[0] for one in unread.removeprefix("unread: ").split(", ") if one}
