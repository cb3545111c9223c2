"""
The one Protocol for links: it joins a Session, a transport and a clock, and decides nothing.

A link begins when its TLS handshake is complete, never before: `connectionMade` comes too early to believe anything.
From then on bytes go to the Session, the messages that it gives go to the keeper, and what it has to send goes out.
However a link ends, the keeper is told once, and the socket is gone within a bounded time whatever the other side
does: Twisted's `loseConnection` alone waits for ever for a far side that does not answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol as Interface

from twisted.internet.interfaces import IDelayedCall, IHandshakeListener, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from ..core.addresses import unmap
from ..core.errors import EndCode, HandshakeRefused, RemoteProtocolError
from ..core.messages import Address, Bye, Entry, Hello, Message, Reject, ServerHello
from ..core.session import HELLO_WITHIN, Session
from ..core.states import State
from .admission import promote, report
from .records import IMetered
from .sockets import set_high_water, set_link_options
from .tls import Authenticated, authenticate, words_of

POLITE_WITHIN = 5.0
"""Seconds for a far side to answer our close before we abort."""

VIOLATION_WITHIN = 1.0
"""Seconds for the code of a violation to leave before we abort."""

PROGRESS_WITHIN = 60.0
"""Seconds in which a slow reader takes all that waits for it (Twisted tells of no less), or tells that it has some."""

MOST_PILED = 1024 * 1024
"""Bytes that may be written to a reader that takes nothing: who makes us answer must read the answers (G10)."""

SWEEP_EVERY = 1.0
"""Seconds between two looks at all links: one timer for all of them."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a link ended."""

    code: EndCode
    """What was said; UNKNOWN if nobody said anything."""
    by_them: bool
    """Whether the far side said it."""
    detail: str = ""
    """One line for the log; text that TLS or the network gave."""


class LinkKeeper(Interface):
    """Who owns links: what a Connection tells, and the order in which it does."""

    def begin(self, connection: "Connection", authenticated: Authenticated) -> Session:
        """
        The handshake is complete: check who it is, and give the Session to run.

        Raises HandshakeRefused, and the link is aborted in silence.
        """

    def received(self, connection: "Connection", message: Message) -> None:
        """A message that the state allows; raises RemoteProtocolError if its content is not allowed."""

    def entries(self, connection: "Connection", entries: Sequence[Entry]) -> None:
        """Entries that came together, in their order; otherwise like `received`."""
        for entry in entries:
            self.received(connection, entry)

    def writable(self, connection: "Connection") -> None:
        """The transport takes more again, after `connection.congested` was true."""

    def lost(self, connection: "Connection", ending: Ending) -> None:
        """The link is over; called once, also for one that never began."""


