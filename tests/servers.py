"""
Rendezvous servers and peers that talk to them, for tests.

`MemoryServer` is one on a Clock, with links over transports in memory. `start_server` starts a real one on a free
port of the loopback interface, inside the test's process and on the test's reactor. `Client` is the peer's end of a
link to either.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater
from twisted.test.iosim import FakeTransport, IOPump, connect
from twisted.trial.unittest import SynchronousTestCase, TestCase

from p2pchat.config import ServerSettings
from p2pchat.core.errors import HandshakeRefused
from p2pchat.core.identity import Domain, Identity, id_of, verify
from p2pchat.core.messages import (
    DIAL_BACK,
    VERSION,
    Address,
    Bye,
    Changes,
    Declined,
    Hello,
    Message,
    Register,
    Registered,
    RosterPage,
    ServerHello,
    Signed,
)
from p2pchat.core.records import make_record
from p2pchat.core.roster_view import RosterView
from p2pchat.core.session import Session
from p2pchat.core.states import Side
from p2pchat.net.certificates import own_credentials
from p2pchat.net.connection import Connection, Ending, LinkKeeper, Sweep
from p2pchat.net.dialler import Dialler, DiallerFactory
from p2pchat.net.incidents import IncidentLog
from p2pchat.net.tls import SERVER_PROTOCOL, Authenticated, ListenerTLS, PeerDiallerTLS, ServerDiallerTLS
from p2pchat.server.dial_back import DialBacks, Dials
from p2pchat.server.handles import HandleBook
from p2pchat.server.rendezvous import Rendezvous, RendezvousFactory
from p2pchat.server.service import RendezvousService
from p2pchat.storage.database import Database
from p2pchat.storage.executor import InlineExecutor
from p2pchat.storage.server_tables import SERVER_SCHEMA, ServerTables
from tests.rosters import HOME, identity

WALL = 1_790_000_000_000
"""A fixed time, in ms since 1970: September 2026."""

PATIENCE = 90.0
"""Seconds after which a test of a real server gives up; nothing is expected to take so long."""


class Client(LinkKeeper):
    """
    A peer's end of a link to a server: says hello, then what it is told to, and keeps what comes.

    It is a LinkKeeper of one link.
    """

    def __init__(self, peer: Identity, clock: Any, nonce: bytes = b"n" * 16, handle: str = "") -> None:
        self.peer = peer
        self.handle = handle or f"peer-{peer.id.hex()[:8]}"
        self.nonce = nonce
        self.features: tuple[str, ...] = (DIAL_BACK,)
        self.connection: Connection
        self.messages: list[Message] = []
        self.ending: Ending | None = None
        self.view: RosterView | None = None
        self.sweep = Sweep(clock)
        self._clock = clock

    # LinkKeeper

    def begin(self, connection: Connection, authenticated: Authenticated) -> Session:
        self.connection = connection
        hello = Hello(version=VERSION, handle=self.handle, nonce=self.nonce, store=b"s" * 16, features=self.features)
        return Session(Side.CLIENT, hello, self._clock.seconds())

    def received(self, connection: Connection, message: Message) -> None:
        self.messages.append(message)
        if isinstance(message, ServerHello):
            if not verify(message.key, Domain.SERVER, connection.authenticated.exporter, message.proof):
                raise HandshakeRefused("the server did not prove its key")
        elif isinstance(message, RosterPage | Changes) and self.view is not None:
            self.view.apply(message)

    def writable(self, connection: Connection) -> None:
        """Nothing waits."""

    def lost(self, connection: Connection, ending: Ending) -> None:
        self.ending = ending

    # for tests

    def hang(self) -> None:
        """Send no more pings."""
        self.sweep.remove(self.connection)

    def of(self, *kinds: type[Message]) -> list[Any]:
        """The messages of these classes that came."""
        return [message for message in self.messages if isinstance(message, kinds)]

    @property
    def hello(self) -> ServerHello:
        """What the server said first."""
        hello: ServerHello = self.of(ServerHello)[0]
        return hello

    @property
    def online(self) -> bool:
        """Whether the server said so, and the link stands."""
        return bool(self.of(Registered)) and self.ending is None and self.connection.alive

    @property
    def bye(self) -> str | None:
        """The code with which the server ended the link."""
        byes = self.of(Bye)
        return byes[0].code if byes else None

    @property
    def declined(self) -> list[str]:
        """The codes with which registrations were declined."""
        return [each.code for each in self.of(Declined)]

    def record(self, counter: int | None = None, addresses: tuple[Address, ...] = HOME) -> Signed:
        """A good record for this server."""
        server = id_of(self.hello.key)
        return make_record(self.peer, server, self.handle, "", addresses, counter or self.hello.time)

    def register(self, counter: int | None = None, addresses: tuple[Address, ...] = HOME) -> None:
        """Register with a good record."""
        self.connection.send(Register(record=self.record(counter, addresses)))

    def watch(self, everyone: bool = True, ids: tuple[bytes, ...] = ()) -> None:
        """Watch, with a new view."""
        self.view = RosterView(id_of(self.hello.key))
        self.connection.send(self.view.watch(everyone, ids))

    @property
    def seen(self) -> dict[bytes, int]:
        """Whom the view knows, under which counter."""
        assert self.view is not None, "watch first"
        return {row.id: row.body.counter for row in self.view.rows()}


class MemoryServer:
    """A rendezvous on a Clock."""

    def __init__(
        self,
        test: SynchronousTestCase,
        *,
        capacity: int = 100,
        everybody: bool = False,
        database: Any = None,
        dialler: Dials | None = None,
        wall: int = WALL,
    ) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.wall = wall
        self.identity = identity(10_000)
        self.database = database or open_database(test)
        self.handles = HandleBook(self.database, self.clock, lambda: self.wall)
        test.successResultOf(Deferred.fromCoroutine(self.handles.load()))
        self.incidents = IncidentLog(self.clock)
        credentials = own_credentials(self.identity.private_key, WALL)
        self.dial_backs = None if dialler is None else DialBacks(self.clock, dialler, PeerDiallerTLS(credentials))
        self.rendezvous = Rendezvous(
            self.clock,
            self.identity,
            self.handles,
            capacity=capacity,
            nonce=b"S" * 16,
            incidents=self.incidents,
            wall=lambda: self.wall,
            everybody=everybody,
            dial_backs=self.dial_backs,
        )
        self.sweep = Sweep(self.clock)
        self._factory = ListenerTLS(credentials, [SERVER_PROTOCOL]).wrap(
            RendezvousFactory(self.rendezvous, self.clock, self.sweep), self.clock
        )
        self._pumps: list[IOPump] = []

    def connect(
        self,
        peer: Identity,
        host: str = "10.0.0.5",
        *,
        own: str = "10.0.0.1",
        nonce: bytes = b"n" * 16,
        handle: str = "",
        registered: bool = False,
    ) -> Client:
        """A link from `host` to our address `own`, with its hellos said, and registered if so asked."""
        client = Client(peer, self.clock, nonce, handle)
        tls = ServerDiallerTLS(own_credentials(peer.private_key, WALL), "10.0.0.1")
        dialling = tls.wrap(DiallerFactory(client, self.clock, client.sweep), self.clock).buildProtocol(None)
        listening = self._factory.buildProtocol(None)
        kind = IPv6Address if ":" in host else IPv4Address
        here, there = kind("TCP", own, 8888), kind("TCP", host, 7777)
        self._pumps.append(
            connect(
                listening,
                FakeTransport(listening, isServer=True, hostAddress=here, peerAddress=there),
                dialling,
                FakeTransport(dialling, isServer=False, hostAddress=there, peerAddress=here),
                clock=self.clock,
            )
        )
        self.flush()
        if registered:
            client.register()
            self.flush()
        return client

    def flush(self) -> None:
        """Move all bytes, and let everything happen that waits for no or hardly any time."""
        for _ in range(3):
            for pump in self._pumps:
                pump.flush()
            self.clock.advance(0.001)

    def wait(self, seconds: float) -> None:
        """Let time pass, a second at a time."""
        while seconds > 0:
            self.clock.advance(min(1.0, seconds))
            self.wall += int(min(1.0, seconds) * 1000)
            seconds -= 1.0
            self.flush()

    def link_of(self, client: Client) -> Connection:
        """The server's end of a client's link."""
        [found] = [
            connection
            for connection in self.sweep.connections
            if connection.alive and connection.authenticated.key == client.peer.key
        ]
        return found

    def end(self, test: SynchronousTestCase) -> None:
        """Close in order; nothing is left behind on the clock."""
        closed = self.rendezvous.close()
        self.wait(7)
        test.successResultOf(closed)
        self.incidents.close()
        test.assertEqual(self.clock.getDelayedCalls(), [])


def open_database(test: SynchronousTestCase, path: str | None = None) -> Database[ServerTables]:
    """A server's database that does everything at once."""
    database = Database(Path(path or test.mktemp()), SERVER_SCHEMA, InlineExecutor())
    test.successResultOf(database.open())
    test.addCleanup(database.close)
    return database


