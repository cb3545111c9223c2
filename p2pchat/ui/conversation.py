"""
The model of the screen, apart from its drawing: which chat is the current one, who waits for an answer, what was
displayed.

Pure. Only one's own commands change the current chat (`switch`, `leave`), so that nothing which arrives can send a
line to somebody else. Somebody who asks is pending; `the_only_request` guards `/accept` without a name.
"""

from dataclasses import dataclass, field
from typing import Literal, TypeVar

from msgspec.structs import replace

from p2pchat import api
from p2pchat.core.errors import UsageError

from .actions import AcceptRequest, Fingerprint
from .words import name_of, short_id

AskedT = TypeVar("AskedT", bound=api.Command | Fingerprint)

ON_SCREEN = 2.0
"""Seconds that a request must have been on the screen before `/accept` takes it without a name: time to read it."""


@dataclass
class Request:
    """Somebody who waits for a yes or a no."""

    person: api.Person
    kind: Literal["asked", "answered"]
    """They asked to chat; or they answered at an address that was dialled without an id."""

    shown: float | None = None
    """Since when it is on the screen; None while it is not."""


@dataclass
class _Reading:
    """How far somebody's messages were displayed."""

    displayed: int = 0
    """The greatest `entry` that was on the screen."""

    told: int = 0
    """The greatest that the api was told of."""

    broken: bool = False
    """A message was never displayed: no later one may be told of."""

    withheld: bool = False
    """Some of it was on the screen once, scrolled away unread, and could not be shown again."""

    whole: bool = False
    """All that was said before this screen showed the chat was seen, or is on this screen."""

    whole_with: int | None = None
    """The `entry` with which it will be."""


END, DROP = ".", "/cancel"
"""Lines that end a message of several: sent, as in mail and ed, or not."""


@dataclass
class Block:
    """Lines that become one message: written or pasted where the terminal does not say what is pasted."""

    who: str
    """The id of the person for whom it was begun."""
    lines: list[str] = field(default_factory=list)

    text: str | None = None
    """The message, once it was ended."""

    def take(self, line: str) -> bool:
        """Another line, as typed; whether it was the end: then there is a text, or it was dropped."""
        if line.strip() not in (END, DROP):
            self.lines.append(line)
            return False
        text = "\n".join(self.lines)
        self.text = text if line.strip() == END and text.strip() else None
        return True


