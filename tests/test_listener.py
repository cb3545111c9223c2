"""The listening side over real sockets: both kinds of addresses, and admission in place."""

import errno
import socket

from twisted.internet.error import CannotListenError, ConnectError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2pchat.core.errors import EndCode
from p2pchat.core.messages import Address, Ask
from p2pchat.core.states import Side
from p2pchat.net.admission import Admission, AdmissionLimits, Refusal
from p2pchat.net.connection import Connection, Sweep
from p2pchat.net.listener import ListenerFactory, listen
from p2pchat.net.tls import PEER_PROTOCOL, ListenerTLS

from .examples import BOB, HELLO
from .loopback import LinkBook, LoopbackTestCase, closed, credentials


class ReachTests(LoopbackTestCase):
    async def test_ipv4_and_ipv6_reach_one_port(self) -> None:
        """One port takes both, and tells IPv4 addresses as such."""
        host = self.host()
        for name in ("127.0.0.1", "::1"):
            connection = await self.dial(self.dialler(), host.port, name)
            await host.book.until(links=len(self.dialled.links))
            theirs = host.book.links[-1].peer_address
            self.assertEqual(theirs, Address(host=name, port=connection.own_address.port))
            self.assertEqual(connection.peer_address, Address(host=name, port=host.port))
        self.assertEqual(host.book.messages, [HELLO, HELLO])

    async def test_one_interface(self) -> None:
        """A port of one interface is reached there alone."""
        host = self.host(interface="127.0.0.1")
        await self.dial(self.dialler(), host.port)
        with self.assertRaises(ConnectError):
            await self.dialler().dial("::1", host.port, self.tls, self.dialled)

    async def test_port_taken(self) -> None:
        """A port that somebody has is not taken away, and no other one is opened in its place."""
        host = self.host()
        with self.assertRaises(CannotListenError):
            self.host(port=host.port)

    async def test_messages_and_end_over_real_sockets(self) -> None:
        """A link over real sockets carries messages, and ends on both sides with its code."""
        host = self.host()
        connection = await self.dial(self.dialler(), host.port)
        await host.book.until(links=1)
        connection.send(Ask(text="hi"))
        connection.close(EndCode.LEAVING)
        await host.book.until(endings=1)
        await self.dialled.until(endings=1)
        self.assertEqual(host.book.messages[1], Ask(text="hi"))
        self.assertEqual([ending.code for ending in host.book.endings.values()], [EndCode.LEAVING])
        self.assertEqual([ending.by_them for ending in self.dialled.endings.values()], [False])


