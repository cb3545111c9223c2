"""TCP options of links."""

import socket

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.interfaces import IProtocolFactory, ISystemHandle
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from p2pchat.net.certificates import own_credentials
from p2pchat.net.sockets import KEEP_COUNT, KEEP_IDLE, KEEP_INTERVAL, USER_TIMEOUT, set_high_water, set_link_options
from p2pchat.net.tls import PEER_PROTOCOL, ListenerTLS, PeerDiallerTLS

from .handshakes import WALL, abort


class Awaited(Protocol):
    """Tells when it is connected, with its transport, and when it is gone."""

    def __init__(self) -> None:
        self.made: Deferred[object] = Deferred()
        self.gone: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self.made.callback(self.transport)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.gone.callback(None)


@implementer(ISystemHandle)
class Held:
    """As much of a transport as has a handle."""

    def __init__(self, handle: socket.socket) -> None:
        self.handle = handle

    def getHandle(self) -> socket.socket:
        return self.handle


def options_of(handle: socket.socket) -> dict[int, int]:
    names = (
        socket.TCP_KEEPIDLE,
        socket.TCP_KEEPINTVL,
        socket.TCP_KEEPCNT,
        socket.TCP_USER_TIMEOUT,
    )
    return {name: handle.getsockopt(socket.IPPROTO_TCP, name) for name in names}


class LinkOptionTests(TestCase):
    async def connected(self, secure):
        """Both ends of a connection over loopback."""
        listening, dialling = Awaited(), Awaited()
        serve: IProtocolFactory = Factory.forProtocol(lambda: listening)
        dial: IProtocolFactory = Factory.forProtocol(lambda: dialling)
        if secure:
            credentials = own_credentials(Ed25519PrivateKey.generate(), WALL)
            serve = ListenerTLS(credentials, [PEER_PROTOCOL]).wrap(serve, reactor)
            dial = PeerDiallerTLS(credentials).wrap(dial, reactor)
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(serve)
        self.addCleanup(port.stopListening)
        await TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port).connect(dial)
        await listening.made
        self.addCleanup(gatherResults, [listening.gone, dialling.gone])
        self.addCleanup(abort, dialling.transport)
        return listening, dialling

    def check(self, handle: socket.socket) -> None:
        self.assertEqual(
            options_of(handle),
            {
                socket.TCP_KEEPIDLE: KEEP_IDLE,
                socket.TCP_KEEPINTVL: KEEP_INTERVAL,
                socket.TCP_KEEPCNT: KEEP_COUNT,
                socket.TCP_USER_TIMEOUT: USER_TIMEOUT,
            },
        )
        self.assertTrue(handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
        self.assertTrue(handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    async def test_bare(self):
        """A TCP transport has all options after the call, and had other ones before."""
        for end in await self.connected(secure=False):
            handle = end.transport.getHandle()
            self.assertNotEqual(options_of(handle)[socket.TCP_KEEPIDLE], KEEP_IDLE)
            set_link_options(end.transport)
            self.check(handle)

    async def test_under_tls(self):
        """The socket under a TLS transport is found."""
        for end in await self.connected(secure=True):
            set_link_options(end.transport)
            self.check(end.transport.transport.getHandle())

    async def test_high_water(self):
        """What may wait in a transport before it says that it is full is set below TLS."""
        for end in await self.connected(secure=True):
            tcp = end.transport.transport
            for size in (100_000, 300_000):
                set_high_water(end.transport, size)
                tcp.dataBuffer = bytes(200_000)
                self.assertEqual(tcp._isSendBufferFull(), size < 200_000)
            tcp.dataBuffer = b""
        set_high_water(StringTransport(), 1)
        set_high_water(None, 1)

    def test_closed_meanwhile(self) -> None:
        """A socket that is closed already is no error."""
        handle = socket.socket()
        handle.close()
        set_link_options(Held(handle))

    def test_no_socket(self) -> None:
        """Transports without a TCP socket are left alone."""
        with socket.socket(socket.AF_UNIX) as handle:
            set_link_options(Held(handle))
        set_link_options(StringTransport())
        set_link_options(None)
