"""One link to another peer: who is there, what both sides consented to, and what it carries to the chat."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.defer import Deferred, succeed

from ..core.addresses import written
from ..core.errors import EndCode, HandshakeRefused
from ..core.identity import Identity, id_of
from ..core.messages import (
    VERSION,
    Accept,
    Address,
    Ask,
    Bye,
    Entry,
    Hello,
    Message,
    Ping,
    Pong,
    Reject,
    Select,
)
from ..core.session import Session
from ..core.states import Side, State
from ..core.trust import Scope
from ..net.connection import Connection, Ending
from ..net.tls import Authenticated
from .contact_changes import Met
from .round_trips import RoundTrips

MOST_WAITING = 256 * 1024
"""
Bytes that may wait for the reader of a chat before no more is given to it: with less, a batch of messages makes every
link look slow for a moment, and what is said then needs a second transaction before it may leave.
"""


@dataclass(frozen=True, slots=True)
class Intent:
    """Why we dialled."""

    wanted: bytes | None
    """The id that must answer; None where only an address was given."""
    address: Address
    """What was dialled."""
    text: str = ""
    """One line for the person there."""

    @property
    def written(self) -> str:
        """HOST:PORT that was dialled."""
        return written(self.address)


class Company(Protocol):
    """Who keeps all links; peer/links.py has the real one."""

    @property
    def identity(self) -> Identity:
        """Our own key."""

    def hello(self) -> Hello:
        """What we say first."""

    def seconds(self) -> float:
        """The monotonic clock."""

    def check(self, link: "Link", authenticated: Authenticated) -> None:
        """Raise HandshakeRefused if nobody may come like this."""

    def greeted(self, link: "Link") -> None:
        """The far side's hello came."""

    def answered(self, link: "Link", message: Message) -> None:
        """Ask, Accept or Select came."""

    def told(self, link: "Link", message: Message) -> None:
        """A message of a conversation came, or a roster record."""

    def said(self, link: "Link", entries: Sequence[Entry]) -> None:
        """Entries of a conversation came."""

    def writable(self, link: "Link") -> None:
        """The transport takes more again."""

    def ended(self, link: "Link", ending: Ending) -> None:
        """It is over; called once."""


