"""
Many peers in one process, for tests: real peers with real stores and real TLS, over wires in memory, on one Clock.

A `World` is the network. A `Node` is a peer at an address of it. Bytes move when the test says so, in an order that
it may choose; a wire may be cut, so that both ends hear nothing and are told nothing, as when a cable is pulled.
"""

import hashlib
from collections import deque
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, TimeoutError as NoAnswer
from twisted.internet.error import ConnectionDone, ConnectionLost, ConnectionRefusedError
from twisted.internet.interfaces import IProtocol, IProtocolFactory
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport
from twisted.trial.unittest import SynchronousTestCase

from p2pchat import api
from p2pchat.api import Command, Event, Reply
from p2pchat.config import PeerSettings
from p2pchat.core.identity import Identity, format_id, id_of
from p2pchat.core.messages import VERSION, Address, Hello
from p2pchat.core.session import Session
from p2pchat.core.states import Side
from p2pchat.core.trust import Policy, Scope
from p2pchat.net.certificates import own_credentials
from p2pchat.net.connection import Connection, LinkKeeper, Sweep
from p2pchat.net.dialler import DiallerFactory
from p2pchat.net.listener import ListenerFactory
from p2pchat.net.tls import PEER_PROTOCOL, Authenticated, ListenerTLS, PeerDiallerTLS, ServerDiallerTLS
from p2pchat.peer.commands import Commands
from p2pchat.peer.environment import Environment
from p2pchat.peer.examination import Examination
from p2pchat.peer.link import Link
from p2pchat.peer.notifying import Notifying
from p2pchat.peer.peer import Peer
from p2pchat.peer.programs import Programs
from p2pchat.storage.database import Database
from p2pchat.storage.executor import InlineExecutor
from p2pchat.storage.peer_tables import PEER_SCHEMA, PeerTables

WALL = 1_790_000_000_000
"""A fixed time, in ms since 1970: September 2026."""

PORT = 6666
"""Where every node listens."""

EventT = TypeVar("EventT", bound=Event)


def identity_of(name: str) -> Identity:
    """The same for the same name."""
    return Identity.from_seed(hashlib.sha256(name.encode()).digest())


def in_order(*names: str) -> list[Identity]:
    """Identities by these names, lowest id (who leads) first."""
    return sorted((identity_of(name) for name in names), key=lambda identity: identity.id)


class Plug(FakeTransport):
    """One end of a wire."""

    wire: "Wire"
    other: "Plug"
    gone = False

    def write(self, data: bytes) -> None:
        if not self.disconnecting:
            self.stream.append(data)

    def abortConnection(self) -> None:
        self.stream.clear()
        self.disconnecting = True
        self.wire.reset(self)

    def lost(self, reason: Exception) -> None:
        """Tell the protocol, once."""
        if not self.gone:
            self.gone = self.disconnecting = True
            self.stream.clear()
            self.protocol.connectionLost(Failure(reason))


class Wire:
    """A TCP connection."""

    def __init__(self, world: "World", dialling: IProtocol, listening: IProtocol, here: Any, there: Any) -> None:
        self.world = world
        self.cut = False
        """Nothing passes, and nobody is told."""
        self.dialling = Plug(dialling, False, here, there)
        self.listening = Plug(listening, True, there, here)
        self.dialling.other, self.listening.other = self.listening, self.dialling
        self.dialling.wire = self.listening.wire = self
        listening.makeConnection(self.listening)
        dialling.makeConnection(self.dialling)

    @property
    def over(self) -> bool:
        return self.dialling.gone and self.listening.gone

    def reset(self, plug: Plug) -> None:
        """One end aborts: it is told in the next turn, and so is the other, unless the wire is cut."""
        self.world.clock.callLater(0, plug.lost, ConnectionLost())
        if not self.cut:
            self.world.clock.callLater(0, plug.other.lost, ConnectionLost())

    def ready(self) -> list[Plug]:
        """The ends that have something to pass on."""
        if self.cut:
            return []
        return [
            plug
            for plug in (self.dialling, self.listening)
            if not plug.gone and (plug.stream or (plug.disconnecting and not plug.stream))
        ]

    def move(self, plug: Plug) -> None:
        """Pass on what an end has written, or that it is done."""
        data = b"".join(plug.stream)
        plug.stream.clear()
        if not data:
            plug.lost(ConnectionDone())
            plug.other.lost(ConnectionDone())
        elif not plug.other.gone:
            plug.other.protocol.dataReceived(data)


