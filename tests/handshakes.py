"""Two TLS ends joined in memory, for tests: what each learns of the other, and how it ends."""

from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport, IOPump, connect
from zope.interface import implementer

from p2pchat.core.errors import HandshakeRefused
from p2pchat.net.certificates import Credentials, own_credentials
from p2pchat.net.tls import PEER_PROTOCOL, Authenticated, ListenerTLS, PeerDiallerTLS, authenticate, refusal_of

WALL = 1_790_000_000_000
"""A fixed time, in ms since 1970: September 2026."""


@implementer(IHandshakeListener)
class Recorder(Protocol):
    """Does what a protocol on top of TLS has to do, and remembers what it saw."""

    def __init__(self) -> None:
        self.authenticated: Authenticated | None = None
        self.refused: HandshakeRefused | None = None
        self.received = b""
        self.lost: Failure | None = None

    def handshakeCompleted(self) -> None:
        try:
            self.authenticated = authenticate(self.transport)
        except HandshakeRefused as refusal:
            self.refused = refusal
            abort(self.transport)

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason
        self.refused = self.refused or refusal_of(reason)


def abort(transport: object) -> None:
    """End a connection, of TLS or of bare TCP, at once."""
    transport.abortConnection()  # type: ignore[attr-defined]


class Ends:
    """A dialling and a listening end over one connection in memory."""

    def __init__(
        self,
        dialler: Callable[[Factory, Clock], TLSMemoryBIOFactory],
        listener: Callable[[Factory, Clock], TLSMemoryBIOFactory],
    ) -> None:
        self.clock = Clock()
        self.dialling, self.listening = Recorder(), Recorder()
        dialling = dialler(Factory.forProtocol(lambda: self.dialling), self.clock).buildProtocol(None)
        listening = listener(Factory.forProtocol(lambda: self.listening), self.clock).buildProtocol(None)
        self.pump: IOPump = connect(
            listening,
            FakeTransport(listening, isServer=True),
            dialling,
            FakeTransport(dialling, isServer=False),
            clock=self.clock,
        )
        self.pump.flush()


def fresh_credentials() -> Credentials:
    """A new key with its certificate."""
    return own_credentials(Ed25519PrivateKey.generate(), WALL)


def peers(one: Credentials | None = None, other: Credentials | None = None) -> Ends:
    """Two peers: `one` dials `other`."""
    dialler = PeerDiallerTLS(one or fresh_credentials())
    listener = ListenerTLS(other or fresh_credentials(), [PEER_PROTOCOL])
    return Ends(dialler.wrap, listener.wrap)
