"""Admission below TLS: few strangers at a time, and never in the way of those who are known."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from random import Random

from twisted.internet import reactor
from twisted.internet.address import IPv4Address as Address4, IPv6Address as Address6, UNIXAddress
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IProtocol, IProtocolFactory
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransportWithDisconnection
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport, connect
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from p2pchat.net.admission import (
    MAX_PENDING,
    MAX_PENDING_PER_SOURCE,
    UNFINISHED_AFTER,
    Admission,
    AdmissionLimits,
    Entrant,
    IPAddress,
    Refusal,
    promote,
    source_of,
    unmapped,
)
from p2pchat.net.tls import PEER_PROTOCOL, ListenerTLS, PeerDiallerTLS

from .handshakes import Recorder, abort, fresh_credentials

ROOMY = AdmissionLimits(10_000)


def everybody(address: IPAddress) -> bool:
    return True


def never_dropped() -> float:
    """The luckiest draw: refused by chance only where that is certain."""
    return 0.999_999


class Wire(StringTransportWithDisconnection):
    """A TCP transport in memory."""

    def abortConnection(self) -> None:
        super().abortConnection()
        self.loseConnection()


class Guest(Protocol):
    """The protocol behind admission; stands where TLS stands."""

    lost: Failure | None = None
    received = b""

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason


class OnTop:
    """As much of a TLS transport as `promote` looks at."""

    def __init__(self, transport: Wire) -> None:
        self.transport = transport


class Door:
    """An Admission and the factory that it guards; connections come in without sockets."""

    def __init__(
        self,
        limits: AdmissionLimits = ROOMY,
        admits: Callable[[IPAddress], bool] = everybody,
        draw: Callable[[], float] = never_dropped,
    ) -> None:
        self.clock = Clock()
        self.admission = Admission(self.clock, limits, admits, draw)
        self.guests: list[Guest] = []
        self.factory = self.admission.guard(Factory.forProtocol(self.make_guest))

    def make_guest(self) -> Guest:
        guest = Guest()
        self.guests.append(guest)
        return guest

    def accept(self, host: str) -> Wire | None:
        """A connection from `host`, or None if it was refused."""
        address = Address6("TCP", host, 50_000) if ":" in host else Address4("TCP", host, 50_000)
        protocol = self.factory.buildProtocol(address)
        if protocol is None:
            return None
        transport = Wire(peerAddress=address)
        transport.protocol = protocol
        protocol.makeConnection(transport)
        return transport

    def fill(self, count: int, network: str = "10.1") -> list[Wire | None]:
        """`count` connections, each from an address of its own."""
        return [self.accept(f"{network}.{number // 250}.{number % 250 + 1}") for number in range(count)]


def lose(transport: Wire | None) -> None:
    assert transport is not None
    transport.loseConnection()


class AddressTests(SynchronousTestCase):
    def test_mapped_addresses_are_unmapped(self) -> None:
        """An IPv4 address mapped into IPv6 is that IPv4 address."""
        self.assertEqual(unmapped("::ffff:10.0.0.5"), IPv4Address("10.0.0.5"))
        self.assertEqual(unmapped("10.0.0.5"), IPv4Address("10.0.0.5"))
        self.assertEqual(unmapped("2001:db8::1"), IPv6Address("2001:db8::1"))
        self.assertEqual(unmapped("fe80::1%eth0"), IPv6Address("fe80::1%eth0"))
        self.assertIsNone(unmapped("lab1.example"))
        self.assertIsNone(unmapped(""))

    def test_source_is_an_address_or_a_network(self) -> None:
        """IPv4 counts by address, IPv6 by its network of 64 bits."""
        self.assertEqual(source_of(IPv4Address("10.0.0.5")), "10.0.0.5")
        self.assertEqual(source_of(IPv6Address("2001:db8:1:2:3:4:5:6")), "2001:db8:1:2::/64")
        self.assertEqual(source_of(IPv6Address("fe80::1%eth0")), "fe80::/64")


class LimitsTests(SynchronousTestCase):
    def test_from_descriptors(self) -> None:
        """Connections leave descriptors for the rest of the process, and strangers leave room for the known."""
        self.assertEqual(AdmissionLimits.for_descriptors(1024), AdmissionLimits(787, 196))
        self.assertEqual(AdmissionLimits.for_descriptors(65_536), AdmissionLimits(52_396, MAX_PENDING))
        self.assertEqual(AdmissionLimits.for_descriptors(20), AdmissionLimits(1, 1))


class AdmissionTests(SynchronousTestCase):
    def test_interfaces(self) -> None:
        """The guarded factory and what it makes are what a port wants."""
        door = Door()
        self.assertTrue(verifyObject(IProtocolFactory, door.factory))
        self.assertTrue(verifyObject(IProtocol, Entrant(door.admission, "10.0.0.5", Guest())))

    def test_bytes_pass(self) -> None:
        """What comes in reaches the protocol behind, which writes to the socket's transport itself."""
        door = Door()
        transport = door.accept("10.0.0.5")
        assert transport is not None
        assert transport.protocol is not None
        transport.protocol.dataReceived(b"hello")
        self.assertEqual(door.guests[0].received, b"hello")
        self.assertIs(door.guests[0].transport, transport)
        lose(transport)
        assert door.guests[0].lost is not None
        door.guests[0].lost.trap(ConnectionDone)

    def test_policy_decides_by_address(self) -> None:
        """An address that the policy does not admit is closed at once; a mapped address is judged as IPv4."""
        judged: list[IPAddress] = []

        def admits(address: IPAddress) -> bool:
            judged.append(address)
            return address.is_private

        door = Door(admits=admits)
        self.assertIsNone(door.accept("8.8.8.8"))
        self.assertIsNotNone(door.accept("::ffff:10.0.0.5"))
        self.assertEqual(judged, [IPv4Address("8.8.8.8"), IPv4Address("10.0.0.5")])
        self.assertEqual(door.admission.refused, {Refusal.NOT_ADMITTED: 1})

    def test_refusal_costs_no_tls(self) -> None:
        """For a refused connection nothing is made at all."""
        door = Door(admits=lambda address: False)
        self.assertIsNone(door.accept("10.0.0.5"))
        self.assertEqual(door.guests, [])

    def test_unknown_kind_of_address(self) -> None:
        """What has no IP address is not admitted by address."""
        self.assertIsNone(Door().factory.buildProtocol(UNIXAddress("/run/x")))

    def test_T1_aborted_ten_seconds_after_acceptance(self) -> None:
        """A connection that says no hello is aborted at 10 s, whatever it sent, and gives its place back."""
        door = Door()
        transport = door.accept("10.0.0.5")
        assert transport is not None
        assert transport.protocol is not None
        door.clock.advance(UNFINISHED_AFTER - 1)
        transport.protocol.dataReceived(b"\x16")
        self.assertTrue(transport.connected)
        door.clock.advance(1)
        self.assertFalse(transport.connected)
        self.assertEqual(door.admission.pending, 0)
        self.assertEqual(door.admission.refused, {Refusal.UNFINISHED: 1})
        door.admission.close()
        self.assertEqual(door.clock.getDelayedCalls(), [])

    def test_T1_each_has_its_own_ten_seconds(self) -> None:
        """One timer serves all, and takes from nobody's time."""
        door = Door()
        first = door.accept("10.0.0.5")
        door.clock.advance(6)
        second = door.accept("10.0.0.6")
        assert first is not None
        assert second is not None
        door.clock.advance(4)
        self.assertEqual((first.connected, second.connected), (False, True))
        door.clock.advance(5.9)
        self.assertTrue(second.connected)
        door.clock.advance(0.1)
        self.assertFalse(second.connected)

    def test_promoted_stays(self) -> None:
        """A connection whose hello was accepted is not aborted, and takes no pending place."""
        door = Door()
        transport = door.accept("10.0.0.5")
        assert transport is not None
        promote(OnTop(transport))  # type: ignore[arg-type]
        self.assertEqual((door.admission.pending, door.admission.established), (0, 1))
        self.assertEqual(door.clock.getDelayedCalls(), [])
        door.clock.advance(UNFINISHED_AFTER)
        self.assertTrue(transport.connected)
        lose(transport)
        self.assertEqual((door.admission.pending, door.admission.established), (0, 0))
        self.assertEqual(door.admission.refused, {})

    def test_promoted_twice_or_too_late(self) -> None:
        """A second promotion, or one of a connection that is gone, changes nothing."""
        door = Door()
        transport = door.accept("10.0.0.5")
        assert transport is not None
        for _ in range(2):
            promote(OnTop(transport))  # type: ignore[arg-type]
        self.assertEqual(door.admission.established, 1)
        lose(transport)
        promote(OnTop(transport))  # type: ignore[arg-type]
        self.assertEqual(door.admission.established, 0)

    def test_promoting_what_was_dialled(self) -> None:
        """A transport that no admission stands below is left alone."""
        promote(OnTop(Wire()))  # type: ignore[arg-type]
        promote(None)

    def test_leaving_early_is_counted(self) -> None:
        """Who breaks off before the hello gives the place back, and is counted."""
        door = Door()
        lose(door.accept("10.0.0.5"))
        self.assertEqual(door.admission.pending, 0)
        self.assertEqual(door.admission.refused, {Refusal.BROKEN: 1})
        door.admission.close()
        self.assertEqual(door.clock.getDelayedCalls(), [])