class AdmissionTests(LoopbackTestCase):
    async def test_T10_silent_connections_disturb_nobody(self) -> None:
        """Strangers who say nothing fill their places and no more; whoever is in stays in."""
        host = self.host(AdmissionLimits(1000, pending=3, pending_per_source=2))
        connection = await self.dial(self.dialler(), host.port)
        await host.book.until(links=1)
        self.assertEqual((host.admission.pending, host.admission.established), (0, 1))
        strangers = [await self.raw(host.port) for _ in range(5)]
        for stranger in strangers[2:]:
            self.assertEqual(await closed(stranger), b"")
        self.assertEqual(host.admission.pending, 2)
        self.assertEqual(host.admission.refused[Refusal.SOURCE_BUSY], 3)
        connection.send(Ask())
        await host.book.until(messages=2)
        self.assertTrue(connection.alive)

    async def test_links_that_said_hello_are_not_pending(self) -> None:
        """More links come from one source than may be pending there, once each has said its hello."""
        host = self.host(AdmissionLimits(1000, pending=3, pending_per_source=2))
        for count in range(1, 6):
            await self.dial(self.dialler(), host.port)
            await host.book.until(links=count)
        self.assertEqual((host.admission.pending, host.admission.established), (0, 5))

    async def test_T2_what_is_no_tls_is_closed(self) -> None:
        """Plain text gets a TLS alert at most and is closed; its place is free again."""
        host = self.host()
        for words in (b"GET / HTTP/1.1\r\nHost: lab1\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", bytes(5000)):
            stranger = await self.raw(host.port)
            stranger.send(words)
            self.assertLess(len(await closed(stranger)), 64)
        await host.book.until(endings=3)
        self.assertEqual(host.admission.pending, 0)
        self.assertEqual(host.book.links, [])

    async def test_not_admitted(self) -> None:
        """An address that is not admitted is closed before TLS."""
        host = self.host(admitted=frozenset({"::1"}))
        self.assertEqual(await closed(await self.raw(host.port)), b"")
        self.assertEqual(host.admission.refused[Refusal.NOT_ADMITTED], 1)
        await self.dial(self.dialler(), host.port, "::1")

    async def test_T11_full_house(self) -> None:
        """When everything is taken nobody is accepted until somebody leaves; then the next one is."""
        host = self.host(AdmissionLimits(2, pending=2))
        first = await self.dial(self.dialler(), host.port)
        await self.dial(self.dialler(), host.port)
        await host.book.until(links=2)
        self.assertTrue(host.admission.paused)
        third = await self.dialler().dial("127.0.0.1", host.port, self.tls, self.dialled)
        self.assertEqual(len(host.book.links), 2)
        first.close(EndCode.LEAVING)
        await host.book.until(links=3)
        self.assertTrue(third.alive)

    async def test_T1_nothing_is_left_of_those_who_go(self) -> None:
        """A stranger who leaves in the handshake leaves nothing behind."""
        host = self.host()
        stranger = await self.raw(host.port)
        stranger.send(b"\x16\x03\x01\x02\x00")
        stranger.shutdown(socket.SHUT_RDWR)
        stranger.close()
        await host.book.until(endings=1)
        self.assertEqual((host.admission.pending, host.sweep.connections), (0, frozenset()))


class NoIPv6(MemoryReactor):
    """A machine without IPv6, or one where a port is taken."""

    code = errno.EAFNOSUPPORT

    def listenTCP(self, port: int, factory: Factory, backlog: int = 50, interface: str = "") -> IListeningPort:
        if interface == "::":
            raise CannotListenError(interface, port, OSError(self.code, "no"))
        return super().listenTCP(port, factory, backlog, interface)  # type: ignore[no-any-return]


class Taken(NoIPv6):
    code = errno.EADDRINUSE


class FallBackTests(SynchronousTestCase):
    def listen(self, reactor: MemoryReactor) -> None:
        """Open a port on all addresses."""
        clock = Clock()
        admission = Admission(clock, AdmissionLimits(10), lambda address: True, lambda: 0.5)
        tls = ListenerTLS(credentials(BOB), [PEER_PROTOCOL])
        factory = ListenerFactory(lambda: Connection(LinkBook(Side.FOLLOWER), clock, Sweep(clock)))
        listen(reactor, clock, factory, tls, admission, 6666)

    def test_all_addresses(self) -> None:
        """Without an interface the port is open for IPv6 and IPv4, with a long queue."""
        reactor = MemoryReactor()
        self.listen(reactor)
        ((port, _, backlog, interface),) = reactor.tcpServers
        self.assertEqual((port, backlog, interface), (6666, 1024, "::"))

    def test_without_ipv6(self) -> None:
        """Where there is no IPv6 it is open for IPv4."""
        reactor = NoIPv6()
        self.listen(reactor)
        self.assertEqual([interface for *_, interface in reactor.tcpServers], [""])

    def test_taken(self) -> None:
        """A port that is taken is not tried another way."""
        reactor = Taken()
        self.assertRaises(CannotListenError, self.listen, reactor)
        self.assertEqual(reactor.tcpServers, [])

    def test_interfaces(self) -> None:
        """What listen gives is a port."""
        self.assertTrue(verifyObject(IListeningPort, NoIPv6().listenTCP(1, Factory())))
