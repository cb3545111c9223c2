"""Dial-backs at a server: who is dialled where, how it ends, and what nobody can make the server do."""

from types import SimpleNamespace
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError, NoRouteError, TCPTimedOutError, TimeoutError
from twisted.internet.protocol import ServerFactory
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.messages import DIAL_BACK, Address, DialBack, DialledBack
from p2pchat.core.reach import Outcome
from p2pchat.net.certificates import own_credentials
from p2pchat.net.connection import Sweep
from p2pchat.net.tls import PeerDiallerTLS
from p2pchat.server import dial_back
from p2pchat.server.dial_back import (
    BURST,
    MOST_AT_ONCE,
    PEER_BURST,
    PEER_RATE,
    SOURCE_BURST,
    WITHIN,
    DialBacks,
)
from tests.company import PORT, WALL, MemoryDialler, Mute, Node, Stranger, World, WorldTests, identity_of
from tests.rosters import identity
from tests.servers import Client, MemoryServer

LAB = identity_of("the server")
HOME = Address(host="10.0.0.5", port=PORT)


class Waiting:
    """A dialler whose dials end when the test says so."""

    def __init__(self) -> None:
        self.dials: list[tuple[str, int, Deferred[Any]]] = []
        self.given_up = 0

    async def dial(self, host: str, port: int, tls: object, keeper: object) -> Any:
        """Note it, and wait."""
        ends: Deferred[Any] = Deferred(lambda _: self._cancelled())
        self.dials.append((host, port, ends))
        return await ends

    def _cancelled(self) -> None:
        self.given_up += 1

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """What was dialled, in order."""
        return [(host, port) for host, port, _ in self.dials]

    def fail(self, error: Exception) -> None:
        """The last dial ends so."""
        self.dials[-1][2].errback(error)


def dial_backs(world: World, dialler: Any) -> DialBacks:
    """A server's, with time as in the world."""
    tls = PeerDiallerTLS(own_credentials(LAB.private_key, WALL))
    return DialBacks(world.clock, dialler, tls)


def far_away(world: World) -> MemoryDialler:
    """A dialler that stands at an address of its own."""
    return MemoryDialler(cast(Node, SimpleNamespace(world=world, sweep=Sweep(world.clock), host="10.0.1.1")))


class WhoAnswersTests(WorldTests):
    """With real TLS."""

    def setUp(self) -> None:
        super().setUp()
        self.dial_backs = dial_backs(self.world, far_away(self.world))

    def ask(self, peer: bytes, host: str) -> Outcome:
        """Dial back, and what came of it."""
        found = self.dial_backs.ask(peer, host, Address(host=host, port=PORT))
        self.world.settle()
        return self.successResultOf(found)

    def test_reached(self) -> None:
        """The peer answers and proves its key; it takes no notice, and no connection is left."""
        alice = self.world.node("alice")
        self.assertIs(self.ask(alice.id, alice.host), Outcome.REACHED)
        self.world.wait(1)
        self.assertEqual((alice.sweep.connections, self.world.wires), (frozenset(), []))
        self.assertEqual(alice.events, [])

    def test_another_key(self) -> None:
        """Another peer at that address is not taken for this one."""
        bob = self.world.node("bob")
        self.assertIs(self.ask(identity_of("alice").id, bob.host), Outcome.OTHER)

    def test_refused(self) -> None:
        """Nobody listens there."""
        self.assertIs(self.ask(LAB.id, "10.0.0.77"), Outcome.REFUSED)

    def test_no_tls(self) -> None:
        """Something that takes connections and says nothing is something else, after a few seconds."""
        self.world.listeners["10.0.0.5", PORT] = cast(ServerFactory, Mute())
        found = self.dial_backs.ask(LAB.id, "10.0.0.5", HOME)
        self.world.wait(WITHIN - 1)
        self.assertNoResult(found)
        self.world.wait(2)
        self.assertIs(self.successResultOf(found), Outcome.OTHER)
        self.assertEqual(self.world.wires, [])

    def test_nothing_is_said(self) -> None:
        """Whoever answers hears no word: to them it is a connection that broke off."""
        stranger = Stranger(self.world, "mallory", "10.0.0.5").listen()
        self.assertIs(self.ask(LAB.id, "10.0.0.5"), Outcome.OTHER)
        self.world.wait(1)
        self.assertEqual((list(stranger.came), stranger.sweep.connections), ([], frozenset()))

    def test_no_answer(self) -> None:
        """Where nothing answers at all the dial is given up in time."""
        self.world.silent.add(("10.0.0.5", PORT))
        found = self.dial_backs.ask(LAB.id, "10.0.0.5", HOME)
        self.world.wait(WITHIN + 1)
        self.assertIs(self.successResultOf(found), Outcome.SILENT)
        self.assertEqual(self.world.clock.getDelayedCalls(), [])