class FloodTests(SynchronousTestCase):
    def test_T10_one_address(self) -> None:
        """Of 20,000 connections from one address, 8 are pending, and another address gets in."""
        door = Door()
        accepted = [door.accept("10.0.0.5") for _ in range(20_000)]
        self.assertEqual(sum(transport is not None for transport in accepted), MAX_PENDING_PER_SOURCE)
        self.assertEqual(door.admission.refused, {Refusal.SOURCE_BUSY: 20_000 - MAX_PENDING_PER_SOURCE})
        self.assertIsNotNone(door.accept("10.0.0.6"))

    def test_T10_one_network_of_ipv6(self) -> None:
        """All the addresses of a network of 64 bits share 8 places; the next network has its own."""
        door = Door()
        accepted = [door.accept(f"2001:db8:0:1::{number:x}") for number in range(1, 100)]
        self.assertEqual(sum(transport is not None for transport in accepted), MAX_PENDING_PER_SOURCE)
        self.assertIsNotNone(door.accept("2001:db8:0:2::1"))

    def test_T10_mapped_addresses_share_with_ipv4(self) -> None:
        """An address cannot double its places by coming over IPv6."""
        door = Door()
        for _ in range(MAX_PENDING_PER_SOURCE):
            self.assertIsNotNone(door.accept("10.0.0.5"))
        self.assertIsNone(door.accept("::ffff:10.0.0.5"))

    def test_T10_place_comes_back(self) -> None:
        """A source that was full may come again when one of its connections is over."""
        door = Door()
        accepted = [door.accept("10.0.0.5") for _ in range(MAX_PENDING_PER_SOURCE)]
        self.assertIsNone(door.accept("10.0.0.5"))
        lose(accepted[0])
        self.assertIsNotNone(door.accept("10.0.0.5"))

    def test_T10_many_addresses(self) -> None:
        """From 5,000 addresses at most 256 are pending, and who is established notices nothing."""
        door = Door()
        known = door.accept("10.0.0.5")
        assert known is not None
        promote(OnTop(known))  # type: ignore[arg-type]
        door.fill(5_000)
        self.assertEqual(door.admission.pending, MAX_PENDING)
        self.assertEqual(door.admission.established, 1)
        door.clock.advance(UNFINISHED_AFTER)
        self.assertEqual(door.admission.pending, 0)
        self.assertTrue(known.connected)
        self.assertEqual(door.admission.established, 1)

    def test_T10_random_early_drop(self) -> None:
        """Up to 128 nobody is dropped; from there 30 % are, then ever more; at 256 all."""
        for pending, below, above in ((128, 0.29, 0.31), (192, 0.64, 0.66), (255, 0.99, 0.9999)):
            for draw, admitted in ((below, False), (above, True)):
                luck = [0.9999]
                door = Door(draw=lambda luck=luck: luck[0])  # type: ignore[misc]
                door.fill(pending)
                luck[0] = draw
                self.assertEqual(door.accept("10.9.9.9") is not None, admitted, (pending, draw))
        door = Door(draw=lambda: 0.0)
        self.assertNotIn(None, door.fill(128))
        door = Door(draw=lambda: 0.999_999_9)
        door.fill(256)
        self.assertIsNone(door.accept("10.9.9.9"))
        self.assertEqual(door.admission.refused, {Refusal.BUSY: 1})

    def test_T10_a_known_peer_gets_in_during_a_flood(self) -> None:
        """While a hundred strangers a second take all pending places, somebody who retries each second gets in."""
        random = Random(13)
        door = Door(draw=random.random)
        admitted = 0
        for second in range(30):
            door.fill(100, f"10.{second}")
            admitted += door.accept("10.200.0.1") is not None
            door.clock.advance(1)
        self.assertGreater(door.admission.refused[Refusal.BUSY], 1_000)
        self.assertGreater(admitted, 2)

    def test_T11_log_of_a_flood(self) -> None:
        """A flood from one address is two lines in the minute after."""
        with capturedLogs() as events:
            door = Door()
            for _ in range(1_000):
                door.accept("10.0.0.5")
            door.clock.advance(5)
        self.assertEqual(len(events), 1)


