"""What stands inside commands, replies and events: people, servers, and the base of all of them."""

from msgspec import Struct

MOST_SAID = 256
"""Messages of one SayAll."""


def _tag(name: str) -> str:
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("-")


class Value(Struct, frozen=True, kw_only=True, gc=False):
    """Base of what stands inside replies and events."""


class Tagged(Struct, frozen=True, kw_only=True, tag_field="type", tag=_tag, gc=False):
    """
    Base of commands, replies and events: each encodes with a "type", its class's name in kebab case.

    As values they are in no cycle, so the garbage collector need not look at them: a flood makes three for a message.
    """


class Person(Value, frozen=True, kw_only=True):
    """Somebody, as one's own peer knows them."""

    id: str
    """The whole id in its written form."""
    name: str
    """What one's own peer calls them: the contact's petname, or else the handle, which proves nothing."""
    handle: str = ""
    """What they call themselves."""
    display_name: str = ""
    """Free text of their own choice; raw."""
    standing: str = "new"
    """"new" (never met), "known" (met, or added), "verified", "blocked"."""
    contact: bool = False
    """Whether one's own person keeps them as a contact."""
    consent: str = "ask"
    """"ask" or "always": what happens when they ask to chat."""
    online: bool | None = None
    """What the server says; None if no server says anything."""
    last_known: bool = False
    """The addresses are from a record that was kept, while no server is there to confirm it."""
    addresses: tuple[str, ...] = ()
    """HOST:PORT as signed by them, then as observed by the server."""
    chat: str = "none"
    """"none", "asking" (we ask them), "asked" (they ask us), "open", "lost" (consent stands, no link now)."""
    path: str = ""
    """How the link goes: "direct" so far; empty without a link."""
    group: str = ""
    """The key agreement of the link, such as X25519MLKEM768."""
    scope: str = ""
    """The consent that the chat stands on: "once", "timed", "always"."""
    unsent: int = 0
    """Own messages to them that are not delivered."""


class ServerStatus(Value, frozen=True, kw_only=True):
    """One rendezvous server, as the peer sees it."""

    id: str
    address: str
    """HOST:PORT as joined."""
    state: str
    """"connecting", "online", "lost", "refused"."""
    reason: str = ""
    """Why it is lost or refused: a word of core.errors.EndCode, or one line."""
    observed: str = ""
    """The address from which the server sees us."""
    online: int = 0
    """Peers online there, oneself not counted."""
    trust: str = "pinned"
    """"pinned" or "certified"."""
    handle: str = ""
    """One's own handle there."""


class Finding(Value, frozen=True, kw_only=True):
    """One thing that a doctor looked at."""

    check: str
    """
    "server", "clock", "certificate", "listen", "reach", "dial", "paths", "post-quantum", "store", "disk", "state".
    """
    state: str
    """"ok", "warning", "failed", "unknown"."""
    text: str
    """What was found, one line."""
    fix: str = ""
    """What to do about it, one line; a command where there is one."""


class StoredLine(Value, frozen=True, kw_only=True):
    """One message as it lies in the store; text raw."""

    entry: int
    """Its place in the order of arrival, over all chats."""
    person: Person
    """With whom the chat is."""
    mine: bool
    author: str
    """Whose number it is: one's own name, or theirs."""
    number: int
    text: str
    kind: str
    at: int
    """The author's wall clock, ms since 1970."""
    arrived: int
    """When it was stored here, ms since 1970."""
    state: str = ""
    """
    Of one's own: "queued", "delivered", "seen", "refused", "taken back". Of theirs: "new" where neither a person nor a
    program has seen it yet; else empty. "deleted" where only ShowArrivals gives it.
    """
    history: bool = False
    """It was sent again on request."""


class UnseenChat(Value, frozen=True, kw_only=True):
    """What somebody said and nobody here has seen yet."""

    person: Person
    count: int
    entry: int
    """The `entry` of the newest."""


class KeptChat(Value, frozen=True, kw_only=True):
    """For how long what is said in one chat is kept."""

    person: Person
    days: int | None
    """None: for ever."""


class QueuedLine(Value, frozen=True, kw_only=True):
    """One of one's own messages that is not delivered."""

    person: Person
    number: int
    text: str
    at: int
    left: bool
    """Whether it may have left: then it cannot be taken back."""


class PendingRequest(Value, frozen=True, kw_only=True):
    """Somebody who waits for an answer."""

    kind: str
    """"asked": they want to chat, as in Asked. "answered": they answered at an address, as in Answered."""
    person: Person
    text: str = ""
    """Their one line; raw."""
    address: str = ""


class RoundTrip(Value, frozen=True, kw_only=True):
    """How long an answer took over one link."""

    person: Person | None = None
    """Who answered; None: a server."""
    server: str = ""
    """HOST:PORT as joined, of a server."""
    address: str = ""
    """The IP address at the other end of the link; empty without one."""
    path: str = ""
    """How the link goes, as `Person.path`."""
    milliseconds: float | None = None
    """None: no link, or no answer in time, from one of several servers."""


class CursorPlace(Value, frozen=True, kw_only=True):
    """How far a program is."""

    cursor: str
    entry: int
    """Up to this one it has dealt with everything."""
    person: Person | None = None
    """Of whose chat alone; None: of all."""


class DoubtRange(Value, frozen=True, kw_only=True):
    """Numbers of messages that may be missing since a database was lost."""

    person: Person
    mine: bool
    """One's own may be missing there; otherwise theirs here."""
    first: int
    last: int
    at: int
    """When it was noticed, ms since 1970."""
    here: bool = False
    """Theirs are here, and may be missing there: their history was reset."""
