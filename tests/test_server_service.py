"""A whole server in this process: real sockets on the loopback interface, a real state directory."""

import os
import socket
from pathlib import Path
from unittest import mock

from twisted.internet import reactor
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase, TestCase

from p2pchat.api import JoinLinks, RosterRows, ServerReport, ShowLinks, ShowRoster, ShowServer, StopServer
from p2pchat.api.replies import Done
from p2pchat.config import ServerSettings
from p2pchat.core import roster
from p2pchat.core.errors import StateError, StateInUse, StoreFull
from p2pchat.core.identity import format_id, id_of, parse_join_link
from p2pchat.net.local_client import LocalClient
from p2pchat.server import links as links_module
from p2pchat.server.links import Reach, find_own_name, links, recall
from p2pchat.server.offline import join_links
from p2pchat.server.service import SEEN_EVERY, RendezvousService
from p2pchat.storage.executor import InlineExecutor
from tests.rosters import identity
from tests.servers import Client, dial, start_server, until

ALICE, BOB = identity(1), identity(2)


def ask(state: Path, command: object, reply: type) -> object:
    """A command over the local socket, as `p2pchat` sends it."""
    with LocalClient(state, "server") as client:
        return client.call(command, reply)


class ServiceTests(TestCase):
    def setUp(self) -> None:
        self.state = Path(self.mktemp()).absolute()
        # What is told how fast is tested on a clock.
        self.patch(roster, "QUIET", 0.0)

    async def start(self, **settings: object) -> RendezvousService:
        return await start_server(self, reactor, state=self.state, **settings)

    async def register(self, server: RendezvousService, peer: object = ALICE) -> Client:
        client = await dial(self, reactor, server, Client(peer, reactor))  # type: ignore[arg-type]
        client.register()
        await until(reactor, lambda: client.online)
        return client

    async def test_registers(self) -> None:
        """A peer registers over TCP and TLS, watches, and is told who is there."""
        server = await self.start()
        alice = await self.register(server)
        self.assertEqual(id_of(alice.hello.key), server.identity.id)
        self.assertEqual(alice.hello.observed.host, "127.0.0.1")
        alice.watch()
        bob = await self.register(server, BOB)
        await until(reactor, lambda: set(alice.seen) == {ALICE.id, BOB.id})
        bob.connection.abort()
        await until(reactor, lambda: BOB.id not in alice.seen)

    async def test_own_host_is_not_listed_as_loopback(self) -> None:
        """The observation of a peer on the server's host is told to the peer and to nobody else."""
        server = await self.start()
        alice = await self.register(server)
        alice.watch()
        await until(reactor, lambda: alice.view is not None and alice.view.get(ALICE.id) is not None)
        assert alice.view is not None
        row = alice.view.get(ALICE.id)
        assert row is not None
        self.assertIsNone(row.observed)

    async def test_dual_stack(self) -> None:
        """Without an interface it takes IPv4, seen as such, and IPv6."""
        server = await self.start(interface="")
        self.assertIn(server.port.address.host, ("::", "0.0.0.0"))
        alice = await self.register(server)
        self.assertEqual(alice.hello.observed.host, "127.0.0.1")

    async def test_status(self) -> None:
        """The local socket tells who is online, the links, and how the server is."""
        server = await self.start(hosts=("lab1.example", "10.0.0.7"), capacity=17)
        alice = await self.register(server)
        rows = await deferToThread(ask, self.state, ShowRoster(), RosterRows)
        assert isinstance(rows, RosterRows)
        [row] = rows.rows
        self.assertEqual(
            (row.handle, row.id, row.address, row.port), (alice.handle, format_id(ALICE.id), "127.0.0.1", 6666)
        )
        self.assertLess(row.heard, 30)
        report = await deferToThread(ask, self.state, ShowServer(), ServerReport)
        assert isinstance(report, ServerReport)
        self.assertEqual(
            (report.pid, report.online, report.capacity, report.id), (os.getpid(), 1, 17, format_id(server.identity.id))
        )
        self.assertEqual(report.listens, (f"127.0.0.1:{server.port.address.port}",))
        found = await deferToThread(ask, self.state, ShowLinks(), JoinLinks)
        assert isinstance(found, JoinLinks)
        self.assertEqual([parse_join_link(link).host for link in found.links], ["lab1.example", "10.0.0.7"])
        self.assertEqual(found.links, server.join_links())

    async def test_stop(self) -> None:
        """`stop` answers, says good-bye to the peers, and ends."""
        server = await self.start()
        alice = await self.register(server)
        await deferToThread(ask, self.state, StopServer(), Done)
        await until(reactor, lambda: alice.ending is not None)
        self.assertEqual(alice.bye, "leaving")
        await until(reactor, lambda: not (self.state / "socket").exists())

    async def test_words(self) -> None:
        """At the start a person reads who the server is, where it listens, and what to type elsewhere."""
        server = await self.start(hosts=("lab1.example",))
        first, second = server.words().splitlines()
        port, written = server.port.address.port, format_id(server.identity.id)
        self.assertEqual(first, f"p2pchat server {written} listening on 127.0.0.1:{port} (first start: made its key)")
        link = server.join_links()[0]
        self.assertEqual(second, f"Join from another machine: p2pchat join '{link}'")
        self.assertEqual(parse_join_link(link).server, server.identity.id)

    async def test_same_key_after_a_restart(self) -> None:
        """A server keeps its key, and the links that were passed on stay good; they can be read while it is down."""
        server = await self.start()
        key, written = server.identity.key, server.join_links()
        await server.stopService()
        self.assertEqual(tuple(join_links(self.state)), written)
        again = await self.start(port=parse_join_link(written[0]).port)
        self.assertEqual((again.identity.key, again.join_links()), (key, written))
        self.assertNotIn("first start", again.words())
        self.assertNotIn("is new", again.words())

    async def test_lost_database(self) -> None:
        """A database that is gone, where the key is there, is said at the start and in the log."""
        server = await self.start()
        await server.stopService()
        (self.state / "server.db").unlink()
        with capturedLogs() as logs:
            again = await self.start()
        line = again.words().splitlines()[-1]
        self.assertIn(f"the database in {self.state} is new, and the key there is older", line)
        self.assertIn(line, [formatEvent(log) for log in logs if log["log_level"] is LogLevel.warn])

    async def test_lost_database_and_a_failed_start(self) -> None:
        """A start that fails has not said so: the next one that is up does, and then it is said."""
        server = await self.start()
        await server.stopService()
        (self.state / "server.db").unlink()
        with socket.create_server(("127.0.0.1", 0)) as taken, self.assertRaises(StateError):
            await self.start(port=taken.getsockname()[1])
        for told in (True, False):
            again = await self.start()
            self.assertEqual("is new, and the key there is older" in again.words(), told)
            await again.stopService()

    async def test_F23_state_in_use(self) -> None:
        """A second server on one state directory is refused and told whose it is; the first goes on."""
        server = await self.start()
        with self.assertRaises(StateInUse) as caught:
            await self.start()
        self.assertEqual(caught.exception.pid, os.getpid())
        self.assertTrue((await self.register(server)).online)

    async def test_F36_port_taken(self) -> None:
        """A port that is taken is named, with what to do; nothing stays open, and the next start works."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with self.assertRaises(StateError) as caught:
                await self.start(port=port)
        self.assertIn(f"cannot listen on port {port} of 127.0.0.1: Address already in use; stop", str(caught.exception))
        self.assertTrue((await self.register(await self.start())).online)

    async def test_certificate_missing(self) -> None:
        """A certificate that is not there is one line for a person."""
        with self.assertRaises(StateError) as caught:
            await self.start(certificate=self.state / "no.pem", key=self.state / "no.key")
        self.assertIn("no.pem", str(caught.exception))

    async def test_stopped_while_it_starts(self) -> None:
        """A server that is stopped before it is up opens, closes, and leaves nothing behind."""
        settings = ServerSettings(state=self.state, port=0, interface="127.0.0.1")
        service = RendezvousService(settings, reactor)
        service.startService()
        await service.stopService()
        self.assertTrue((await self.register(await self.start())).online)

    async def test_threads(self) -> None:
        """The same with the store in threads, as it runs outside of tests."""
        service = RendezvousService(ServerSettings(state=self.state, port=0, interface="127.0.0.1"), reactor)
        service.startService()
        self.addCleanup(service.stopService)
        await service.started
        self.assertTrue((await self.register(service)).online)

    async def test_R1_capacity(self) -> None:
        """Above its capacity a server says so, and whoever is in stays."""
        server = await self.start(capacity=2)
        inside = [await self.register(server, identity(number)) for number in range(2)]
        third = await dial(self, reactor, server, Client(identity(3), reactor))
        await until(reactor, lambda: third.ending is not None)
        self.assertEqual(third.bye, "full")
        self.assertTrue(all(client.online for client in inside))


class Book:
    """A book of handles that is written, or fails, as it is told."""

    def __init__(self, *outcomes: Exception | None) -> None:
        self.outcomes = list(outcomes)

    async def write(self) -> None:
        outcome = self.outcomes.pop(0)
        if outcome is not None:
            raise outcome


class NotingTests(SynchronousTestCase):
    """The hourly loop, on a clock."""

    def test_bugs_do_not_end_it(self) -> None:
        """Whatever goes wrong in an hour is one line in the log, and the next hour has its turn; the end too."""
        clock = Clock()
        service = RendezvousService(ServerSettings(state=Path(self.mktemp())), clock, executor=InlineExecutor())
        service.rendezvous = mock.Mock()
        book = Book(ValueError("a\nbug"), StoreFull("no room"), None, ValueError("another"), None)
        with capturedLogs() as logged:
            service._write_seen(book)  # type: ignore[arg-type]
            for left in (4, 3, 2, 1):
                clock.advance(SEEN_EVERY)
                self.assertEqual(len(book.outcomes), left)
            service.rendezvous.note_seen.side_effect = ValueError("a third")
            clock.advance(SEEN_EVERY)
            service.rendezvous.note_seen.side_effect = None
            self.successResultOf(service._closers.pop()())
        self.assertEqual((book.outcomes, clock.getDelayedCalls()), ([], []))
        lines = [formatEvent(event) for event in logged]
        self.assertEqual(
            [any(word in line for line in lines) for word in ("bug", "no room", "another", "third")], [True] * 4
        )
        self.assertEqual((len(lines), "\n" in "".join(lines)), (4, False))


class LinkTests(SynchronousTestCase):
    """Which hosts stand in the join links."""

    def setUp(self) -> None:
        self.patch(links_module, "own_addresses", lambda: ["10.0.0.7", "fd00::7"])

    def hosts(self, name: str | None = None, **reach: object) -> list[str]:
        return [link.host for link in links(Reach(id=ALICE.id, port=8888, **reach), name)]  # type: ignore[arg-type]

    def test_found_out(self) -> None:
        """The machine's name if it has one, its addresses, and loopback last."""
        self.assertEqual(self.hosts("lab1.example"), ["lab1.example", "10.0.0.7", "fd00::7", "127.0.0.1"])
        self.assertEqual(self.hosts(), ["10.0.0.7", "fd00::7", "127.0.0.1"])

    def test_given(self) -> None:
        """What the operator says counts, and nothing else."""
        self.assertEqual(self.hosts("x.example", hosts=("127.0.0.1", "chat.example")), ["chat.example", "127.0.0.1"])

    def test_interface(self) -> None:
        """A server on one address is reached there."""
        self.assertEqual(self.hosts("x.example", interface="10.0.0.9"), ["10.0.0.9"])

    def test_never_run(self) -> None:
        """Where no server ever ran there is no link, and the person is told what to do."""
        error = self.assertRaises(StateError, recall, Path("/nowhere"))
        self.assertIn("p2pchat server --state /nowhere", str(error))

    def test_F35_name_service_hangs(self) -> None:
        """A name service that does not answer holds the start up for two seconds at most."""
        clock = Clock()
        found = find_own_name(Calls(), clock, lambda: None)  # type: ignore[arg-type]
        self.assertNoResult(found)
        clock.advance(2)
        self.assertIsNone(self.successResultOf(found))


class Calls:
    """A reactor that is never given a turn."""

    def callFromThread(self, function: object, *arguments: object) -> None:
        """Nothing happens."""