class FullTests(TestCase):
    """What only a port shows."""

    async def test_F29_pauses_when_full_and_resumes(self):
        """At the cap newcomers wait in the kernel; they are accepted when a tenth of the places is free."""
        admission = Admission(Clock(), AdmissionLimits(10, 10), everybody, never_dropped)
        self.addCleanup(admission.close)
        accepted: list[Known] = []
        expected = [Known() for _ in range(11)]

        def make() -> Known:
            accepted.append(expected[len(accepted)])
            return accepted[-1]

        factory = admission.guard(Factory.forProtocol(make))
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)
        self.addCleanup(port.stopListening)
        admission.watch(port)
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
        dialled = [await connectProtocol(endpoint, Known()) for _ in range(10)]
        await gatherResults([end.made for end in expected[:10]])
        self.assertTrue(admission.paused)
        self.assertEqual(admission.established, 10)
        # The kernel completes this one; nobody accepts it.
        dialled.append(await connectProtocol(endpoint, Known()))
        self.assertEqual(len(accepted), 10)
        abort(expected[0].transport)
        await expected[10].made
        self.assertEqual(admission.established, 10)
        self.assertEqual(admission.refused, {})
        for end in dialled:
            abort(end.transport)
        await gatherResults([end.gone for end in expected + dialled])

    async def test_closed_port_is_not_read_again(self):
        """A port that was closed while it paused stays closed."""
        admission = Admission(Clock(), AdmissionLimits(1, 1), everybody, never_dropped)
        self.addCleanup(admission.close)
        inside = Known()
        factory = admission.guard(Factory.forProtocol(lambda: inside))
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)
        admission.watch(port)
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
        outside = await connectProtocol(endpoint, Known())
        await inside.made
        self.assertTrue(admission.paused)
        await port.stopListening()
        abort(outside.transport)
        await gatherResults([inside.gone, outside.gone])
        self.assertFalse(admission.paused)
        self.assertNotIn(port, reactor.getReaders())


