"""
What happened, in words for a person: every event of the api into lines.

A `Narrator` remembers just enough to say it well (whether a server was online before, who was asked by us).
Receipts are not said here one by one: see ui/receipts.py.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache

from p2pchat import api
from p2pchat.core.errors import StoreUnsure, UserError
from p2pchat.core.identity import GROUP, SHORT_GROUPS
from p2pchat.core.text import Kind, clean, is_handle

from .drawing import Line, Origin, note
from .numbers import Numbers, count_of, write_numbers

_SHORT_ID = SHORT_GROUPS * (GROUP + 1) - 1
"""Characters of a written id that are shown where a person decides."""

ENDINGS: Mapping[str, str] = {
    "closed": "the chat is closed",
    "leaving": "left",
    "rejected": "refused to chat",
    "expired": "did not answer the request to chat",
    "duplicate": "another link is used",
    "displaced": "another instance with the same key came online",
    "self": "that is you",
    "not-admitted": "does not admit this address",
    "full": "has no room",
    "handle-taken": "your name belongs to another key there; take another: p2pchat stop, then p2pchat peer --name NAME",
    "stale-record": "knows a newer record of us",
    "bad-record": "could not read our record",
    "version": "speaks another version; one of you needs a newer p2pchat",
    "too-big": "the protocol was broken (too-big)",
    "malformed": "the protocol was broken (malformed)",
    "unexpected": "the protocol was broken (unexpected)",
    "violation": "the protocol was broken (violation)",
    "rate": "too many messages",
    "timeout": "fell silent",
    "internal": "something failed there",
    "unknown": "ended for an unknown reason",
}
"""core.errors.EndCode in words that follow a name and a colon, or stand alone."""


def name_of(person: api.Person) -> str:
    """What somebody is called on the screen: a petname, or a handle (see ui/names.py), and nothing that is neither."""
    name = clean(person.name, Kind.NAME)
    handle, _, mark = name.partition("/")
    fit = person.contact or (is_handle(handle) and mark in ("", short_id(person.id)))
    return name if name and fit else short_id(person.id)


def scope_of(person: api.Person) -> str:
    """The consent that a chat stands on, for a person."""
    return "for a time" if person.scope == "timed" else clean(person.scope, Kind.NAME)


def typable(person: api.Person) -> str:
    """Somebody's name as it can be typed in a command."""
    name = name_of(person)
    return f'"{name}"' if " " in name else name


@lru_cache(1_000)
def short_id(written: str) -> str:
    """The first 16 characters of an id in its written form."""
    return clean(written, Kind.NAME)[:_SHORT_ID]


def reason_of(reason: str) -> str:
    """A word of EndCode, or somebody's line, for a person."""
    return ENDINGS.get(reason) or clean(reason, Kind.LINE)


def not_taken(error: UserError) -> str:
    """Why the peer did not take what was said; an error after which nobody knows says so itself."""
    return str(error) if error.exit_code == StoreUnsure.exit_code else f"not sent: {error}"


def host_of(address: str) -> str:
    """HOST:PORT without the port and without brackets."""
    return split_address(address)[0]


def split_address(address: str) -> tuple[str, str]:
    """HOST and PORT of an address, cleaned; the port is empty if there is none."""
    found = re.fullmatch(r"\[(.*)\](?::(\d*))?|([^:]*):(\d*)", address := clean(address, Kind.LINE))
    if found is None:
        return address, ""
    return found[1] or found[3] or "", found[2] or found[4] or ""


def described(person: api.Person, address: str = "") -> str:
    """Somebody as shown where a person decides: name, own name, address, at least 16 characters of the id, standing."""
    display = clean(person.display_name, Kind.NAME).replace('"', "'")
    calls = f' "{display}"' if display else ""
    handle = clean(person.handle, Kind.NAME)
    also = f" (there {handle})" if handle and handle != clean(person.name, Kind.NAME) else ""
    facts = [host_of(address), short_id(person.id), clean(person.standing, Kind.NAME)]
    return f"{name_of(person)}{also}{calls} ({', '.join(fact for fact in facts if fact)})"


