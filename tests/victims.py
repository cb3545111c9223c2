"""
Who is attacked, for tests: a real server and a real peer, each with somebody honest on an open link beside the attack.

Both are in the test's process, on real sockets. `undisturbed` is the question of every attack's test: does the honest
one still get all that it is owed?
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from p2pchat import api
from p2pchat.config import PeerSettings
from p2pchat.core.entries import conversation_of, first_head, next_head, stream_name, text_entry
from p2pchat.core.identity import Identity, JoinLink, format_id
from p2pchat.core.messages import Address, Registered
from p2pchat.core.states import State
from p2pchat.net.admission import Admission, AdmissionLimits
from p2pchat.net.certificates import own_credentials
from p2pchat.net.connection import Connection
from p2pchat.net.tls import PEER_PROTOCOL, SERVER_PROTOCOL
from p2pchat.peer.offline import FoundServer, put_server
from p2pchat.peer.server_host import ServerState
from p2pchat.peer.service import PeerService
from p2pchat.server.service import RendezvousService
from p2pchat.storage.peer_tables import PeerTables
from p2pchat.storage.servers import Server

from .hostile import COUNTS, Attack, Liar
from .liars import EvilServer, Trap, signed_record
from .rosters import identity
from .servers import Client, dial_port, start_server

FRIEND = identity(7_001)
"""The honest one."""


class Talk:
    """The end of a chat that a test plays: a link on which both consented, and a stream of its own."""

    def __init__(self, liar: Liar, me: bytes, them: bytes) -> None:
        self.liar = liar
        self.conversation = conversation_of(me, them)
        self.stream = stream_name(self.conversation, me, b"r" * 16)
        self.seq = 0
        self.head = first_head(self.stream)

    def holding(self, **changes: Any) -> dict[str, Any]:
        """What is in the stream so far."""
        base = first_head(self.stream)
        fields = {"stream": self.stream, "first": 1, "base": base, "seq": self.seq, "head": self.head}
        return {**fields, **changes}

    def link_up(self) -> None:
        """Tell what there is: a stream of our own that is empty."""
        self.liar.tell("have", streams=[self.holding()], last=True)

    def entry(self, data: bytes) -> None:
        """Send the next entry, of any bytes."""
        self.seq += 1
        self.head = next_head(self.head, data)
        self.liar.tell("entry", stream=self.stream, seq=self.seq, bytes=data, history=False)

    def say(self, text: str) -> None:
        """Send a message."""
        number = self.seq + 1
        identifier = number.to_bytes(16, "big")
        self.entry(text_entry(text, id=identifier, number=number, lamport=number, time=1_790_000_000_000))

    @property
    def acknowledged(self) -> int:
        """Up to where the other side says that it has the stream on its disk."""
        found = [each for have in self.liar.of("have") for each in have["streams"] if each["stream"] == self.stream]
        return max((each["seq"] for each in found), default=0)


class Victim:
    """What is attacked."""

    protocol: bytes
    port: int
    id: bytes

    def __init__(self, test: Attack) -> None:
        self.test = test

    @property
    def admission(self) -> Admission:
        """The places of those who have said nothing yet."""
        raise NotImplementedError

    @property
    def connections(self) -> list[Connection]:
        """Every link of the victim, and what is not one yet."""
        raise NotImplementedError

    def lower(self) -> None:
        """Lower the caps to those of the test."""
        self.admission.limits = AdmissionLimits(self.admission.limits.connections, pending=COUNTS.pending)

    async def shaken(self, identity: Identity, **options: Any) -> Liar:
        """A TLS connection to the victim, and nothing said."""
        return await self.test.shake_hands(self.port, identity, self.protocol, **options)

    async def greeted(self, identity: Identity, **options: Any) -> Liar:
        """A link on which both said hello."""
        liar = await self.shaken(identity, **options)
        liar.say_hello()
        await self.test.until(lambda: bool(liar.of(self.hello_type)) or liar.lost is not None, "a hello")
        await self.test.until(lambda: State.GREETING not in self.states(), "both hellos")
        return liar

    hello_type: str

    async def opened(self, identity: Identity) -> Liar:
        """A link that is as open as it can be."""
        raise NotImplementedError

    async def undisturbed(self) -> None:
        """The honest one still has its link, and what it asks for is done."""
        raise NotImplementedError

    @property
    def socket(self) -> Path:
        """Where programs and admins of this machine talk to it."""
        raise NotImplementedError

    def states(self) -> list[State]:
        """Where its links with strangers are."""
        return [each.session.state for each in self.connections if hasattr(each, "session")]

    def piled(self) -> int:
        """Bytes that wait for readers."""
        transports: list[Any] = [each.transport for each in self.connections if each.transport is not None]
        sockets = [each.transport for each in transports]
        return sum(len(each.dataBuffer) + sum(map(len, each._tempDataBuffer)) for each in sockets)

    def held(self) -> int:
        """Bytes that the victim holds of frames that are not whole."""
        begun = [each for each in self.connections if hasattr(each, "session")]
        return sum(len(each.session._inbound) for each in begun)


class ServerVictim(Victim):
    """A rendezvous server with somebody registered."""

    protocol = SERVER_PROTOCOL
    hello_type = "server-hello"

    async def start(self, **settings: Any) -> ServerVictim:
        self.service: RendezvousService = await start_server(self.test, self.test.reactor, **settings)
        # Before it ends: it would wait for those who never close.
        self.test.addCleanup(self.test.hang_up)
        self.port = self.service.port.address.port
        self.id = self.service.identity.id
        self.lower()
        self.friend = await dial_port(self.test, self.test.reactor, self.port, Client(FRIEND, self.test.reactor))
        self.friend.register()
        await self.test.until(lambda: self.friend.online, "a registration")
        return self

    @property
    def admission(self) -> Admission:
        return self.service.port.admission

    @property
    def connections(self) -> list[Connection]:
        return [each for each in self.service.port._sweep.connections if not self._is_friend(each)]

    def _is_friend(self, connection: Connection) -> bool:
        return hasattr(connection, "authenticated") and connection.authenticated.key == FRIEND.key

    @property
    def socket(self) -> Path:
        return self.service._settings.state / "socket"

    def record(self, peer: Identity, liar: Liar, **changes: Any) -> dict[str, Any]:
        """A record for this server, signed by `peer`."""
        return signed_record(peer, self.id, liar.of("server-hello")[0]["time"], **changes)

    async def opened(self, identity: Identity) -> Liar:
        liar = await self.greeted(identity)
        liar.tell("register", record=self.record(identity, liar))
        await self.test.until(lambda: bool(liar.of("registered")) or liar.lost is not None, "a registration")
        return liar

    async def undisturbed(self) -> None:
        self.test.assertTrue(self.friend.online)
        before = len(self.friend.of(Registered))
        self.friend.register(self.friend.hello.time + before)
        await self.test.until(lambda: len(self.friend.of(Registered)) > before, "an answer to the honest one")


class PeerVictim(Victim):
    """A peer with a chat open with somebody."""

    protocol = PEER_PROTOCOL
    hello_type = "hello"

    async def start(self, **settings: Any) -> PeerVictim:
        given = {"state": Path(self.test.mktemp()), "listen_port": 0, "dial_port": 0, "interface": "127.0.0.1"}
        self.settings = PeerSettings(**{**given, "name": "victim", "accept": "ask", **settings})
        self.events: list[api.Event] = []
        self.service = PeerService(self.settings, self.test.reactor)
        self.service.subscribe(self.events.append)
        self.service.startService()
        self.test.addCleanup(self._stop)
        self.test.addCleanup(self.test.hang_up)
        await self.service.started
        assert self.service.peer is not None
        self.peer = self.service.peer
        self.port = self.peer.listens[0].port
        self.id = self.peer.environment.identity.id
        self.lower()
        self.talk = await self.befriend(FRIEND, "friend")
        return self

    async def _stop(self) -> None:
        if self.service.running:
            await self.service.stopService()

    async def befriend(self, friend: Identity, name: str) -> Talk:
        """Open a chat with somebody who is a contact from now on."""
        await self.do(api.AddContact(id=format_id(friend.id), name=name))
        return await self.chat(friend)

    async def invite(self, friend: Identity) -> None:
        """Make somebody a contact."""
        await self.do(api.AddContact(id=format_id(friend.id), name=self.name_of(friend)))

    @staticmethod
    def name_of(friend: Identity) -> str:
        """The petname of whoever was invited."""
        return f"c{friend.id.hex()[:8]}"

    @property
    def socket(self) -> Path:
        return self.service._directory.socket_file

    async def chat(self, friend: Identity) -> Talk:
        """A link with a contact on which everything is said up to the end of link-up."""
        # Links of one id come under a rate of their own.
        await self.test.reactor.skip(1.0)
        liar = await self.greeted(friend)
        await self.consent(liar)
        talk = Talk(liar, friend.id, self.id)
        talk.link_up()
        await self.test.until(lambda: any(have.get("last") for have in liar.of("have")), "link-up")
        return talk

    async def consent(self, liar: Liar) -> None:
        """Accept, and select as whoever leads must."""
        liar.on_message = polite(liar)
        liar.tell("accept", scope="always")
        await self.test.until(lambda: bool(liar.of("accept")) or liar.lost is not None, "consent")
        if liar.identity.id < self.id:
            liar.tell("select")
        else:
            await self.test.until(lambda: bool(liar.of("select")) or liar.lost is not None, "a choice")

    async def join(self, server: EvilServer, link: JoinLink | None = None, online: bool = True) -> None:
        """Join a server, as `p2pchat join` does, and link with it."""
        link = link or server.join
        database, now = self.peer.environment.database, self.peer.environment.wall()
        found = FoundServer(link.server or b"")

        def put(tables: PeerTables) -> Server:
            put_server(tables, link, "victim", found, now)
            [server] = tables.servers.all()
            return server

        joined = await database.write(put)
        credentials = own_credentials(self.peer.environment.identity.private_key, now)
        await self.service._join(self.peer, joined, self.peer._dialler, credentials)
        if online:
            await self.test.until(lambda: self.peer.servers[-1].state is ServerState.ONLINE, "the server")

    def note_dials(self) -> list[Address]:
        """The addresses that it dials from now on."""
        dialled: list[Address] = []
        dialler = self.peer._dialler
        dial = dialler.dial

        async def note(host: str, port: int, *rest: Any) -> Connection:
            dialled.append(Address(host=host, port=port))
            return await dial(host, port, *rest)

        self.test.patch(dialler, "dial", note)
        return dialled

    async def do(self, command: api.Command) -> api.Reply:
        """Execute a command of the victim's person."""
        return await self.service.execute(command)

    def told(self, *kinds: type[api.Event]) -> list[Any]:
        """The events of these classes that the victim's front ends got."""
        return [event for event in self.events if isinstance(event, kinds)]

    @property
    def said(self) -> list[tuple[str, str]]:
        """Who said what, as the front ends were told."""
        return [(event.person.name, event.text) for event in self.told(api.Said)]

    @property
    def admission(self) -> Admission:
        assert self.service._admission is not None
        return self.service._admission

    @property
    def connections(self) -> list[Connection]:
        found = self.peer._dialler._sweep.connections
        return [each for each in found if getattr(each, "authenticated", None) is None or not self._is_friend(each)]

    def _is_friend(self, connection: Connection) -> bool:
        return connection.authenticated.key == FRIEND.key

    async def opened(self, identity: Identity) -> Liar:
        await self.invite(identity)
        return (await self.chat(identity)).liar

    async def undisturbed(self) -> None:
        self.test.assertIsNone(self.talk.liar.lost)
        text = f"still here, {self.talk.seq}"
        self.talk.say(text)
        await self.test.until(lambda: self.talk.acknowledged == self.talk.seq, "an acknowledgement to the honest one")
        await self.test.until(lambda: ("friend", text) in self.said, "the words of the honest one")


def polite(liar: Liar) -> Callable[[dict[str, Any]], None]:
    """Answers pings."""

    def answer(message: dict[str, Any]) -> None:
        if message["type"] == "ping":
            liar.tell("pong", number=message["number"])

    return answer


class EvilPeer(Trap):
    """A peer that is dialled, and says what a test tells it."""

    def __init__(self, test: Attack, identity: Identity) -> None:
        super().__init__(test, identity, PEER_PROTOCOL)

    def shaken(self, link: Liar) -> None:
        link.say_hello(handle="bob")

    async def chat(self, victim: PeerVictim) -> Talk:
        """Consent on the newest link, and go on to the end of link-up."""
        link = self.links[-1]
        await victim.consent(link)
        talk = Talk(link, self.identity.id, victim.id)
        talk.link_up()
        await self.test.until(lambda: any(have.get("last") for have in link.of("have")), "link-up")
        return talk
