"""Two TLS ends joined in memory, for tests: what each learns of the other, and how it ends."""

import warnings
from collections.abc import Callable, Sequence

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from OpenSSL import SSL
from OpenSSL.crypto import FILETYPE_ASN1, load_certificate
from twisted.internet.interfaces import (
    IHandshakeListener,
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport, IOPump, connect
from zope.interface import implementer

from p2pchat.core.errors import HandshakeRefused
from p2pchat.net.certificates import Credentials, own_credentials
from p2pchat.net.tls import (
    PEER_PROTOCOL,
    Authenticated,
    ListenerTLS,
    PeerDiallerTLS,
    ServerDiallerTLS,
    authenticate,
    refusal_of,
)

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


class Stranger(Recorder):
    """The other end of what is tested: it believes everything."""

    def handshakeCompleted(self) -> None:
        pass


Wrap = Callable[[Factory, Clock], TLSMemoryBIOFactory]
"""Puts TLS around a factory, as the `wrap` of our policies does."""


class Ends:
    """A dialling and a listening end over one connection in memory."""

    def __init__(
        self,
        dialler: Wrap,
        listener: Wrap,
        dialling: Recorder | None = None,
        listening: Recorder | None = None,
    ) -> None:
        self.clock = Clock()
        self.dialling = dialling or Recorder()
        self.listening = listening or Recorder()
        below = dialler(Factory.forProtocol(lambda: self.dialling), self.clock).buildProtocol(None)
        above = listener(Factory.forProtocol(lambda: self.listening), self.clock).buildProtocol(None)
        ends = FakeTransport(above, isServer=True), FakeTransport(below, isServer=False)
        self.pump: IOPump = connect(above, ends[0], below, ends[1], clock=self.clock)
        self.pump.flush()


def fresh_credentials() -> Credentials:
    """A new key with its certificate."""
    return own_credentials(Ed25519PrivateKey.generate(), WALL)


def peers(one: Credentials | None = None, other: Credentials | None = None) -> Ends:
    """Two peers: `one` dials `other`."""
    dialler = PeerDiallerTLS(one or fresh_credentials())
    listener = ListenerTLS(other or fresh_credentials(), [PEER_PROTOCOL])
    return Ends(dialler.wrap, listener.wrap)


@implementer(IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator)
class StrangersTLS:
    """TLS as somebody else may speak it: `context` as it is, none of our policy."""

    def __init__(self, context: SSL.Context) -> None:
        self.context = context

    def clientConnectionForTLS(self, tlsProtocol: object) -> SSL.Connection:
        return SSL.Connection(self.context)

    def serverConnectionForTLS(self, tlsProtocol: object) -> SSL.Connection:
        return SSL.Connection(self.context)


def stranger_context(
    private_key: object = None,
    certificate: x509.Certificate | bytes | None = None,
    chain: Sequence[x509.Certificate] = (),
    protocol: bytes | None = PEER_PROTOCOL,
) -> SSL.Context:
    """
    A Context that shows what it is given (a certificate in DER may be one that cryptography does not read), wants
    nothing of the other side, and allows weak keys and every version that OpenSSL still has.
    """
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_cipher_list(b"ALL:@SECLEVEL=0")
    if isinstance(certificate, bytes):
        with warnings.catch_warnings():
            # pyOpenSSL would rather be given what cryptography has read.
            warnings.simplefilter("ignore", DeprecationWarning)
            context.use_certificate(load_certificate(FILETYPE_ASN1, certificate))
    elif certificate is not None:
        context.use_certificate(certificate)
    if private_key is not None:
        context.use_privatekey(private_key)  # type: ignore[arg-type]
    for link in chain:
        context.add_extra_chain_cert(link)
    if protocol is not None:
        context.set_alpn_protos([protocol])
        context.set_alpn_select_callback(lambda connection, offered: protocol)
    return context


def stranger_dials(context: SSL.Context, listener: ListenerTLS | None = None) -> Ends:
    """Somebody with `context` dials one of us."""
    listener = listener or ListenerTLS(fresh_credentials(), [PEER_PROTOCOL])
    return Ends(
        lambda factory, clock: TLSMemoryBIOFactory(StrangersTLS(context), True, factory, clock),
        listener.wrap,
        dialling=Stranger(),
    )


def stranger_listens(context: SSL.Context, dialler: PeerDiallerTLS | ServerDiallerTLS | None = None) -> Ends:
    """One of us dials somebody with `context`."""
    dialler = dialler or PeerDiallerTLS(fresh_credentials())
    return Ends(
        dialler.wrap,
        lambda factory, clock: TLSMemoryBIOFactory(StrangersTLS(context), False, factory, clock),
        listening=Stranger(),
    )