class Narrator:
    """Puts events into words."""

    def __init__(self) -> None:
        self.own_id = ""
        """One's own id in its written form, once it is known."""
        self._servers: dict[str, str] = {}
        self._reached: set[str] = set()
        self._asked: set[str] = set()

    def tell(self, event: api.Event, current: str | None = None) -> list[Line]:
        """
        Say what happened; `current` is the id of the person of the current chat, empty where there is none, and None
        where all chats are shown alike.

        Nothing for what is told elsewhere: Delivered, Seen and Back (ui/receipts.py).
        """
        match event:
            case api.Said():
                return [_said(event)]
            case api.Queued():
                return [self._queued(event, current)]
            case api.ServerChanged():
                return [note(text) for text in self._server(event)]
            case api.Asking(person=person):
                self._asked.add(person.id)
            case api.Opened():
                return [note(text) for text in self._opened(event)]
            case api.Ended(person=api.Person() as person):
                self._asked.discard(person.id)
        text = _plainly(event)
        return [note(text)] if text else []

    def _queued(self, event: api.Queued, current: str | None) -> Line:
        name = name_of(event.person)
        to = "" if current in (None, event.person.id) else f" to {name}"
        waits = "" if event.person.chat == "open" else f" (queued for {name})" if not to else " (queued)"
        head = f"{clean(event.author, Kind.NAME)}#{event.number}{to}{waits}: "
        return Line(Origin.MINE, event.text, head, self.own_id)

    def _server(self, event: api.ServerChanged) -> list[str]:
        server = event.server
        before = self._servers.get(server.id)
        self._servers[server.id] = server.state
        where = f" {host_of(server.address)}" if len(self._servers) > 1 else ""
        match server.state:
            case "online" if server.id in self._reached:
                return [f"server{where} back, online again"] if before != "online" else []
            case "online":
                self._reached.add(server.id)
                return [self._online(server)]
            case "lost" if before == "online":
                return [f"server{where} lost; {_go_on(event.open_chats)}"]
            case "lost" if before != "lost" and server.id not in self._reached:
                why = reason_of(server.reason) or "no answer"
                return [f"server {host_of(server.address)} cannot be reached ({why}); trying again"]
            case "refused" if before != "refused":
                return [f"server {host_of(server.address)}: {reason_of(server.reason) or 'refused us'}"]
        return []

    def _online(self, server: api.ServerStatus) -> str:
        seen = f" (you are seen as {host_of(server.observed)})" if server.observed else ""
        people = "1 peer" if server.online == 1 else f"{server.online} peers"
        me = " ".join(word for word in (clean(server.handle, Kind.NAME), short_id(self.own_id)) if word)
        return f"{me}  online at {host_of(server.address)}{seen}; {people} online".lstrip()

    def _opened(self, event: api.Opened) -> list[str]:
        if event.again:
            return []
        person = event.person
        scope = f" ({scope_of(person)})" if person.scope else ""
        accepted = person.id in self._asked
        self._asked.discard(person.id)
        begin = f"{name_of(person)} accepted{scope}" if accepted else f"chat with {name_of(person)} is open{scope}"
        return ["; ".join(part for part in (begin, person.path, _secured(person), _verified(person)) if part)]


def _said(event: api.Said) -> Line:
    head = f"{name_of(event.person)}#{event.number}{' (from history)' if event.history else ''}"
    match event.kind:
        case "text":
            return Line(Origin.THEIRS, event.text, f"{head}: ", event.person.id, event.at)
        case "void":
            return note(f"{head} was taken back before it was sent")
    return note(f"{head} needs a newer version of p2pchat to be shown ({clean(event.kind, Kind.NAME)})")


def _plainly(event: api.Event) -> str:
    """Events whose words depend on nothing else; empty if nothing is to be said."""
    match event:
        case api.Answered() | api.Asked() | api.AskEnded() | api.Asking() | api.Ended():
            return _consent(event)
        case api.PresenceChanged(person=person) if person.contact or person.chat != "none":
            return f"{name_of(person)} is {'online' if person.online else 'no longer online'}"
        case api.Silent():
            return _silent(event)
        case api.NotDelivered():
            why = clean(event.reason, Kind.LINE)
            name = name_of(event.person)
            return f"#{event.number} was not delivered: {name} cannot take it ({why}); it is not sent again"
        case api.Doubt():
            return _doubt(event)
        case api.TakenBack(person=person, number=number):
            return f"#{number} to {name_of(person)} was taken back before it left"
        case api.HistoryFetched():
            return _fetched(event)
        case api.Displaced():
            at = f" at {clean(event.where, Kind.LINE)}" if event.where else ""
            return f"another instance with your key came online{at}; this one stopped: keep only one of them"
        case api.Problem():
            return clean(event.text, Kind.LINE)
        case api.Missed(count=count):
            return f"{count} events were left out here: this terminal fell behind; /history shows what was said"
        case api.Stopping():
            return f"stopping{': ' + reason_of(event.reason) if event.reason else ''}"
    return ""


