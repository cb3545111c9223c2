"""Real peers: services on the loopback interface, with real sockets, threads and databases."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from unittest import SkipTest

from twisted.internet import reactor as _reactor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from p2pchat import api
from p2pchat.api import Command, Event, Reply
from p2pchat.config import PeerSettings
from p2pchat.core.errors import NoSuchContact, StateInUse, UserError
from p2pchat.core.identity import JoinLink, format_id
from p2pchat.core.session import HELLO_WITHIN
from p2pchat.peer.offline import set_accept
from p2pchat.peer.service import PeerService
from p2pchat.storage.directory import holder
from tests.servers import start_server, until

reactor: Any = _reactor

EventT = TypeVar("EventT", bound=Event)


class Running:
    """A peer that runs, and what it told."""

    def __init__(self, service: PeerService) -> None:
        self.service = service
        self.events: list[Event] = []
        self.stopped = False
        self.subscription = service.subscribe(self.events.append)

    @property
    def address(self) -> str:
        """HOST:PORT where it listens."""
        assert self.service.peer is not None
        [listens] = self.service.peer.listens
        return f"127.0.0.1:{listens.port}"

    @property
    def written(self) -> str:
        """Its id."""
        assert self.service.peer is not None
        return format_id(self.service.peer.environment.identity.id)

    async def do(self, command: Command) -> Reply:
        return await self.service.execute(command)

    def told(self, kind: type[EventT]) -> list[EventT]:
        return [event for event in self.events if isinstance(event, kind)]

    async def hears(self, kind: type[EventT], condition: Callable[[EventT], bool] = lambda event: True) -> EventT:
        """Wait for an event of this class, one that has come counts."""
        await until(reactor, lambda: any(condition(event) for event in self.told(kind)))
        return next(event for event in self.told(kind) if condition(event))

    async def hears_text(self, text: str) -> None:
        await self.hears(api.Said, lambda event: event.text == text)

    async def stop(self) -> None:
        if not self.stopped:
            self.stopped = True
            await self.service.stopService()


class PeerServiceTests(TestCase):
    """Base: starts peers, and sees to it that nothing of them is left."""

    timeout = 180

    def setUp(self) -> None:
        self.threads = set(threading.enumerate())
        self.running: list[Running] = []

    async def tearDown(self) -> None:
        for peer in self.running:
            await peer.stop()
        await until(reactor, lambda: not self.left())

    def left(self) -> set[threading.Thread]:
        """The threads of stores that are not at their end."""
        return {thread for thread in threading.enumerate() if thread.name.startswith("peer ")} - self.threads

    def service(self, name: str, state: Path | None = None, **settings: Any) -> PeerService:
        given = {"listen_port": 0, "dial_port": 0, "interface": "127.0.0.1", "accept": "ask", **settings}
        return PeerService(PeerSettings(state=state or Path(self.mktemp()), name=name, **given), reactor)

    async def peer(self, name: str, state: Path | None = None, **settings: Any) -> Running:
        peer = Running(self.service(name, state, **settings))
        self.running.append(peer)
        peer.service.startService()
        await peer.service.started
        return peer

    async def again(self, peer: Running, **settings: Any) -> Running:
        """The same peer, stopped and started."""
        await peer.stop()
        given = {"listen_port": int(peer.service.settings.listen_port), **settings}
        assert peer.service.settings.name is not None
        return await self.peer(peer.service.settings.name, peer.service.settings.state, **given)

    async def failed(self, service: PeerService, kind: type[Exception]) -> Exception:
        """How the start failed."""
        try:
            await service.started
        except kind as error:
            self.assertNotIn("\n", str(error))
            return error
        raise AssertionError("it started")

    async def chatting(self, alice: Running, bob: Running) -> None:
        """Alice dials bob's address; both persons agree."""
        await alice.do(api.Connect(who=bob.address, text="about the grant"))
        await alice.hears(api.Answered)
        await alice.do(api.Confirm(who="bob"))
        asked = await bob.hears(api.Asked)
        self.assertEqual(asked.text, "about the grant")
        await bob.do(api.Accept(who="alice"))
        for one in (alice, bob):
            await one.hears(api.Opened)