class Link:
    """One link, from TCP to its end; the keeper of its Connection."""

    def __init__(self, company: Company, intent: Intent | None = None) -> None:
        self.intent = intent
        """None if they dialled us."""
        self.id = b""
        """Who is there, from the handshake on."""
        self.key = b""
        self.group = ""
        self.hybrid = False
        self.address = "" if intent is None else intent.written
        """HOST:PORT that we dialled; empty if they dialled us."""
        self.host = ""
        """The IP address of the far side."""
        self.hello: Hello | None = None
        self.asked: Ask | None = None
        self.their_scope: str = ""
        self.accepting = False
        """Whether we have decided to accept."""
        self.rejected = False
        """Whether the far side sent Reject, and no Bye."""
        self.settled: Deferred[None] = Deferred()
        """Fires when the far side's hello came, or the link is over."""
        self.waits_since = 0.0
        """When the last step towards an open link was made, in the clock's seconds."""
        self._greeted_at = 0.0
        self._probe: int | None = None
        """The number of a ping that `probe` sent, until it is answered."""
        self._company = company
        self._trips = RoundTrips(company.seconds)
        self._over = False
        self._connection: Connection | None = None
        self._session: Session | None = None

    # --- what a chat needs

    @property
    def alive(self) -> bool:
        """Whether it may be used."""
        return not self._over and self._connection is not None and self._connection.alive

    @property
    def congested(self) -> bool:
        """Whether what was sent waits for a slow reader."""
        return self._connection is not None and self._connection.congested

    @property
    def store(self) -> bytes:
        """The far side's store id."""
        return b"" if self.hello is None else self.hello.store

    @property
    def met(self) -> Met:
        """What is learnt of who is there."""
        return Met(self.key, "" if self.hello is None else self.hello.handle, self.hybrid)

    @property
    def state(self) -> State:
        """Where the link is in its life."""
        return State.GREETING if self._session is None else self._session.state

    @property
    def open(self) -> bool:
        """Whether both sides consented."""
        return self.alive and self.state in (State.OPEN, State.SELECTED)

    @property
    def undecided(self) -> bool:
        """Whether they came to us, and we have neither accepted nor refused."""
        return self.alive and self.intent is None and not self.accepting

    @property
    def leads(self) -> bool:
        """Whether the choice of the link is ours."""
        return self._company.identity.id < self.id

    def send(self, message: Message) -> None:
        """Send; nothing happens on a link that is over."""
        if self.alive and self._connection is not None:
            self._connection.send(message)

    def send_all(self, messages: Sequence[Message]) -> None:
        """Send messages of which none ends the link, all in one go."""
        if self.alive and self._connection is not None:
            self._connection.send_all(messages)

    def carry(self) -> None:
        """It carries the chat from now on: more may wait for its reader."""
        if self._connection is not None:
            self._connection.let_wait(MOST_WAITING)

    def took(self) -> None:
        """The far side told that it has some of what it was sent."""
        if self._connection is not None:
            self._connection.took()

    def charge(self) -> None:
        """Count a message that moved nothing; raises RemoteProtocolError beyond the rate."""
        if self._session is not None:
            self._session.charge(self._company.seconds())

    def fail(self, code: EndCode, detail: str) -> None:
        """End the link because a rule was broken."""
        if self._connection is not None:
            self._connection.fail(code, detail)

    def close(self, code: EndCode, detail: str = "") -> None:
        """End the link in order."""
        if self._connection is not None:
            self._connection.close(code, detail)

    def abort(self) -> None:
        """End the link at once."""
        if self._connection is not None:
            self._connection.abort()

    def silence(self) -> float:
        """Seconds since the far side was heard."""
        return 0.0 if self._session is None else self._session.silence(self._company.seconds())

    def lasted(self) -> float:
        """Seconds since the far side's hello came."""
        return self._company.seconds() - self._greeted_at

    def measure(self) -> "Deferred[float | None]":
        """How many seconds an answer takes; fires with None where the link is over, or ends before."""
        if not self.alive or self._session is None or self._connection is None or not self._session.may_send(Ping):
            return succeed(None)
        return self._trips.measure(self._connection.ping)

    def probe(self) -> None:
        """Ask whether the far side still has this link; `probed` tells whether it answered."""
        if self.alive and self._connection is not None:
            self._probe = self._connection.ping()

    @property
    def probed(self) -> bool:
        """Whether nothing that `probe` asked waits for its answer."""
        return self.alive and self._probe is None

    # --- consent

    def ask(self, text: str) -> None:
        """Ask to chat."""
        self.send(Ask(text=text))

    def accept(self, scope: Scope, seconds: int | None = None) -> None:
        """Consent to chat."""
        if self.alive and self._session is not None and self._session.may_send(Accept):
            self.waits_since = self._company.seconds()
            self.send(Accept(scope=scope.value, seconds=seconds if scope is Scope.TIMED else None))

    def reject(self, code: EndCode) -> None:
        """Refuse to chat, and end the link."""
        if self.alive and self._session is not None and self._session.may_send(Reject):
            self.send(Reject(code=code.value))
        self.close(code)

    # --- LinkKeeper

    def begin(self, connection: Connection, authenticated: Authenticated) -> Session:
        self._connection = connection
        self.id = id_of(authenticated.key)
        self.key = authenticated.key
        self.group = authenticated.group
        self.hybrid = authenticated.hybrid
        self.host = connection.peer_address.host
        if self.intent is not None and self.intent.wanted not in (None, self.id):
            raise HandshakeRefused("another key answers there")
        self._company.check(self, authenticated)
        side = Side.LEADER if self.leads else Side.FOLLOWER
        self._session = Session(side, self._company.hello(), self._company.seconds())
        return self._session

    def received(self, connection: Connection, message: Message) -> None:
        match message:
            case Hello():
                self.hello = message
                self.waits_since = self._greeted_at = self._company.seconds()
                if message.version < VERSION:
                    self.close(EndCode.VERSION)
                else:
                    self._company.greeted(self)
                self._settle()
            case Ask():
                self.asked = message
                self._company.answered(self, message)
            case Accept():
                self.their_scope = message.scope
                self._company.answered(self, message)
            case Select():
                self._company.answered(self, message)
            case Pong(number=number):
                if number == self._probe:
                    self._probe = None
                self._trips.answered(number)
            case Reject():
                self.rejected = True
                self._end(Ending(message.reason, True))
            case Bye():
                self._end(Ending(message.reason, True))
            case _:
                self._company.told(self, message)

    def entries(self, connection: Connection, entries: Sequence[Entry]) -> None:
        self._company.said(self, entries)

    def writable(self, connection: Connection) -> None:
        self._company.writable(self)

    def lost(self, connection: Connection, ending: Ending) -> None:
        self._end(ending)

    def _end(self, ending: Ending) -> None:
        """Tell that it is over: as soon as the far side said so, not when its socket is gone at last."""
        if not self._over:
            self._over = True
            self._trips.end()
            self._company.ended(self, ending)
            self._settle()

    def _settle(self) -> None:
        if not self.settled.called:
            self.settled.callback(None)