class MemoryDialler:
    """A node's dialler."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self.dialled: list[tuple[str, int]] = []
        """Every address that was dialled, in order."""

    async def dial(
        self, host: str, port: int, tls: PeerDiallerTLS | ServerDiallerTLS, keeper: LinkKeeper
    ) -> Connection:
        self.dialled.append((host, port))
        world, node = self._node.world, self._node
        if (host, port) in world.silent:
            await world.no_answer()
        listener = world.listeners.get((host, port))
        if listener is None:
            raise ConnectionRefusedError("nobody listens there")
        factory = tls.wrap(DiallerFactory(keeper, world.clock, node.sweep), world.clock)
        dialling, listening = factory.buildProtocol(None), listener.buildProtocol(None)  # type: ignore[arg-type]
        assert dialling is not None and listening is not None
        world.wire(dialling, listening, node.host, (host, port))
        connection = dialling.wrappedProtocol
        assert isinstance(connection, Connection)
        return connection


class World:
    """The network, and its time."""

    def __init__(self, test: SynchronousTestCase) -> None:
        self.test = test
        self.clock = Clock()
        self.clock.advance(1000)
        self.wall = WALL
        self.listeners: dict[tuple[str, int], IProtocolFactory] = {}
        self.silent: set[tuple[str, int]] = set()
        """Addresses that answer nobody."""
        self.wires: list[Wire] = []
        self.nodes: list[Node] = []
        self._port = 20_000

    def node(self, name: str | Identity, policy: Policy | None = Policy.ASK, **options: Any) -> "Node":
        """A peer at the next address, listening."""
        host = options.pop("host", f"10.0.0.{len(self.nodes) + 1}")
        identity = identity_of(name) if isinstance(name, str) else name
        handle = options.pop("handle", name if isinstance(name, str) else f"peer-{identity.id.hex()[:6]}")
        return Node(self, identity, handle, policy, host, **options)

    def wire(self, dialling: IProtocol, listening: IProtocol, host: str, there: tuple[str, int]) -> Wire:
        """Join two protocols."""
        self._port += 1
        kind = IPv6Address if ":" in host else IPv4Address
        wire = Wire(self, dialling, listening, kind("TCP", host, self._port), kind("TCP", *there))
        self.wires.append(wire)
        return wire

    async def no_answer(self) -> None:
        """What TCP does where nobody answers."""
        given_up: Deferred[None] = Deferred()
        timer = self.clock.callLater(10.0, given_up.errback, NoAnswer("no answer"))
        try:
            await given_up
        finally:
            if timer.active():
                timer.cancel()

    # --- time and bytes

    def settle(self, random: Random | None = None) -> None:
        """Move all bytes until nothing moves; with `random`, a piece at a time from wires drawn by it."""
        for _ in range(100_000):
            self.clock.advance(0)
            ready = [plug for wire in self.wires for plug in wire.ready()]
            if not ready:
                if not any(call.getTime() <= self.clock.seconds() for call in self.clock.getDelayedCalls()):
                    break
                continue
            plug = ready[0] if random is None else random.choice(ready)
            plug.wire.move(plug)
        else:
            raise AssertionError("the world does not come to rest")
        self.wires = [wire for wire in self.wires if not wire.over]

    def wait(self, seconds: float, step: float = 1.0) -> None:
        """Let time pass; nodes look around every second, as their services make them."""
        self.settle()
        while seconds > 1e-9:
            passed = min(step, seconds)
            self.clock.advance(passed)
            self.wall += int(passed * 1000)
            seconds -= passed
            for node in self.nodes:
                if node.running:
                    node.peer.look()
            self.settle()

    def cut(self, one: "Node", other: "Node") -> None:
        """Pull the cable between two nodes: their links are dead, and neither knows."""
        for wire in self.between(one, other):
            wire.cut = True

    def drop(self, one: "Node", other: "Node") -> None:
        """Break all connections between two nodes; both see it."""
        for wire in self.between(one, other):
            for plug in (wire.dialling, wire.listening):
                plug.lost(ConnectionLost())
        self.settle()

    def between(self, one: "Node", other: "Node") -> list[Wire]:
        """All connections of two nodes."""
        hosts = {one.host, other.host}
        return [
            wire
            for wire in self.wires
            if {wire.dialling.hostAddress.host, wire.listening.hostAddress.host} == hosts and not wire.over
        ]

    def end(self) -> None:
        """Stop everybody; nothing is left on the clock."""
        for node in self.nodes:
            node.stop()
        self.wait(12)
        self.test.assertEqual([node.handle for node in self.nodes if node.sweep.connections], [])
        for wire in self.wires:
            # What is left are ends of strangers whose cable was pulled.
            for plug in (wire.dialling, wire.listening):
                plug.lost(ConnectionLost())
        self.test.assertEqual(self.clock.getDelayedCalls(), [])


class Node:
    """A peer at an address."""

    def __init__(
        self,
        world: World,
        identity: Identity,
        handle: str,
        policy: Policy | None,
        host: str,
        *,
        database: Database[PeerTables] | None = None,
        nonce: bytes = b"",
        store: bytes = b"",
        listens: bool = True,
    ) -> None:
        self.world = world
        self.identity = identity
        self.handle = handle
        self.policy = policy
        self.host = host
        self.events: list[Event] = []
        self.heard = True
        """Whether a front end gets the events."""
        self.attended = False
        """Whether somebody is at a terminal that was attached."""
        self.running = True
        self.sweep = Sweep(world.clock)
        self.dialler = MemoryDialler(self)
        self.database = database or open_database(world.test)
        number = len(world.nodes) + 1
        self._random = Random(number)
        environment = Environment(
            identity=identity,
            database=self.database,
            clock=world.clock,
            wall=lambda: world.wall,
            random=self._random.randbytes,
            emit=self.events.append,
            heard=lambda: self.heard,
            attended=lambda: self.attended,
            store=store or identity.id[:16],
            nonce=nonce or number.to_bytes(16, "big"),
        )
        credentials = own_credentials(identity.private_key, WALL)
        self.tls = ListenerTLS(credentials, [PEER_PROTOCOL])
        self.credentials = credentials
        self.peer = Peer(environment, self.dialler, PeerDiallerTLS(credentials), policy, handle)  # type: ignore[arg-type]
        hooks, desktop = (Programs(world.clock, lambda line: None) for _ in range(2))  # type: ignore[arg-type]
        self.notifying = Notifying(environment, hooks, desktop)
        self.settings = PeerSettings(state=self.database.path.parent)
        self.examination = Examination(self.peer, self.settings)
        self.commands = Commands(self.peer, lambda: None, lambda: 0.0, self.notifying, self.examination)
        world.nodes.append(self)
        self.run(self.peer.people.load())
        if listens:
            self.listen()

    # --- life

    def listen(self) -> None:
        """Be there for whoever dials."""
        clock = self.world.clock
        factory = ListenerFactory(lambda: Connection(Link(self.peer.links), clock, self.sweep))
        self.world.listeners[self.host, PORT] = self.tls.wrap(factory, clock)
        self.peer.listens = [Address(host=self.host, port=PORT)]

    def leave(self) -> None:
        """Listen no longer."""
        self.world.listeners.pop((self.host, PORT), None)

    def stop(self) -> None:
        """End in order."""
        if self.running:
            self.running = False
            self.leave()
            self.peer.stop()
            self.world.settle()

    def crash(self) -> None:
        """Be gone, saying nothing; the kernel closes the sockets."""
        self.leave()
        self.running = False
        for wire in list(self.world.wires):
            if self.host in (wire.dialling.hostAddress.host, wire.listening.hostAddress.host):
                mine, theirs = wire.dialling, wire.listening
                if mine.hostAddress.host != self.host:
                    mine, theirs = theirs, mine
                mine.protocol.connectionLost = lambda reason=None: None
                mine.lost(ConnectionLost())
                if not wire.cut:
                    theirs.lost(ConnectionLost())
        for talk in self.peer.talks().values():
            talk.pursuit.stop()
        for connection in self.sweep.connections:
            self.sweep.remove(connection)
        self.peer._stopped = True

    def again(self, **options: Any) -> "Node":
        """The same peer, started again: the same key and store, a new process."""
        options = {"host": self.host, "database": self.database, "handle": self.handle, **options}
        node = self.world.node(self.identity, self.policy, **options)
        node.run(node.peer.resume())
        return node

    # --- what people do

    @property
    def id(self) -> bytes:
        return self.identity.id

    @property
    def written(self) -> str:
        """The id as text."""
        return format_id(self.identity.id)

    @property
    def address(self) -> str:
        """HOST:PORT to be dialled at."""
        return f"{self.host}:{PORT}"

    def run(self, coroutine: Any) -> Any:
        """The result of something that happens at once."""
        return self.world.test.successResultOf(Deferred.fromCoroutine(coroutine))

    def do(self, command: Command) -> Reply:
        """Execute a command, and let everything happen that follows."""
        reply: Reply = self.run(self.commands.execute(command))
        self.world.settle()
        return reply

    def refuse(self, command: Command, kind: type[Exception]) -> str:
        """A command that fails so; one line."""
        result = Deferred.fromCoroutine(self.commands.execute(command))
        error = self.world.test.failureResultOf(result, kind).value
        self.world.test.assertNotIn("\n", str(error))
        self.world.test.assertNotEqual(str(error), "")
        return str(error)

    def knows(self, other: "Node", name: str = "") -> None:
        """Keep somebody as a contact."""
        self.do(api.AddContact(id=other.written, name=name or other.handle))

    def dials(self, other: "Node", *, text: str = "", typed: bool = True) -> None:
        """Want to chat with somebody whose address is known; nothing moves yet."""
        typed_at = [Address(host=other.host, port=PORT)] if typed else []
        if self.peer.people.consent(other.id) is None:
            self.run(self.peer.people.grant(other.id, Scope.ONCE))
        self.run(self.peer.want(other.id, text, typed_at))

    def name_of(self, other: "Node") -> str:
        """What this peer calls another."""
        return self.peer.people.person(other.id).name

    def link_with(self, other: "Node") -> Link | None:
        """The link on which the chat with somebody goes."""
        talk = self.peer.talk(other.id)
        link = None if talk is None else talk.chat.link
        return link if isinstance(link, Link) else None

    def told(self, *kinds: type[EventT]) -> list[EventT]:
        """The events of these classes so far."""
        return [event for event in self.events if isinstance(event, kinds)]

    def texts(self) -> list[str]:
        """What others said."""
        return [event.text for event in self.told(api.Said)]


class Stranger(LinkKeeper):
    """A far side that says just what a test makes it say: the keeper of links that it dials, or that come to it."""

    def __init__(self, world: World, name: str | Identity, host: str = "10.9.9.9") -> None:
        self.world = world
        self.identity = identity_of(name) if isinstance(name, str) else name
        self.host = host
        self.sweep = Sweep(world.clock)
        self.hello = Hello(version=VERSION, handle="stranger", nonce=b"N" * 16, store=b"S" * 16)
        self.came: deque[Any] = deque()
        self.endings: list[Any] = []
        self.connection: Any = None
        self.connections: list[Connection] = []

    def dial(self, node: Node) -> "Stranger":
        """Connect, and say hello."""
        tls = PeerDiallerTLS(own_credentials(self.identity.private_key, WALL))
        factory = tls.wrap(DiallerFactory(self, self.world.clock, self.sweep), self.world.clock)
        dialling = factory.buildProtocol(None)
        listening = self.world.listeners[node.host, PORT].buildProtocol(None)  # type: ignore[arg-type]
        assert dialling is not None and listening is not None
        self.world.wire(dialling, listening, self.host, (node.host, PORT))
        self.connection = dialling.wrappedProtocol
        self.world.settle()
        return self

    def listen(self) -> "Stranger":
        """Be there for whoever dials; `connection` is the last that came."""
        tls = ListenerTLS(own_credentials(self.identity.private_key, WALL), [PEER_PROTOCOL])
        factory = ListenerFactory(lambda: Connection(self, self.world.clock, self.sweep))
        self.world.listeners[self.host, PORT] = tls.wrap(factory, self.world.clock)
        return self

    @property
    def address(self) -> Address:
        """Where it listens."""
        return Address(host=self.host, port=PORT)

    def begin(self, connection: Connection, authenticated: Authenticated) -> Session:
        self.connection = connection
        self.connections.append(connection)
        side = Side.LEADER if self.identity.id < id_of(authenticated.key) else Side.FOLLOWER
        return Session(side, self.hello, self.world.clock.seconds())

    def received(self, connection: Connection, message: Any) -> None:
        self.came.append(message)

    def writable(self, connection: Connection) -> None:
        """Nothing waits."""

    def lost(self, connection: Connection, ending: Any) -> None:
        self.endings.append(ending)

    def say(self, *messages: Any) -> None:
        """Send, and let everything happen that follows."""
        for message in messages:
            self.connection.send(message)
        self.world.settle()

    def of(self, kind: type[Any]) -> list[Any]:
        """What came of a class."""
        return [message for message in self.came if isinstance(message, kind)]

    @property
    def code(self) -> str | None:
        """With what the other ended the link."""
        return self.endings[-1].code.value if self.endings and self.endings[-1].by_them else None

    def hang_up(self) -> None:
        """Break the link."""
        self.connection.abort()
        self.world.settle()


class Mute:
    """A listener that takes connections and never says a word."""

    def buildProtocol(self, addr: object) -> Protocol:
        return Protocol()


def open_database(test: SynchronousTestCase, path: str | None = None) -> Database[PeerTables]:
    """A peer's database that does everything at once."""
    database = Database(Path(path or test.mktemp()), PEER_SCHEMA, InlineExecutor())
    test.successResultOf(database.open())
    test.addCleanup(database.close)
    return database


class WorldTests(SynchronousTestCase):
    """Base: a world, which ends with the test."""

    def setUp(self) -> None:
        self.world = World(self)
        self.addCleanup(self.world.end)