class ChatTests(PeerServiceTests):
    async def test_remembered_policy(self) -> None:
        """What was once said about requests holds for every start that does not say otherwise."""
        state = Path(self.mktemp())
        set_accept(state, "all")
        alice, bob = await self.peer("alice"), await self.peer("bob", state, accept=None)
        await alice.do(api.Connect(who=bob.address))
        await alice.hears(api.Answered)
        await alice.do(api.Confirm(who="bob"))
        for one in (alice, bob):
            await one.hears(api.Opened)
        self.assertEqual(bob.told(api.Asked), [])
        bob = await self.again(bob, accept="contacts")
        carol = await self.peer("carol")
        await carol.do(api.Connect(who=bob.address))
        await carol.hears(api.Ended, lambda event: event.reason == "rejected")

    async def test_two_by_address(self) -> None:
        """Two peers without a server: by address, confirmed, accepted, both ways, closed."""
        alice, bob = await self.peer("alice"), await self.peer("bob")
        await self.chatting(alice, bob)
        await alice.do(api.Say(who="bob", text="hello"))
        await bob.hears_text("hello")
        await bob.do(api.Say(who="alice", text="hi there"))
        await alice.hears_text("hi there")
        await alice.hears(api.Delivered, lambda event: event.numbers == (1,))
        await alice.do(api.Close(who="bob"))
        self.assertEqual((await bob.hears(api.Ended)).reason, "closed")
        self.assertEqual((await alice.hears(api.Ended)).reason, "closed")

    async def test_restart(self) -> None:
        """A peer that starts again goes on with its chat: nobody is asked, and what was queued arrives."""
        port = _free_port()
        alice, bob = await self.peer("alice"), await self.peer("bob", listen_port=port)
        await self.chatting(alice, bob)
        await bob.stop()
        await alice.hears(api.Silent)
        await alice.do(api.Say(who="bob", text="while you were away"))
        bob = await self.again(bob)
        await bob.hears_text("while you were away")
        await alice.hears(api.Opened, lambda event: event.again)
        self.assertEqual(bob.told(api.Asked), [])
        alice = await self.again(alice)
        await alice.hears(api.Opened)
        await bob.do(api.Say(who="alice", text="welcome back"))
        await alice.hears_text("welcome back")

    async def test_server_killed(self) -> None:
        """Three peers on one host meet at a server; it dies, and their chat goes on."""
        server = await start_server(self, reactor)
        link = JoinLink("127.0.0.1", server.port.address.port, server.rendezvous.identity.id)
        peers = [await self.peer(name, join=(link,)) for name in ("alice", "bob", "carol")]
        for peer in peers:
            await peer.hears(api.ServerChanged, lambda event: event.server.state == "online")
        alice, bob, _ = peers
        await until(reactor, lambda: _online(alice) == 2)
        await alice.do(api.Connect(who="bob"))
        await bob.hears(api.Asked)
        await bob.do(api.Accept(who="alice"))
        await alice.hears(api.Opened)
        await server.stopService()
        lost = await alice.hears(api.ServerChanged, lambda event: event.server.state == "lost")
        self.assertEqual(lost.open_chats, 1)
        await alice.do(api.Say(who="bob", text="without a server"))
        await bob.hears_text("without a server")

    async def test_ipv6(self) -> None:
        """By IPv6 as well, from one loopback address to the other."""
        if not _has_ipv6():
            raise SkipTest("no IPv6 here")
        alice, bob = await self.peer("alice", interface="::1"), await self.peer("bob", interface="::1")
        await alice.do(api.Connect(who=bob.address.replace("127.0.0.1", "[::1]")))
        answered = await alice.hears(api.Answered)
        self.assertTrue(answered.address.startswith("[::1]:"))

    async def test_both_families_on_one_port(self) -> None:
        """A peer without --interface is reached over IPv4; the address of who asks is an IPv4 one."""
        alice, bob = await self.peer("alice"), await self.peer("bob", interface="")
        await alice.do(api.Connect(who=bob.address))
        await alice.hears(api.Answered)
        await alice.do(api.Confirm(who="bob"))
        self.assertEqual((await bob.hears(api.Asked)).address, "127.0.0.1")