class WaitingTests(WorldTests):
    """Base: dials end when the test says so."""

    def setUp(self) -> None:
        super().setUp()
        self.dialler = Waiting()
        self.dial_backs = dial_backs(self.world, self.dialler)


class EndTests(WaitingTests):
    """What the end of a dial means."""

    def test_errors(self) -> None:
        """Each error of the network is one word."""
        for number, (error, outcome) in enumerate(
            (
                (ConnectionRefusedError(), Outcome.REFUSED),
                (NoRouteError(), Outcome.UNREACHABLE),
                (TimeoutError(), Outcome.SILENT),
                (TCPTimedOutError(), Outcome.SILENT),
            )
        ):
            found = self.dial_backs.ask(identity(number).id, "10.0.0.5", HOME)
            self.assertNoResult(found)
            self.dialler.fail(error)
            self.assertIs(self.successResultOf(found), outcome)
        self.assertEqual(self.world.clock.getDelayedCalls(), [])

    def test_given_up(self) -> None:
        """A dial that lasts too long is cancelled."""
        found = self.dial_backs.ask(identity(0).id, "10.0.0.5", HOME)
        self.world.wait(WITHIN + 0.1)
        self.assertIs(self.successResultOf(found), Outcome.SILENT)
        self.assertEqual(self.dialler.given_up, 1)

    def test_nowhere_to_dial(self) -> None:
        """Where the rules leave no address nothing is dialled, and nothing is counted."""
        for _ in range(100):
            found = self.dial_backs.ask(identity(0).id, "10.0.0.5", None)
            self.assertIs(self.successResultOf(found), Outcome.NOT_DIALLED)
        self.assertEqual(self.dialler.addresses, [])

    def test_close(self) -> None:
        """At the end everything under way is given up."""
        found = self.dial_backs.ask(identity(0).id, "10.0.0.5", HOME)
        self.dial_backs.close()
        self.assertIs(self.successResultOf(found), Outcome.LATER)
        self.assertEqual((self.dialler.given_up, self.world.clock.getDelayedCalls()), (1, []))


class BoundTests(WaitingTests):
    """What nobody can make the server do."""

    def outcomes(self, *asked: tuple[int, str]) -> list[Outcome]:
        """Ask for (peer, source) one after the other; each dial that begins is refused at once."""
        found = []
        for number, source in asked:
            answer = self.dial_backs.ask(identity(number).id, source, HOME)
            if not answer.called:
                self.dialler.fail(ConnectionRefusedError())
            found.append(self.successResultOf(answer))
        return found

    def test_one_peer(self) -> None:
        """A peer that asks a thousand times is dialled three times, then once a minute, and harms no other there."""
        found = self.outcomes(*[(0, "10.0.0.5")] * 1000)
        self.assertEqual(found[:4], [Outcome.REFUSED] * 3 + [Outcome.LATER])
        self.assertEqual(found.count(Outcome.REFUSED), PEER_BURST)
        self.assertEqual(self.outcomes((1, "10.0.0.5")), [Outcome.REFUSED])
        self.world.wait(1 / PEER_RATE + 1)
        self.assertEqual(self.outcomes((0, "10.0.0.5"), (0, "10.0.0.5")), [Outcome.REFUSED, Outcome.LATER])

    def test_one_source(self) -> None:
        """A thousand keys from one address are worth no more than a few."""
        found = self.outcomes(*[(number, "10.0.0.5") for number in range(1000)])
        self.assertEqual(found.count(Outcome.REFUSED), SOURCE_BURST)
        self.assertEqual(len(self.dialler.dials), SOURCE_BURST)

    def test_all(self) -> None:
        """A thousand keys from a thousand addresses have no more than the server's share dialled, and remembered."""
        found = self.outcomes(*[(number, f"10.0.{number // 256}.{number % 256}") for number in range(1000)])
        self.assertEqual(found.count(Outcome.REFUSED), BURST)
        self.world.wait(PEER_BURST / PEER_RATE + 1)
        self.outcomes((0, "10.9.9.9"))
        self.assertEqual(len(self.dial_backs._peers), 1, "what is over is forgotten")
        self.assertEqual(len(self.dial_backs._sources), 1)

    def test_keys_without_end(self) -> None:
        """The counts of ever new keys do not pile up, not even for a while."""
        self.patch(dial_back, "MOST_REMEMBERED", 20)
        found = self.outcomes(*[(number, f"10.0.0.{number % 250}") for number in range(200)])
        self.assertEqual(found.count(Outcome.REFUSED), 20)
        self.assertEqual((len(self.dial_backs._peers), len(self.dial_backs._sources)), (20, 20))

    def test_at_once(self) -> None:
        """No more than a few are under way at a time."""
        found = [self.dial_backs.ask(identity(n).id, f"10.0.0.{n}", HOME) for n in range(MOST_AT_ONCE + 4)]
        self.assertEqual([self.successResultOf(each) for each in found[MOST_AT_ONCE:]], [Outcome.LATER] * 4)
        self.assertEqual(len(self.dialler.dials), MOST_AT_ONCE)
        self.dial_backs.close()