def _consent(event: api.Answered | api.Asked | api.AskEnded | api.Asking | api.Ended) -> str:
    match event:
        case api.Ended():
            who = name_of(event.person) if event.person else clean(event.address, Kind.LINE)
            return f"{who}: {reason_of(event.reason) or 'the chat is over'}"
        case api.Asking():
            return f"asking {name_of(event.person)} ..."
        case api.AskEnded(reason="rejected"):
            return ""  # which the person did themselves
        case api.AskEnded():
            return f"{name_of(event.person)} asks no longer ({reason_of(event.reason) or 'gone'})"
        case api.Answered():
            who, name = described(event.person, event.address), name_of(event.person)
            return f"somebody answered: {who}   if that is right: /accept {name}  or else  /reject {name}"
        case api.Asked():
            who, name = described(event.person, event.address), name_of(event.person)
            asked = clean(event.text, Kind.LINE).replace('"', "'")
            quoted = f': "{asked}"' if asked else ""
            return f"{who} wants to chat{quoted}   /accept {name} [once|2h|always]  or  /reject {name}"


def _silent(event: api.Silent) -> str:
    name = name_of(event.person)
    begin = f"{name} silent for {event.seconds} s" if event.seconds else f"the link to {name} is lost"
    if not event.total:
        return f"{begin}; retrying"
    more = event.total - len(event.waiting)
    also = f" and {more} more" if more > 0 else ""
    return f"{begin}; {write_numbers(Numbers(event.waiting))}{also} not delivered, retrying"


def _doubt(event: api.Doubt) -> str:
    if event.waits:
        return in_doubt(event.person, event.mine, event.first, event.last, event.at)
    name, why = name_of(event.person), clean(event.explanation, Kind.LINE)
    if not event.first:
        return f"in doubt, in the chat with {name}: {why}"
    numbers = message_range(event.first, event.last)
    if event.here:
        return f"in doubt: {_lacking(name, numbers)}; {why}"
    what = f"your {numbers} may be missing at {name}" if event.mine else f"{name}'s {numbers} may be missing here"
    return f"in doubt: {what}; {why}"


def _lacking(name: str, numbers: str) -> str:
    return f"{name} may no longer have their own {numbers}, which are here, and use those numbers again"


def in_doubt(person: api.Person, mine: bool, first: int, last: int, at: int, here: bool = False) -> str:
    """What may be missing since when, and what can be done."""
    name, typed = name_of(person), typable(person)
    if here:
        lacking = _lacking(name, message_range(first, last))
        return f"one of the two histories was reset before {date_of(at)}; {lacking}: /leave-it {typed}"
    if mine:
        numbers = f"{first}-{last}" if last > first else f"{first}"
        what = f"{name}'s history was reset on {date_of(at)}; your {message_range(first, last)} may be missing there"
        return f"{what}: /resend {typed} {numbers} or /leave-it {typed}"
    what = f"your own history was reset before {date_of(at)}; {name}'s {message_range(first, last)} may be missing here"
    return f"{what}: /fetch {typed} or /leave-it {typed}"


def date_of(milliseconds: int) -> str:
    """A day of this machine's calendar: 3 March 2026."""
    try:
        day = datetime.fromtimestamp(milliseconds / 1000).astimezone()
    except (ValueError, OverflowError, OSError):
        return "an unknown day"
    return f"{day.day} {day:%B} {day.year}"


def message_range(first: int, last: int) -> str:
    """`#31` or `#31 to #40`."""
    return f"#{first}" if first == last else f"#{first} to #{last}"


def _fetched(event: api.HistoryFetched) -> str:
    rest = "" if event.complete else "; the rest is gone there, or was sent anew"
    return f"from {name_of(event.person)} came {count_of(event.count, 'older message')} that this side lacked{rest}"


def _go_on(chats: int) -> str:
    match chats:
        case 0:
            return "no chat is open"
        case 1:
            return "1 chat goes on"
    return f"{chats} chats go on"


def _secured(person: api.Person) -> str:
    group = clean(person.group, Kind.NAME)
    return group if "MLKEM" in group.upper() or not group else f"{group} (not post-quantum)"


def _verified(person: api.Person) -> str:
    return "verified" if person.standing == "verified" else f"not verified: compare with /verify {name_of(person)}"