class Conversation:
    """What a front end knows about chats."""

    def __init__(self) -> None:
        self.current: api.Person | None = None
        """With whom the current chat is."""
        self.block: Block | None = None
        """The lines of one message that is being written line by line."""
        self._requests: dict[str, Request] = {}
        self._people: dict[str, str] = {}
        self._reading: dict[str, _Reading] = {}

    @property
    def current_id(self) -> str | None:
        """The id of the current chat's person."""
        return self.current.id if self.current else None

    def named(self, asked: AskedT) -> AskedT:
        """A command for the current chat, or for who waits, with the name of its person in place of their id."""
        if isinstance(asked, api.Reject):
            return replace(asked, who=self._people.get(asked.who, asked.who))
        if isinstance(asked, Fingerprint) or self.current is None or getattr(asked, "who", None) != self.current.id:
            return asked
        return replace(asked, who=self.current.name)

    @property
    def prompt(self) -> str:
        """What stands before the input: it names the chat that a line goes to, and whether it is one of several."""
        sign = ">" if self.block is None else "|"
        return f"[{name_of(self.current)}] {sign} " if self.current else f"{sign} "

    @property
    def people(self) -> list[str]:
        """Names to complete, of those who were heard of."""
        return sorted(set(self._people.values()))

    @property
    def ids(self) -> list[str]:
        """Ids to complete, of the same people."""
        return sorted(self._people)

    @property
    def pending(self) -> list[str]:
        """Names of those who wait for an answer."""
        return [name_of(request.person) for request in self._requests.values()]

    # --- what happens

    def take(self, event: api.Event) -> None:
        """Remember what an event means for the model. Never changes which chat is the current one."""
        person = getattr(event, "person", None)
        if isinstance(person, api.Person):
            self.meet(person)
        match event:
            case api.Asked(person=who):
                self._requests.setdefault(who.id, Request(who, "asked"))
            case api.Answered(person=who):
                self._requests[who.id] = Request(who, "answered")
            case api.AskEnded(person=who) | api.Opened(person=who) | api.Ended(person=api.Person() as who):
                self._requests.pop(who.id, None)

    def meet(self, person: api.Person) -> None:
        """Know somebody by name; their latest name counts, also in the prompt."""
        self._people[person.id] = name_of(person)
        if self.current is not None and self.current.id == person.id:
            self.current = person

    # --- one's own commands

    def switch(self, person: api.Person) -> None:
        """Make a chat the current one."""
        self.meet(person)
        self.current = person

    def begin_block(self) -> str:
        """Take lines as one message from now on; gives what to say of that. Raises UsageError."""
        if self.current is None:
            raise UsageError("no chat is the current one: /connect NAME, or /msg NAME, and then /paste")
        self.block = Block(self.current.id)
        return f"write or paste lines, they become one message; {END} alone sends it, {DROP} drops it"

    def leave(self, person_id: str) -> None:
        """That chat was closed by one's own command: a line goes nowhere until another is chosen."""
        if self.current_id == person_id:
            self.current = None

    def answered(self, person_id: str) -> None:
        """One's own yes or no was said."""
        self._requests.pop(person_id, None)

    # --- requests

    def waits(self, person_id: str) -> bool:
        """Whether that person is known to wait for an answer."""
        return person_id in self._requests

    def request_shown(self, person_id: str, now: float) -> None:
        """The line that tells of a request is on the screen."""
        request = self._requests.get(person_id)
        if request is not None and request.shown is None:
            request.shown = now

    def request_of(self, who: str | None, now: float, word: str = "") -> Request:
        """
        The request that `/accept` or `/reject` means.

        `who` is a name or an id, or None for the only one; `word` is a consent that was typed where a name may
        stand. Raises UsageError.
        """
        if who is None:
            return self._the_only_request(now, word)
        found = [request for request in self._requests.values() if _means(who, request.person)]
        match found:
            case [request]:
                return request
            case []:
                raise UsageError(f"nobody called {who} waits for an answer{self._who_waits()}")
        raise UsageError(f"more than one {who} waits for an answer; say the id{self._who_waits()}")

    def _the_only_request(self, now: float, word: str) -> Request:
        if not self._requests:
            raise UsageError("nobody waits for an answer")
        if len(self._requests) > 1:
            raise UsageError(f"more than one waits for an answer; say whom you mean{self._who_waits()}")
        (request,) = self._requests.values()
        if word and _means(word, request.person):
            raise UsageError(f"somebody is called {word}; write both: /accept NAME once|2h|always")
        if request.shown is None or now - request.shown < ON_SCREEN:
            raise UsageError(f"that request has just come; read it first, or say whom you mean{self._who_waits()}")
        return request

    def _who_waits(self) -> str:
        waiting = [f"{name_of(request.person)} ({short_id(request.person.id)})" for request in self._requests.values()]
        return f": {', '.join(waiting)}" if waiting else ""

    # --- reading

    def displayed(self, said: api.Said) -> None:
        """A message was put on the screen."""
        reading = self._reading.setdefault(said.person.id, _Reading())
        if not reading.broken and not said.history:
            reading.displayed = max(reading.displayed, said.entry)
        reading.whole = reading.whole or said.entry == reading.whole_with

    def shown_whole(self, person_id: str, entry: int | None) -> None:
        """
        No message of that person is left that nobody saw and this screen did not show.

        With `entry`: once that one is displayed, which was shown last.
        """
        reading = self._reading.setdefault(person_id, _Reading())
        reading.whole_with = entry
        reading.whole = reading.whole or entry is None

    def not_shown(self, person_id: str) -> None:
        """What scrolled away of that chat could not be shown again: nothing more of it counts as read until it is."""
        self._reading.setdefault(person_id, _Reading()).withheld = True

    def shown_again(self, person_id: str) -> None:
        """Now it was."""
        self._reading.setdefault(person_id, _Reading()).withheld = False

    def missed(self, said: api.Said) -> None:
        """A message could not be put on the screen: none of that person's later ones counts as read."""
        self._reading.setdefault(said.person.id, _Reading()).broken = True

    def lost_track(self) -> None:
        """
        Nobody knows what was not put on the screen: nothing counts as read until it is shown whole again, and nobody
        waits for an answer until it is known who does.
        """
        self._reading.clear()
        self._requests.clear()

    def read(self) -> api.Displayed | None:
        """The command that tells what was read of the current chat; None if nothing is new."""
        return self.read_of(self.current_id) if self.current_id else None

    def read_of(self, person_id: str) -> api.Displayed | None:
        """The same for a chat that has just been opened on the screen."""
        reading = self._reading.get(person_id)
        if reading is None or reading.withheld or not reading.whole or reading.displayed <= reading.told:
            return None
        reading.told = reading.displayed
        return api.Displayed(who=person_id, entry=reading.displayed)


def consent(request: Request, accept: AcceptRequest) -> api.Accept | api.Confirm:
    """The command that says yes to a request."""
    if request.kind == "answered":
        return api.Confirm(who=request.person.id)
    return api.Accept(who=request.person.id, scope=accept.scope, seconds=accept.seconds)


def refusal(request: Request) -> api.Reject | api.Close:
    """The command that says no to a request."""
    return api.Close(who=request.person.id) if request.kind == "answered" else api.Reject(who=request.person.id)


def _means(who: str, person: api.Person) -> bool:
    letters = who.lower().replace("-", "")
    whole = person.id.replace("-", "")
    return who in (person.name, name_of(person)) or (len(letters) >= 16 and whole.startswith(letters))