class ServerTests(SynchronousTestCase):
    """Over a link to the server."""

    def setUp(self) -> None:
        self.dialler = Waiting()
        self.server = MemoryServer(self, dialler=self.dialler)
        self.addCleanup(lambda: self.server.end(self))

    def registered(self, host: str = "10.0.0.5", **options: Any) -> Client:
        """A peer that is online."""
        return self.server.connect(identity(0), host, registered=True, **options)

    def ask(self, client: Client, number: int = 1) -> None:
        """Ask to be dialled back."""
        client.connection.send(DialBack(number=number))
        self.server.flush()

    def test_where(self) -> None:
        """The peer is dialled where the server sees it, at the port of its record, and told how it ended and where."""
        client = self.registered()
        client.register(counter=WALL + 1, addresses=(Address(host="10.0.0.200", port=6667),))
        self.server.flush()
        self.ask(client, 7)
        self.assertEqual(self.dialler.addresses, [("10.0.0.5", 6667)])
        self.assertEqual(client.of(DialledBack), [])
        self.dialler.fail(ConnectionRefusedError())
        self.server.flush()
        dialled = Address(host="10.0.0.5", port=6667)
        self.assertEqual(client.of(DialledBack), [DialledBack(number=7, code="refused", address=dialled)])

    def test_nowhere(self) -> None:
        """Who signed a port of a service, or no address, is told that it was not dialled."""
        for address in ((Address(host="10.0.0.5", port=22),), ()):
            client = self.server.connect(identity(len(address)), "10.0.0.5")
            client.register(addresses=address)
            self.server.flush()
            self.ask(client)
            self.assertEqual(client.of(DialledBack), [DialledBack(number=1, code="not-dialled")])
        self.assertEqual(self.dialler.addresses, [])

    def test_gone(self) -> None:
        """Who asks and leaves harms nobody."""
        client = self.registered()
        self.ask(client)
        client.connection.abort()
        self.server.flush()
        self.dialler.fail(ConnectionRefusedError())
        self.server.flush()
        self.assertEqual(self.server.rendezvous.online, ())

    def test_a_thousand_questions(self) -> None:
        """Who asks a thousand times is dialled three times, and ended for flooding."""
        client = self.registered()
        for number in range(1000):
            client.connection.send(DialBack(number=number))
        self.server.flush()
        self.assertEqual(client.bye, "rate")
        self.assertEqual(self.dialler.addresses, [("10.0.0.5", 6666)] * 3)
        self.assertLessEqual(len(client.of(DialledBack)), 100)

    def test_old_peer(self) -> None:
        """The server names the ability in its hello; who did not name it too may not use it."""
        client = self.registered()
        self.assertEqual(client.hello.features, (DIAL_BACK,))
        old = self.server.link_of(client)
        old.session.features = frozenset()
        self.ask(client)
        self.assertEqual((client.bye, self.dialler.addresses), ("unexpected", []))

    def test_switched_off(self) -> None:
        """A server without dial-backs does not name the ability."""
        server = MemoryServer(self)
        self.addCleanup(lambda: server.end(self))
        self.assertEqual(server.connect(identity(0)).hello.features, ())