class PortTests(PeerServiceTests):
    async def test_listen_port_taken(self) -> None:
        """Where the port is taken another is used, and the roster carries it."""
        server = await start_server(self, reactor)
        link = JoinLink("127.0.0.1", server.port.address.port, server.rendezvous.identity.id)
        first = await self.peer("alice", join=(link,))
        taken = int(first.address.rpartition(":")[2])
        second = await self.peer("bob", listen_port=taken, join=(link,))
        self.assertNotEqual(second.address, first.address)
        await first.hears(api.PresenceChanged)
        people = await first.do(api.ListPeople())
        assert isinstance(people, api.People)
        self.assertIn(second.address, people.people[0].addresses)

    async def test_dial_port_taken(self) -> None:
        """Where the dial port cannot be used another is."""
        taken = socket.socket()
        self.addCleanup(taken.close)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        alice = await self.peer("alice", dial_port=taken.getsockname()[1])
        bob = await self.peer("bob")
        await alice.do(api.Connect(who=bob.address))
        await alice.hears(api.Answered)

    async def test_one_dial_port_for_two_peers(self) -> None:
        """Two peers of one host dial a third from the same port, or from any where that is not possible."""
        port = _free_port()
        alice, bob = await self.peer("alice", dial_port=port), await self.peer("bob", dial_port=port)
        carol = await self.peer("carol")
        for one in (alice, bob):
            await one.do(api.Connect(who=carol.address))
            await one.hears(api.Answered)

    async def test_lost_database(self) -> None:
        """Whoever made a new database beside an older key: the first start that is up says it, and no other."""
        alice = await self.peer("alice")
        await alice.stop()
        state = alice.service.settings.state
        for made_by in ("a start", "a command", "a failed start"):
            (state / "peer.db").unlink()
            if made_by == "a command":
                set_accept(state, "contacts")
            elif made_by == "a failed start":
                service = self.service("alice", state, interface="192.0.2.1")
                service.startService()
                await self.failed(service, UserError)
                await service.stopService()
            for told in (True, False):
                with capturedLogs() as logs:
                    alice = await self.peer("alice", state)
                    await alice.stop()
                lines = [formatEvent(log) for log in logs if log["log_level"] is LogLevel.warn]
                self.assertEqual(any("is new, and the key there is older" in line for line in lines), told, made_by)

    async def test_interface_that_is_not_there(self) -> None:
        """An address that is not this machine's is told in one line, and nothing stays open."""
        service = self.service("alice", interface="192.0.2.1")
        service.startService()
        error = await self.failed(service, UserError)
        self.assertIn("192.0.2.1", str(error))
        self.assertIsNone(holder(service.settings.state))
        await service.stopService()


