"""
Dial-backs: a peer asks whether it can be reached, and the server knocks once at its door (`core.reach`).

The knock goes as far as a TLS handshake, which proves that it is this very peer who answers, and hangs up before
anything is said. How many there are is bounded in every way that somebody could abuse: for a peer, for the address that
it comes from, at a time, and in all.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectError, ConnectionRefusedError, TCPTimedOutError, TimeoutError
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from ..core.budget import Budget
from ..core.errors import HandshakeRefused
from ..core.identity import id_of
from ..core.messages import Address, Message
from ..core.reach import Outcome
from ..core.session import Session
from ..net.connection import Connection, Ending, LinkKeeper
from ..net.tls import Authenticated, PeerDiallerTLS, ServerDiallerTLS

WITHIN = 5.0
"""Seconds for TCP and TLS together: a firewall that drops is told from one that answers, and nobody waits long."""

PEER_RATE, PEER_BURST = 1 / 60, 3.0
"""Dial-backs a second of one peer, and how many at once: its person opens a firewall, and looks again."""

SOURCE_RATE, SOURCE_BURST = 0.2, 8.0
"""Dial-backs a second to one address, or network of IPv6, and how many at once: the peers of one host."""

RATE, BURST = 10.0, 50.0
"""Dial-backs a second in all, and how many at once."""

MOST_AT_ONCE = 16
"""Dial-backs under way: so many descriptors, and no more."""

MOST_REMEMBERED = 4096
"""Peers, and addresses, whose dial-backs are counted: as many as have room at a server. Others wait."""

KeyT = TypeVar("KeyT")


class Dials(Protocol):
    """Who opens connections: net.dialler.Dialler."""

    async def dial(
        self, host: str, port: int, tls: PeerDiallerTLS | ServerDiallerTLS, keeper: LinkKeeper
    ) -> Connection:
        """Connect; raises what Twisted's endpoints raise."""


class Paces(Generic[KeyT]):
    """A budget for each of many; those that are full again are forgotten."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._budgets: OrderedDict[KeyT, tuple[Budget, float]] = OrderedDict()
        """With when it was last touched, the oldest first."""

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._budgets)

    def spend(self, key: KeyT, now: float) -> bool:
        """Take one token of `key`; False if there is none."""
        while self._budgets and next(iter(self._budgets.values()))[1] <= now - self._burst / self._rate:
            self._budgets.popitem(last=False)
        if key not in self._budgets and len(self._budgets) >= MOST_REMEMBERED:
            return False
        budget, _ = self._budgets.get(key) or (Budget(self._rate, self._burst, now), now)
        self._budgets[key] = budget, now
        self._budgets.move_to_end(key)
        return budget.spend(now)


class DialBacks:
    """All dial-backs of a server; `tls` shows the server's own key."""

    def __init__(self, clock: IReactorTime, dialler: Dials, tls: PeerDiallerTLS) -> None:
        self._clock = clock
        self._dialler = dialler
        self._tls = tls
        self._budget = Budget(RATE, BURST, clock.seconds())
        self._peers: Paces[bytes] = Paces(PEER_RATE, PEER_BURST)
        self._sources: Paces[str] = Paces(SOURCE_RATE, SOURCE_BURST)
        self._knocks: set[_Knock] = set()

    def ask(self, peer: bytes, source: str, address: Address | None) -> Deferred[Outcome]:
        """Dial the peer with this id, who comes from `source`, at `address`, unless that was done too often."""
        if address is None:
            return succeed(Outcome.NOT_DIALLED)
        if not self._has_room(peer, source):
            return succeed(Outcome.LATER)
        knock = _Knock(self._clock, peer, self._knocks.discard)
        self._knocks.add(knock)
        knock.start(self._dialler, self._tls, address)
        return knock.outcome

    def close(self) -> None:
        """Give up what is under way."""
        for knock in tuple(self._knocks):
            knock.settle(Outcome.LATER)

    def _has_room(self, peer: bytes, source: str) -> bool:
        now = self._clock.seconds()
        if len(self._knocks) >= MOST_AT_ONCE:
            return False
        # What the narrower bounds refuse is taken from nobody else.
        return self._peers.spend(peer, now) and self._sources.spend(source, now) and self._budget.spend(now)


class _Knock(LinkKeeper):
    """One dial-back: the keeper of its connection, on which nothing is ever said."""

    def __init__(self, clock: IReactorTime, peer: bytes, over: Callable[["_Knock"], None]) -> None:
        self.outcome: Deferred[Outcome] = Deferred()
        self._clock = clock
        self._peer = peer
        self._over = over
        self._connection: Connection | None = None
        self._dial: Deferred[Connection] | None = None
        self._timer: IDelayedCall | None = None

    def start(self, dialler: Dials, tls: PeerDiallerTLS, address: Address) -> None:
        """Dial."""
        self._timer = self._clock.callLater(WITHIN, self._late)
        self._dial = Deferred.fromCoroutine(dialler.dial(address.host, address.port, tls, self))
        self._dial.addCallbacks(self._connected, self._not_connected)

    def settle(self, outcome: Outcome) -> None:
        """That is how it ended: nothing is left behind."""
        if self.outcome.called:
            return
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._over(self)
        self.outcome.callback(outcome)
        if self._connection is not None:
            self._connection.abort("looked who answers")
        elif self._dial is not None:
            self._dial.cancel()

    def _late(self) -> None:
        self.settle(Outcome.SILENT if self._connection is None else Outcome.OTHER)

    def _connected(self, connection: Connection) -> None:
        self._connection = connection
        if self.outcome.called:
            connection.abort("looked who answers")

    def _not_connected(self, failure: Failure) -> None:
        self.settle(_meaning(failure))

    # --- LinkKeeper

    def begin(self, connection: Connection, authenticated: Authenticated) -> Session:
        """The handshake is complete: that is all we wanted to know."""
        self._connection = connection
        self.settle(Outcome.REACHED if id_of(authenticated.key) == self._peer else Outcome.OTHER)
        raise HandshakeRefused("looked who answers")

    def received(self, connection: Connection, message: Message) -> None:
        """Nothing is read."""

    def writable(self, connection: Connection) -> None:
        """Nothing waits."""

    def lost(self, connection: Connection, ending: Ending) -> None:
        """It ended before the handshake did."""
        self.settle(Outcome.OTHER)


def _meaning(failure: Failure) -> Outcome:
    """What it means that TCP did not connect."""
    if failure.check(ConnectionRefusedError):
        return Outcome.REFUSED
    if failure.check(TimeoutError, TCPTimedOutError) or not failure.check(ConnectError):
        return Outcome.SILENT
    return Outcome.UNREACHABLE