class Sweep:
    """One timer that looks after all links of a process."""

    log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        # A dict keeps its order, so that a simulation runs the same each time.
        self._connections: dict[Connection, None] = {}
        self._timer: IDelayedCall | None = None

    def add(self, connection: "Connection") -> None:
        """Look after `connection` from now on."""
        self._connections[connection] = None
        self._schedule()

    def remove(self, connection: "Connection") -> None:
        """Look after it no longer; the timer ends with the last one."""
        self._connections.pop(connection, None)
        if not self._connections and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self) -> None:
        if self._timer is None:
            self._timer = self._clock.callLater(SWEEP_EVERY, self._look)

    def _look(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        for connection in list(self._connections):
            # An earlier one may have ended a later one.
            if connection in self._connections:
                self._look_at(connection, now)
        if self._connections:
            self._schedule()

    def _look_at(self, connection: "Connection", now: float) -> None:
        try:
            connection.look(now)
        except Exception:
            # A bug, but the others hang on this timer as well.
            self.log.failure("Looking after a link failed; it is aborted")
            connection.abort("a bug of ours")

    @property
    def connections(self) -> frozenset["Connection"]:
        """Every link that is not over."""
        return frozenset(self._connections)


@implementer(IHandshakeListener, IPushProducer, IMetered)
class Connection(Protocol):
    """One link: `session` and `authenticated` are there from the keeper's `begin` on."""

    log = Logger()

    session: Session
    authenticated: Authenticated

    def __init__(self, keeper: LinkKeeper, clock: IReactorTime, sweep: Sweep) -> None:
        self.carried = 0
        """Bytes that TLS gave us."""
        self._keeper = keeper
        self._clock = clock
        self._sweep = sweep
        self._begun = False
        self._gone = False
        self._ending: Ending | None = None
        self._deadline: IDelayedCall | None = None
        self._paused_at: float | None = None
        self._piled = 0

    # --- for the keeper

    @property
    def congested(self) -> bool:
        """Whether what was sent waits for a slow reader; `keeper.writable` tells when it no longer does."""
        return self._paused_at is not None

    def let_wait(self, size: int) -> None:
        """Be `congested` only when more than so many bytes wait for the reader."""
        set_high_water(self.transport, size)

    def took(self) -> None:
        """The reader told that it has some of what it was sent: it makes progress, though something always waits."""
        if self._paused_at is not None:
            self._paused_at = self._clock.seconds()

    @property
    def peer_address(self) -> Address:
        """The IP address and port of the far side, an IPv4-mapped one unmapped."""
        peer = self._tls.getPeer()
        return Address(host=unmap(peer.host), port=peer.port)

    @property
    def own_address(self) -> Address:
        """The IP address and port of our side."""
        host = self._tls.getHost()
        return Address(host=unmap(host.host), port=host.port)

    @property
    def alive(self) -> bool:
        """Whether the link has begun and nobody has ended it."""
        return self._begun and self._ending is None

    def send(self, message: Message) -> None:
        """
        Send a message, and end the link after one that ends it; nothing happens on a link that is over.

        Raises LocalProtocolError if the state does not allow it.
        """
        if self.alive:
            self.session.send(message, self._clock.seconds())
            self._flush()
            if isinstance(message, Bye | Reject):
                self._end(Ending(message.reason, False), POLITE_WITHIN)

    def send_all(self, messages: Sequence[Message]) -> None:
        """
        Send entries, and what belongs to them, all in one go; otherwise like `send`.

        They do not count as what piles up: a reader gets no more of them than its window has room for, in one go, and
        whoever sends them waits while the link is congested.
        """
        if self.alive:
            self.session.send_all(messages, self._clock.seconds())
            self._write()

    def ping(self) -> int:
        """Ask for a Pong, which `keeper.received` gets, and give its number. The link must be alive."""
        number = self.session.ping(self._clock.seconds())
        self._flush()
        return number

    def send_encoded(self, kind: type[Message], frame: bytes) -> None:
        """Send a frame that was encoded once for many links."""
        if self.alive:
            self.session.send_encoded(kind, frame, self._clock.seconds())
            self._flush()

    def close(self, code: EndCode, detail: str = "") -> None:
        """End the link in order: say why, close TLS, and abort if the far side does not follow."""
        self._end(Ending(code, False, detail), POLITE_WITHIN)

    def fail(self, code: EndCode, detail: str = "") -> None:
        """End the link after a violation: abort before hello, otherwise say the code and abort soon."""
        if self._ending is not None:
            return
        if not report(self.transport, f"broke a rule: {code.value}"):
            self.log.info("A link broke a rule: {code}, {detail!r}", code=code.value, detail=detail)
        ending = Ending(code, False, detail)
        if self._begun and self.session.state is not State.GREETING:
            self._end(ending, VIOLATION_WITHIN)
        else:
            self._ending = ending
            self._abort()

    def abort(self, detail: str = "") -> None:
        """End the link at once and say nothing."""
        if self._ending is None:
            self._ending = Ending(EndCode.UNKNOWN, False, detail)
        self._abort()

    # --- IProtocol, IHandshakeListener

    def connectionMade(self) -> None:
        self._sweep.add(self)
        # A session counts from its own beginning, which a far side that never finishes TLS does not reach.
        self._deadline = self._clock.callLater(HELLO_WITHIN, self._expire)
        set_link_options(self.transport)

    def handshakeCompleted(self) -> None:
        if self._ending is not None:
            return
        try:
            self.authenticated = authenticate(self.transport)
            self.session = self._keeper.begin(self, self.authenticated)
        except HandshakeRefused as refusal:
            self.abort(str(refusal))
            return
        self._begun = True
        self._tls.registerProducer(self, True)
        self._flush()

    def dataReceived(self, data: bytes) -> None:
        self.carried += len(data)
        if not self.alive:
            return
        try:
            for message in self.session.receive(data, self._clock.seconds()):
                if isinstance(message, list):
                    self._keeper.entries(self, message)
                else:
                    self._handle(message)
                if not self.alive:
                    return
        except RemoteProtocolError as error:
            self.fail(error.code, str(error))
            return
        self._flush()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._gone = True
        self._cancel_deadline()
        self._sweep.remove(self)
        if self._ending is None:
            self._ending = Ending(EndCode.UNKNOWN, False, words_of(reason))
        self._begun = False
        self._keeper.lost(self, self._ending)

    def flooded(self) -> None:
        """TLS reads no more: IMetered."""
        self.fail(EndCode.RATE, "TLS records that carry nothing")

    # --- IPushProducer: the transport's buffer is full, or has room again

    def pauseProducing(self) -> None:
        if self._paused_at is None:
            self._paused_at = self._clock.seconds()

    def resumeProducing(self) -> None:
        self._paused_at = None
        self._piled = 0  # all of it was taken
        if self.alive:
            self._keeper.writable(self)

    def stopProducing(self) -> None:
        """The transport is lost; connectionLost tells."""

    # --- the sweep

    def look(self, now: float) -> None:
        """What time asks for: ping, or give up."""
        if self._ending is not None:
            return
        if self._paused_at is not None and now >= self._paused_at + PROGRESS_WITHIN:
            self._ending = Ending(EndCode.TIMEOUT, False, "the reader made no progress")
            self._abort()
        elif self.alive and now >= self.session.next_timer():
            try:
                self.session.handle_timer(now)
            except RemoteProtocolError as error:
                self.fail(error.code, str(error))
            else:
                self._flush()

    # --- inside

    @property
    def _tls(self) -> TLSMemoryBIOProtocol:
        assert isinstance(self.transport, TLSMemoryBIOProtocol)
        return self.transport

    def _handle(self, message: Message) -> None:
        match message:
            case Bye() | Reject():
                self._keeper.received(self, message)
                self._end(Ending(message.reason, True), POLITE_WITHIN)
            case Hello() | ServerHello():
                self._cancel_deadline()
                promote(self.transport)
                self._keeper.received(self, message)
            case _:
                self._keeper.received(self, message)

    def _flush(self) -> None:
        written = self._write()
        self._piled = self._piled + written if self.congested else 0
        if self._piled > MOST_PILED:
            self.abort("the reader does not take what it asks for")

    def _write(self) -> int:
        """Give the transport what the session has to send; how many bytes that were."""
        data = self.session.data_to_send()
        if data:
            self._tls.write(data)
        return len(data)

    def _end(self, ending: Ending, within: float) -> None:
        if self._ending is not None:
            return
        self._ending = ending
        if not self._begun or (self.session.state is State.GREETING and not self.session.may_send(Bye)):
            self._abort()
            return
        self.session.close(ending.code, self._clock.seconds())
        self._flush()
        self._cancel_deadline()
        self._deadline = self._clock.callLater(within, self._expire)
        # A transport with a producer never closes.
        self._tls.unregisterProducer()
        self._paused_at = None
        self._tls.loseConnection()

    def _expire(self) -> None:
        """The hello did not come in time, or the end of the far side after ours."""
        self._deadline = None
        if self._ending is None:
            self._ending = Ending(EndCode.TIMEOUT, False, "no hello in time")
        self._abort()

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _abort(self) -> None:
        # TLS has forgotten everything once the connection is lost, and would fail.
        if not self._gone:
            self._cancel_deadline()
            self._tls.abortConnection()