class Known(Protocol):
    """Is promoted as soon as it is connected."""

    def __init__(self) -> None:
        self.made: Deferred[None] = Deferred()
        self.gone: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        promote(OnTop(self.transport))  # type: ignore[arg-type]
        self.made.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.gone.callback(None)


class OverTLSTests(SynchronousTestCase):
    def test_T1_slow_handshake(self) -> None:
        """A handshake that never ends is aborted at 10 s, also when bytes keep coming; a finished one is found."""
        clock = Clock()
        admission = Admission(clock, ROOMY, everybody, never_dropped)
        ends = [Recorder() for _ in range(2)]
        recorders = list(ends)
        tls = ListenerTLS(fresh_credentials(), [PEER_PROTOCOL])
        guarded = admission.guard(tls.wrap(Factory.forProtocol(lambda: recorders.pop(0)), clock))
        slow, quick = (guarded.buildProtocol(Address4("TCP", "10.0.0.5", port)) for port in (50_000, 50_001))
        assert slow is not None
        assert quick is not None
        wire = Wire()
        wire.protocol = slow
        slow.makeConnection(wire)
        dialling = PeerDiallerTLS(fresh_credentials()).wrap(Factory.forProtocol(Recorder), clock).buildProtocol(None)
        pump = connect(quick, FakeTransport(quick, True), dialling, FakeTransport(dialling, False), clock=clock)
        pump.flush()
        self.assertEqual(admission.pending, 2)
        promote(ends[1].transport)
        self.assertEqual((admission.pending, admission.established), (1, 1))
        for second in range(9):
            slow.dataReceived(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"[second : second + 1])
            clock.advance(1)
            self.assertTrue(wire.connected)
        clock.advance(1)
        self.assertFalse(wire.connected)
        self.assertIsNotNone(ends[0].lost)
        pump.flush()
        self.assertIsNone(ends[1].lost)
        self.assertEqual(admission.established, 1)
        admission.close()
