"""The dialling side over real sockets: one source port for everything, and any other where that cannot be used."""

import errno
import socket
from pathlib import Path

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import (
    ConnectError,
    ConnectionRefusedError,
    DNSLookupError,
    TimeoutError,
    getConnectError,
)
from twisted.logger import capturedLogs

from p2pchat.core.errors import EndCode, UserError
from p2pchat.net.dialler import why_not

from .examples import BOB, HELLO
from .loopback import LoopbackTestCase, free_port

TIMESTAMPS = Path("/proc/sys/net/ipv4/tcp_timestamps")


class DiallerTests(LoopbackTestCase):
    async def test_by_address_and_by_name(self) -> None:
        """A name, an IPv4 and an IPv6 address are dialled alike."""
        host = self.host()
        for name in ("localhost", "127.0.0.1", "::1"):
            connection = await self.dial(self.dialler(), host.port, name)
            self.assertTrue(connection.alive)
            self.assertEqual(connection.authenticated.key, BOB.key)
        self.assertEqual(self.dialled.messages, [HELLO] * 3)

    async def test_two_dials_at_once_from_one_port(self) -> None:
        """Links to two hosts leave from one source port at the same time, over IPv4 and IPv6."""
        dial_port = free_port()
        dialler = self.dialler(dial_port)
        hosts = [self.host(), self.host(), self.host()]
        names = ["127.0.0.1", "127.0.0.1", "::1"]
        connections = await gatherResults(
            [
                Deferred.fromCoroutine(self.dial(dialler, host.port, name))
                for host, name in zip(hosts, names, strict=True)
            ]
        )
        self.assertEqual([connection.own_address.port for connection in connections], [dial_port] * 3)
        for host in hosts:
            await host.book.until(links=1)
            self.assertEqual(host.book.links[0].peer_address.port, dial_port)

    async def test_redial_at_once_after_our_close(self) -> None:
        """F10: after we closed a link the same host is dialled again at once, from the same port."""
        if not TIMESTAMPS.exists() or TIMESTAMPS.read_text().strip() == "0":
            self.skipTest("without TCP timestamps TIME_WAIT keeps the port")
        dial_port = free_port()
        dialler, host = self.dialler(dial_port), self.host()
        for count in range(1, 4):
            connection = await self.dial(dialler, host.port)
            self.assertEqual(connection.own_address.port, dial_port)
            connection.close(EndCode.CLOSED)
            await self.dialled.until(endings=count)
            await host.book.until(endings=count)

    async def test_redial_at_once_after_an_abort(self) -> None:
        """F9: and so it is after an abort."""
        dial_port = free_port()
        dialler, host = self.dialler(dial_port), self.host()
        for count in range(1, 4):
            connection = await self.dial(dialler, host.port)
            self.assertEqual(connection.own_address.port, dial_port)
            connection.abort()
            await self.dialled.until(endings=count)

    async def test_F36_source_port_taken(self) -> None:
        """Where somebody listens on the source port it dials from another one, and says so once."""
        dial_port = free_port()
        taken = socket.socket()
        self.addCleanup(taken.close)
        taken.bind(("", dial_port))
        taken.listen()
        dialler, host = self.dialler(dial_port), self.host()
        with capturedLogs() as captured:
            for _ in range(2):
                connection = await self.dial(dialler, host.port)
                self.assertNotEqual(connection.own_address.port, dial_port)
        said = [event for event in captured if event.get("port") == dial_port and "dialled" in event["log_format"]]
        self.assertEqual(len(said), 1)
        taken.close()
        connection = await self.dial(dialler, host.port)
        self.assertEqual(connection.own_address.port, dial_port)

    async def test_same_host_twice_at_once(self) -> None:
        """A second link to the same host and port cannot leave from the same port, and leaves from another."""
        dial_port = free_port()
        dialler, host = self.dialler(dial_port), self.host()
        ports = {(await self.dial(dialler, host.port)).own_address.port for _ in range(2)}
        self.assertEqual(len(ports), 2)
        self.assertIn(dial_port, ports)
        await host.book.until(links=2)

    async def test_nobody_there(self) -> None:
        """A host that refuses is reported as such, and is not tried again from another port."""
        dialler = self.dialler(free_port())
        with capturedLogs() as captured, self.assertRaises(ConnectionRefusedError):
            await dialler.dial("127.0.0.1", free_port(), self.tls, self.dialled)
        self.assertEqual([event for event in captured if "dialled" in (event.get("log_format") or "")], [])
        self.assertEqual((self.dialled.endings, self.sweep.connections), ({}, frozenset()))

    async def test_any_port(self) -> None:
        """Without a fixed port every dial has its own."""
        host = self.host()
        dialler = self.dialler(0)
        ports = {(await self.dial(dialler, host.port)).own_address.port for _ in range(2)}
        self.assertEqual(len(ports), 2)

    async def test_errors_are_one_line(self) -> None:
        """What a dial raises can be shown to a person."""
        for name, port in (("127.0.0.1", free_port()), ("::1", free_port()), ("localhost", free_port())):
            try:
                await self.dialler().dial(name, port, self.tls, self.dialled)
            except ConnectError as error:
                self.assertEqual(why_not(error), "nobody listens there")
            else:
                self.fail("connected to nobody")

    def test_why_not(self) -> None:
        """A person reads what is the matter, without numbers; what was written for a person stays."""
        for error, words in (
            (ConnectionRefusedError(), "nobody listens there"),
            (DNSLookupError("no results for hostname lookup: lab9"), "no such name is known"),
            (getConnectError((errno.EHOSTUNREACH, "x")), "no route to host"),
            (getConnectError((errno.ENETUNREACH, "x")), "network is unreachable"),
            (getConnectError((errno.ETIMEDOUT, "x")), "connection timed out"),
            (TimeoutError(), "no answer in time"),
            (UserError("the key is another one"), "the key is another one"),
        ):
            self.assertEqual(why_not(error), words)
