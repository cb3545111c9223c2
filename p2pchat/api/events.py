"""What a peer tells its front ends and programs."""

from .values import Person, ServerStatus, Tagged


class ServerChanged(Tagged, frozen=True, kw_only=True):
    """A server was reached or lost, or refused us."""

    server: ServerStatus
    open_chats: int
    """Chats with a link, which go on without it."""


class PresenceChanged(Tagged, frozen=True, kw_only=True):
    """Somebody came online or left."""

    person: Person


class ContactChanged(Tagged, frozen=True, kw_only=True):
    """What the person decided about somebody has changed, at whatever terminal: verified, trusted, blocked, kept."""

    person: Person


class Asking(Tagged, frozen=True, kw_only=True):
    """We reached somebody and wait for their consent."""

    person: Person


class Answered(Tagged, frozen=True, kw_only=True):
    """
    Somebody answered at an address that was dialled without an id: the person must confirm that it is the right
    one.
    """

    person: Person
    address: str


class Asked(Tagged, frozen=True, kw_only=True):
    """Somebody wants to chat and waits for Accept or Reject."""

    person: Person
    text: str
    """Their one line; raw."""
    address: str
    """From where."""


class AskEnded(Tagged, frozen=True, kw_only=True):
    """A request that was shown is void: it expired, or who asked went away."""

    person: Person
    reason: str


class Opened(Tagged, frozen=True, kw_only=True):
    """A chat is open: both consented and there is a link. Told too when its person answers at an address typed."""

    person: Person
    again: bool
    """It was open before and only the link is new."""


class Ended(Tagged, frozen=True, kw_only=True):
    """A chat or an attempt at one is over: closed, rejected, refused, displaced; nobody dials by itself any more."""

    person: Person | None
    address: str
    """Where it was an attempt at an address."""
    reason: str
    """A word of core.errors.EndCode, or one line for a person."""


class Silent(Tagged, frozen=True, kw_only=True):
    """Nothing was heard from somebody, or the link is lost; what is not delivered waits."""

    person: Person
    seconds: int
    """Since when; 0 if the link was lost at once."""
    waiting: tuple[int, ...]
    """The first of one's own numbers that wait, at most 20."""
    total: int
    """How many wait in all."""


class Back(Tagged, frozen=True, kw_only=True):
    """Somebody who was silent is back."""

    person: Person


class Queued(Tagged, frozen=True, kw_only=True):
    """One's own message is on the disk."""

    person: Person
    author: str
    number: int
    text: str
    at: int
    """Wall clock, ms since 1970."""


class Delivered(Tagged, frozen=True, kw_only=True):
    """One's own messages are on the disk at the other side."""

    person: Person
    numbers: tuple[int, ...]
    at: int


class Seen(Tagged, frozen=True, kw_only=True):
    """One's own messages were displayed to the person there, or confirmed by a program."""

    person: Person
    numbers: tuple[int, ...]
    at: int


class NotDelivered(Tagged, frozen=True, kw_only=True):
    """The other side cannot take one of our messages, and why; it will not be sent again."""

    person: Person
    number: int
    reason: str


class Said(Tagged, frozen=True, kw_only=True):
    """A message from somebody, committed to the disk."""

    person: Person
    number: int
    text: str
    """Raw; empty for a kind that this version cannot show."""
    kind: str
    at: int
    """The author's wall clock, ms since 1970."""
    entry: int
    """Its place in the order of arrival, over all chats; what Displayed names."""
    history: bool = False
    """Sent again on request; programs that follow new messages skip it."""


class Notice(Tagged, frozen=True, kw_only=True):
    """
    A person should be told that something came for them which no terminal showed them in its chat: as often as
    they want that, and what came in a burst together.
    """

    person: Person
    what: str
    """"said", or "asked": a request to chat."""
    count: int
    """How many messages since the last notice about them."""
    text: str
    """The last of them; raw, and empty if the person wants no texts in notices."""
    terminal: str = "auto"
    """How a terminal is to tell it: "auto", "bell", "osc9", "osc777", "off"."""


class Doubt(Tagged, frozen=True, kw_only=True):
    """
    A database was lost or rolled back, here or there: these numbers may be missing there (mine) or here (theirs).

    With `here`, theirs are here, and missing there. Zeros: no numbers are known.
    """

    person: Person
    mine: bool
    first: int
    last: int
    explanation: str
    here: bool = False
    waits: bool = False
    """It is remembered until Resend (mine), FetchHistory (theirs) or LeaveIt."""
    at: int = 0
    """When it was noticed, ms since 1970."""


class TakenBack(Tagged, frozen=True, kw_only=True):
    """One's own message was cancelled before it left."""

    person: Person
    number: int


class HistoryFetched(Tagged, frozen=True, kw_only=True):
    """Older messages that were asked for have come, as far as the other side has them."""

    person: Person
    count: int
    """How many were new here."""
    complete: bool
    """Nothing was left out."""


class Displaced(Tagged, frozen=True, kw_only=True):
    """Another instance with our key came online; this one stopped, and its person must decide."""

    where: str


class Problem(Tagged, frozen=True, kw_only=True):
    """One line for the person: something needs attention."""

    text: str


class Missed(Tagged, frozen=True, kw_only=True):
    """
    Events were left out here, for this client of the local socket alone: it read too slowly for them.

    What was said is on the disk: ShowLines, Receive and ShowUnseen have it.
    """

    count: int


class Stopping(Tagged, frozen=True, kw_only=True):
    """The peer is ending."""

    reason: str = ""


Event = (
    ServerChanged
    | PresenceChanged
    | ContactChanged
    | Asking
    | Answered
    | Asked
    | AskEnded
    | Opened
    | Ended
    | Silent
    | Back
    | Queued
    | Delivered
    | Seen
    | NotDelivered
    | Said
    | Notice
    | Doubt
    | TakenBack
    | HistoryFetched
    | Displaced
    | Problem
    | Missed
    | Stopping
)
