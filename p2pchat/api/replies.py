"""What a peer answers to a command."""

from .values import Person, ServerStatus, Tagged


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


class Started(Tagged, frozen=True, kw_only=True):
    """It goes on; events tell what comes of it."""

    person: Person | None
    """None while it is not known who answers at an address."""
    address: str = ""


class Accepted(Tagged, frozen=True, kw_only=True):
    """A message is on the disk and will be delivered."""

    person: Person
    author: str
    """One's own name."""
    number: int
    """What people see as alice#13."""


class PeerStatus(Tagged, frozen=True, kw_only=True):
    """How a peer is."""

    pid: int
    version: str
    myself: Myself
    chats: tuple[Person, ...]
    uptime: int
    """Seconds since it started."""


Reply = Done | People | Myself | Safety | Started | Accepted | PeerStatus