class EndTests(PeerServiceTests):
    async def test_F23_second_in_one_directory(self) -> None:
        """A second peer in one state directory is refused, and names the first; the first goes on."""
        alice = await self.peer("alice")
        second = self.service("alice", alice.service.settings.state)
        second.startService()
        await self.failed(second, StateInUse)
        await second.stopService()
        self.assertIsInstance(await alice.do(api.Status()), api.PeerStatus)

    async def test_stop_with_open_links(self) -> None:
        """A peer that stops says so, and is gone soon; the other waits for it."""
        alice, bob = await self.peer("alice"), await self.peer("bob")
        await self.chatting(alice, bob)
        await alice.stop()
        await bob.hears(api.Silent)
        self.assertEqual(bob.told(api.Ended), [])
        self.assertEqual(alice.service._sweep.connections, frozenset())

    async def test_stopping_is_the_last_event(self) -> None:
        """After Stopping nothing is told."""
        server = await start_server(self, reactor)
        link = JoinLink("127.0.0.1", server.port.address.port, server.rendezvous.identity.id)
        alice, bob = await self.peer("alice", join=(link,)), await self.peer("bob")
        await alice.hears(api.ServerChanged)
        await self.chatting(alice, bob)
        await alice.stop()
        await bob.hears(api.Silent)
        self.assertIsInstance(alice.events[-1], api.Stopping)

    async def test_stop_with_connections_that_say_nothing(self) -> None:
        """Connections without a hello, ours and others', do not hold up the end."""
        mute = reactor.listenTCP(0, Factory.forProtocol(Protocol), interface="127.0.0.1")
        self.addCleanup(mute.stopListening)
        alice = await self.peer("alice", state=Path(self.mktemp()))
        silent = socket.create_connection(("127.0.0.1", int(alice.address.rpartition(":")[2])))
        self.addCleanup(silent.close)
        await alice.do(api.Connect(who=f"127.0.0.1:{mute.getHost().port}"))
        await until(reactor, lambda: len(alice.service._sweep.connections) == 2)
        began = reactor.seconds()
        await alice.stop()
        # Well before the ten seconds that they have for their hello.
        self.assertLess(reactor.seconds() - began, HELLO_WITHIN - 1)
        self.assertEqual(alice.told(api.Ended), [])

    async def test_stop_while_connecting(self) -> None:
        """A stop while the server and peers are dialled leaves nothing: no timer, no thread, no socket."""
        link = JoinLink("127.0.0.1", _free_port(), bytes(32))
        alice = await self.peer("alice", join=(link,))
        await alice.do(api.AddContact(id=(await self.peer("bob")).written, name="bob"))
        await alice.do(api.Connect(who="bob"))
        await alice.do(api.Connect(who=f"127.0.0.1:{_free_port()}"))
        await alice.stop()

    async def test_stop_while_starting(self) -> None:
        """A stop that comes before the start is over waits for it, and leaves nothing."""
        service = self.service("alice")
        service.startService()
        await service.stopService()
        self.assertIsNone(holder(service.settings.state))

    async def test_stop_by_command(self) -> None:
        """The command Stop asks the process to end."""
        alice = await self.peer("alice")
        asked: list[bool] = []
        alice.service.on_stop_asked(lambda: asked.append(True))
        await alice.do(api.Stop())
        self.assertEqual(asked, [True])

    async def test_commands_before_and_after(self) -> None:
        """Before the start and after the end commands are refused in one line."""
        service = self.service("alice")
        await self.refuses(service, "the peer is not ready; try again in a moment")
        service.startService()
        await service.started
        await service.stopService()
        await self.refuses(service, f"the peer in {service.settings.state} is ending; start it again")

    async def refuses(self, service: PeerService, words: str) -> None:
        try:
            await service.execute(api.Status())
        except UserError as error:
            self.assertEqual(str(error), words)
        else:
            self.fail("taken")

    async def test_nobody(self) -> None:
        """Errors of commands come out of execute."""
        alice = await self.peer("alice")
        await self.assertFailure(alice.service.execute(api.Connect(who="nobody")), NoSuchContact)

    async def test_front_end_that_fails(self) -> None:
        """A front end with a bug does not disturb the others; one that left hears nothing."""
        alice = await self.peer("alice")
        heard: list[Event] = []

        def broken(event: Event) -> None:
            raise ValueError("a bug")

        failing = alice.service.subscribe(broken)
        leaving = alice.service.subscribe(heard.append)
        leaving.cancel()
        leaving.cancel()
        await alice.do(api.Connect(who=f"127.0.0.1:{_free_port()}"))
        await alice.hears(api.Ended)
        failing.cancel()
        self.assertEqual(heard, [])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    async def test_doubts_without_a_front_end(self) -> None:
        """A doubt is in the log at once; one that the store cannot hold waits for the next front end."""
        alice = await self.peer("alice")
        assert alice.service.peer is not None
        environment = alice.service.peer.environment
        self.assertTrue(environment.heard())
        alice.subscription.cancel()
        self.assertFalse(environment.heard(), "what tells of messages is no front end")
        bob = api.Person(id="bob's id", name="bob")
        kept, stored = (
            api.Doubt(person=bob, mine=True, first=first, last=first, explanation="reset") for first in (0, 7)
        )
        with capturedLogs() as logs:
            environment.emit(kept)
            environment.emit(stored)
        self.assertEqual([log["log_level"] for log in logs], [LogLevel.warn] * 2)
        self.assertIn("our messages #7 to #7 of the chat with bob's id ('bob'): reset", formatEvent(logs[1]))
        await deferLater(reactor, 0)
        for told in ([kept], []):
            heard: list[Event] = []
            listening = alice.service.subscribe(heard.append)
            await deferLater(reactor, 0)
            self.assertEqual([event for event in heard if isinstance(event, api.Doubt)], told)
            listening.cancel()

    async def test_look_that_fails(self) -> None:
        """A bug in what is done every second does not end it."""
        alice = await self.peer("alice")
        looks: list[int] = []

        def look() -> None:
            looks.append(1)
            raise ValueError("a bug")

        others: list[int] = []
        self.patch(alice.service.peer, "look", look)
        self.patch(alice.service._commands, "look", lambda: others.append(1))
        alice.service._look()
        alice.service._look()
        self.assertEqual((len(looks), len(others)), (2, 2))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 2)


def _online(peer: Running) -> int:
    assert peer.service.peer is not None
    return sum(server.status().online for server in peer.service.peer.servers)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
