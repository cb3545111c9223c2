"""Hosts on this machine that take links over real sockets, for tests of both ends of net."""

import socket
from typing import cast

from twisted.internet import reactor as _reactor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTCP, IReactorTime
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from p2pchat.core.identity import Identity
from p2pchat.core.messages import Message
from p2pchat.core.session import Session
from p2pchat.core.states import Side
from p2pchat.net.admission import Admission, AdmissionLimits, IPAddress
from p2pchat.net.certificates import Credentials, own_credentials
from p2pchat.net.connection import Connection, Ending, LinkKeeper, Sweep
from p2pchat.net.dialler import Dialler
from p2pchat.net.listener import ListenerFactory, listen
from p2pchat.net.tls import PEER_PROTOCOL, Authenticated, ListenerTLS, PeerDiallerTLS

from .examples import ALICE, BOB, HELLO, WALL

tcp = cast(IReactorTCP, _reactor)
clock = cast(IReactorTime, _reactor)


def credentials(identity: Identity) -> Credentials:
    """What somebody shows in TLS."""
    return own_credentials(identity.private_key, WALL)


def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::", 0))
        return int(probe.getsockname()[1])


async def turn() -> None:
    """Let the reactor go round."""
    await deferLater(clock, 0)


class LinkBook(LinkKeeper):
    """Keeps links, and tells when something came of each."""

    def __init__(self, side: Side) -> None:
        self.links: list[Connection] = []
        """Those that said hello, in that order."""
        self.messages: list[Message] = []
        self.endings: dict[Connection, Ending] = {}
        self._side = side
        self._waiting: list[tuple[int, int, int, Deferred[None]]] = []

    async def until(self, *, links: int = 0, endings: int = 0, messages: int = 0) -> None:
        """Wait until so many links said hello, so many are over, and so many messages came."""
        waiting: Deferred[None] = Deferred()
        self._waiting.append((links, endings, messages, waiting))
        self._check()
        await waiting

    def begin(self, connection: Connection, authenticated: Authenticated) -> Session:
        return Session(self._side, HELLO, clock.seconds())

    def received(self, connection: Connection, message: Message) -> None:
        if connection not in self.links:
            self.links.append(connection)
        self.messages.append(message)
        self._check()

    def writable(self, connection: Connection) -> None:
        pass

    def lost(self, connection: Connection, ending: Ending) -> None:
        self.endings[connection] = ending
        self._check()

    def _check(self) -> None:
        for wanted in list(self._waiting):
            links, endings, messages, waiting = wanted
            there = len(self.links), len(self.endings), len(self.messages)
            if all(count >= least for count, least in zip(there, (links, endings, messages), strict=True)):
                self._waiting.remove(wanted)
                waiting.callback(None)


class Host:
    """Bob's listening side."""

    def __init__(
        self,
        limits: AdmissionLimits | None = None,
        interface: str = "",
        port: int = 0,
        admitted: frozenset[str] | None = None,
    ) -> None:
        self.book = LinkBook(Side.FOLLOWER)
        self.sweep = Sweep(clock)

        def admits(address: IPAddress) -> bool:
            return admitted is None or str(address) in admitted

        self.admission = Admission(clock, limits or AdmissionLimits(1000), admits, lambda: 0.999_999)
        tls = ListenerTLS(credentials(BOB), [PEER_PROTOCOL])
        factory = ListenerFactory(lambda: Connection(self.book, clock, self.sweep))
        self.opened = listen(tcp, clock, factory, tls, self.admission, port, interface)
        address = self.opened.getHost()
        assert isinstance(address, IPv4Address | IPv6Address)
        self.port: int = address.port

    async def close(self) -> None:
        """Stop listening and end all links."""
        await maybeDeferred(self.opened.stopListening)
        await end(self.book, self.sweep)
        self.admission.close()


async def end(book: LinkBook, sweep: Sweep) -> None:
    """End all links at once."""
    for connection in sweep.connections:
        connection.abort()
    while sweep.connections:
        await book.until(endings=len(book.endings) + 1)


class LoopbackTestCase(TestCase):
    timeout = 120

    def setUp(self) -> None:
        self.dialled = LinkBook(Side.LEADER)
        self.sweep = Sweep(clock)
        self.tls = PeerDiallerTLS(credentials(ALICE))
        self.addCleanup(lambda: Deferred.fromCoroutine(end(self.dialled, self.sweep)))

    def host(
        self,
        limits: AdmissionLimits | None = None,
        interface: str = "",
        port: int = 0,
        admitted: frozenset[str] | None = None,
    ) -> Host:
        """A host that is closed at the end."""
        host = Host(limits, interface, port, admitted)
        self.addCleanup(lambda: Deferred.fromCoroutine(host.close()))
        return host

    def dialler(self, dial_port: int = 0) -> Dialler:
        """Dials from a port."""
        return Dialler(tcp, clock, self.sweep, dial_port)

    async def dial(self, dialler: Dialler, port: int, host: str = "127.0.0.1") -> Connection:
        """Dial and wait for both hellos."""
        connection = await dialler.dial(host, port, self.tls, self.dialled)
        await self.dialled.until(links=len(self.dialled.links) + (connection not in self.dialled.links))
        return connection

    async def raw(self, port: int, host: str = "127.0.0.1") -> socket.socket:
        """A TCP connection that says nothing."""
        stranger = socket.create_connection((host, port))
        self.addCleanup(stranger.close)
        stranger.setblocking(False)
        await turn()
        return stranger


async def closed(stranger: socket.socket) -> bytes:
    """Wait until the far side closed a raw connection; what it had said."""
    said = b""
    while True:
        try:
            data = stranger.recv(65_536)
        except BlockingIOError:
            await deferLater(clock, 0.005)
            continue
        except ConnectionError:
            return said
        if not data:
            return said
        said += data