def start_server(test: TestCase, reactor: Any, **settings: Any) -> Deferred[RendezvousService]:
    """A real server on the loopback interface, which ends with the test; fires when it is up."""
    state = settings.pop("state", None) or Path(test.mktemp())
    given = ServerSettings(**{"state": state, "port": 0, "interface": "127.0.0.1", **settings})
    service = RendezvousService(given, reactor, executor=InlineExecutor())
    service.startService()
    test.addCleanup(service.stopService)

    async def up() -> RendezvousService:
        await service.started
        return service

    return Deferred.fromCoroutine(up())


async def dial(test: TestCase, reactor: Any, server: RendezvousService, client: Client) -> Client:
    """Connect a client to a real server; returns when the server has said hello, or the link ended."""
    return await dial_port(test, reactor, server.port.address.port, client)


async def dial_port(test: TestCase, reactor: Any, port: int, client: Client) -> Client:
    """The same, to a server in another process."""
    tls = ServerDiallerTLS(own_credentials(client.peer.private_key, WALL), "127.0.0.1")
    connection = await Dialler(reactor, reactor, client.sweep, 0).dial("127.0.0.1", port, tls, client)
    test.addCleanup(ended, reactor, client, connection)
    await until(reactor, lambda: bool(client.of(ServerHello)) or client.ending is not None)
    return client


async def ended(reactor: Any, client: Client, connection: Connection) -> None:
    """End a client's link, whatever became of it."""
    if client.ending is None:
        connection.abort()
    await until(reactor, lambda: client.ending is not None)


async def until(reactor: Any, condition: Callable[[], bool]) -> None:
    """Wait for the world to become so."""
    end = reactor.seconds() + PATIENCE
    while not condition():
        assert reactor.seconds() < end, "waited in vain"
        await deferLater(reactor, 0.005)
