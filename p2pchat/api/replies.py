"""What a peer answers to a command."""

from .values import (
    CursorPlace,
    DoubtRange,
    Finding,
    KeptChat,
    PendingRequest,
    Person,
    QueuedLine,
    RoundTrip,
    ServerStatus,
    StoredLine,
    Tagged,
    UnseenChat,
)


class Done(Tagged, frozen=True, kw_only=True):
    """It is done; nothing more to say."""


class People(Tagged, frozen=True, kw_only=True):
    """Some people."""

    people: tuple[Person, ...]


class Myself(Tagged, frozen=True, kw_only=True):
    """One's own peer."""

    id: str
    name: str
    listens: tuple[str, ...]
    """HOST:PORT where it listens for peers."""
    servers: tuple[ServerStatus, ...]


class Safety(Tagged, frozen=True, kw_only=True):
    """The safety number with somebody."""

    person: Person
    digits: str
    """60 digits in 12 groups."""
    verified: int | None = None
    """Since when they are known to be the same on both sides, ms since 1970; None if they are not."""


class Started(Tagged, frozen=True, kw_only=True):
    """It goes on; events tell what comes of it."""

    person: Person | None
    """None while it is not known who answers at an address."""
    address: str = ""
    unsaid: str = ""
    """The line that should have gone with the request; there was one before, or none is needed."""


class Accepted(Tagged, frozen=True, kw_only=True):
    """A message is on the disk and will be delivered."""

    person: Person
    author: str
    """One's own name."""
    number: int
    """What people see as alice#13."""


class AllAccepted(Tagged, frozen=True, kw_only=True):
    """Messages are on the disk and will be delivered; their numbers have no gaps."""

    person: Person
    author: str
    """One's own name."""
    first: int
    last: int


class PeerStatus(Tagged, frozen=True, kw_only=True):
    """How a peer is."""

    pid: int
    version: str
    myself: Myself
    chats: tuple[Person, ...]
    uptime: int
    """Seconds since it started."""
    requests: tuple[PendingRequest, ...] = ()
    """Those who wait for Accept, Confirm, Reject or Close."""
    python: str = ""
    """Which Python runs it, such as "Python 3.11.2"; empty from an older peer."""
    tls: str = ""
    """Which TLS library it uses, as that names itself; empty from an older peer."""


class Findings(Tagged, frozen=True, kw_only=True):
    """What a doctor found."""

    findings: tuple[Finding, ...]


class Lines(Tagged, frozen=True, kw_only=True):
    """Lines from the store."""

    lines: tuple[StoredLine, ...]
    more: bool
    """Whether there is another page."""


class Unseen(Tagged, frozen=True, kw_only=True):
    """Chats with lines that nobody here has seen yet."""

    chats: tuple[UnseenChat, ...]


class MessageTimes(Tagged, frozen=True, kw_only=True):
    """The life of one of one's own messages; times in ms since 1970, None for what has not happened."""

    person: Person
    author: str
    number: int
    text: str
    queued: int
    delivered: int | None
    seen: int | None
    refused: str = ""
    """Why the far side could not take it."""
    taken_back: bool = False


class Queue(Tagged, frozen=True, kw_only=True):
    """What waits, by person and number."""

    waiting: tuple[QueuedLine, ...]
    """The first 200."""
    total: int
    """How many there are in all."""


class Cursors(Tagged, frozen=True, kw_only=True):
    """The cursors of programs, by name."""

    cursors: tuple[CursorPlace, ...]


class Doubts(Tagged, frozen=True, kw_only=True):
    """What waits for a decision."""

    doubts: tuple[DoubtRange, ...]


class Resent(Tagged, frozen=True, kw_only=True):
    """How many messages are sent again."""

    count: int


class Retention(Tagged, frozen=True, kw_only=True):
    """For how many days what is said is kept; None: for ever."""

    days: int | None
    """In all chats without a setting of their own."""
    chats: tuple[KeptChat, ...]
    """Those with one."""


class Forgotten(Tagged, frozen=True, kw_only=True):
    """What was deleted, and what that cannot reach."""

    count: int
    waiting: int
    """Messages that stay until they are delivered; Forget again, or Cancel those that have not left."""
    out_of_reach: str
    """One line."""
    traces: str = ""
    """Where what was deleted lies still, one line; it is gone on with by itself, and by Forget. Empty: nowhere."""


class Notifications(Tagged, frozen=True, kw_only=True):
    """When and how the person is told of what they do not look at."""

    dnd: bool
    until: int | None
    """When `dnd` ends by itself, ms since 1970."""
    quiet: str
    """Hours of every day, such as 22:00-7:00; empty: none."""
    muted: tuple[Person, ...]
    """Those of whom nothing is told."""
    terminal: str
    desktop: bool
    text: bool
    hook: str


class RoundTrips(Tagged, frozen=True, kw_only=True):
    """How long answers took."""

    trips: tuple[RoundTrip, ...]


class Reconnecting(Tagged, frozen=True, kw_only=True):
    """Who is dialled now; events tell what comes of it. Nobody: there is nothing to dial."""

    servers: tuple[str, ...] = ()
    """HOST:PORT as joined."""
    people: tuple[Person, ...] = ()
    refusing: tuple[str, ...] = ()
    """Servers that refused us, and are asked again no sooner than before."""


Reply = (
    Done
    | People
    | Myself
    | Safety
    | Started
    | Accepted
    | AllAccepted
    | Cursors
    | PeerStatus
    | Findings
    | Lines
    | Unseen
    | MessageTimes
    | Queue
    | Doubts
    | Resent
    | Retention
    | Forgotten
    | Notifications
    | RoundTrips
    | Reconnecting
)
