"""What a doctor looks at: facts about a peer, gathered by peer/examination.py and peer/checkup.py."""

from dataclasses import dataclass

from ..api.health import StoreFacts
from ..core.messages import Address, DialledBack


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """One server that was joined."""

    address: str
    """HOST:PORT as joined."""
    host: str
    port: int
    state: str
    """A value of server_link.ServerState; of a peer that does not run, whether the server answered."""
    reason: str = ""
    """Why it is not there: a word of core.errors.EndCode, or one line."""
    ahead: int | None = None
    """ms by which our wall clock is ahead of its; None if it told no time."""
    certified: bool = False
    """Whether a certificate of an authority is expected of it."""
    expires: int | None = None
    """The end of that certificate, ms since 1970."""
    group: str = ""
    """The key agreement of the link."""
    observed: Address | None = None
    """Where it sees us."""
    own: Address | None = None
    """Our end of the link."""
    local: bool = False
    """Whether it is on this very machine."""
    answers: bool = False
    """Whether it can be asked to dial us back."""
    dialled: DialledBack | None = None
    """What came of that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortFacts:
    """Where we listen, and from where we dial."""

    running: bool
    """Whether a peer runs; otherwise the ports were only tried."""
    listen_port: int
    """What was asked for; 0: any."""
    dial_port: int
    listens: tuple[Address, ...] = ()
    taken: frozenset[int] = frozenset()
    """Of the two, those that another process has, where no peer runs."""
    own: tuple[str, ...] = ()
    """The addresses of this machine."""
    firewall: str = ""
    """The tool that is there (`firewall.find_tool`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatFacts:
    """One open link."""

    name: str
    path: str
    group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All of it."""

    wall: int
    """Our wall clock, ms since 1970."""
    servers: tuple[ServerFacts, ...]
    ports: PortFacts
    store: StoreFacts
    chats: tuple[ChatFacts, ...] = ()
    openssl: str = ""
    """Which OpenSSL there is, as it names itself."""
