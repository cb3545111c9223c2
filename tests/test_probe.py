"""Looking who answers at a server's address, against a real listener."""

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from p2pchat.core.errors import EndCode, UserError
from p2pchat.core.identity import Domain, Identity
from p2pchat.core.messages import VERSION, Address, Hello, Message, ServerHello
from p2pchat.core.session import Session
from p2pchat.core.states import Side
from p2pchat.net.admission import Admission, AdmissionLimits
from p2pchat.net.certificates import own_credentials
from p2pchat.net.connection import Connection, Ending, LinkKeeper, Sweep
from p2pchat.net.listener import ListenerFactory, listen
from p2pchat.net.tls import PEER_PROTOCOL, SERVER_PROTOCOL, Authenticated, ListenerTLS
from p2pchat.peer.offline import FoundServer
from p2pchat.peer.probe import Place, probe_server

SERVER = Identity.from_seed(b"s" * 32)
OTHER = Identity.from_seed(b"t" * 32)
WALL = 1_700_000_000_000


class Server(LinkKeeper):
    """A server that greets; `key` and `signer` may be others than those of its certificate."""

    def __init__(self, key: bytes = SERVER.key, signer: Identity = SERVER) -> None:
        self._key = key
        self._signer = signer
        self.hello: Hello | None = None
        self.authenticated: Authenticated | None = None
        self.ended: Deferred[Ending] = Deferred()

    def begin(self, connection: Connection, authenticated: Authenticated) -> Session:
        self.authenticated = authenticated
        hello = ServerHello(
            version=VERSION,
            key=self._key,
            proof=self._signer.sign(Domain.SERVER, authenticated.exporter),
            time=WALL,
            observed=Address(host="127.0.0.1", port=7777),
            nonce=bytes(16),
        )
        return Session(Side.SERVER, hello, connection._clock.seconds())

    def received(self, connection: Connection, message: Message) -> None:
        if isinstance(message, Hello):
            self.hello = message

    def writable(self, connection: Connection) -> None:
        pass

    def lost(self, connection: Connection, ending: Ending) -> None:
        if not self.ended.called:
            self.ended.callback(ending)


class ProbeTests(TestCase):
    reactor: Any = reactor

    def serve(self, server: Server, protocol: bytes = SERVER_PROTOCOL) -> int:
        tls = ListenerTLS(own_credentials(SERVER.private_key, WALL), (protocol,))
        admission = Admission(Clock(), AdmissionLimits(10), lambda address: address.is_loopback, lambda: 0.5)
        factory = ListenerFactory(lambda: Connection(server, self.reactor, Sweep(self.reactor)))
        port: Any = listen(self.reactor, self.reactor, factory, tls, admission, 0, "127.0.0.1")
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    async def probe(self, port: int, host: str = "127.0.0.1") -> FoundServer:
        return await probe_server(self.reactor, self.reactor, host, port, WALL)

    async def refused(self, words: str, port: int, host: str = "127.0.0.1") -> None:
        try:
            await self.probe(port, host)
        except UserError as error:
            self.assertIn(words, str(error))
            self.assertNotIn("\n", str(error))
        else:
            self.fail("it was found")

    async def test_found(self) -> None:
        """The server's key is proved; it learns a stranger's key, and nothing registers."""
        server = Server()
        found = await self.probe(self.serve(server))
        self.assertEqual((found.id, found.key, found.certified), (SERVER.id, SERVER.key, False))
        ending = await server.ended
        self.assertEqual((ending.code, ending.by_them), (EndCode.LEAVING, True))

    async def test_other_key_than_in_tls(self) -> None:
        """A server cannot name another key than it showed."""
        server = Server(OTHER.key, OTHER)
        await self.refused("does not prove its key", self.serve(server))
        await server.ended

    async def test_wrong_proof(self) -> None:
        """Nor one whose proof is another's."""
        server = Server(SERVER.key, OTHER)
        await self.refused("does not prove its key", self.serve(server))
        await server.ended

    async def test_a_peer(self) -> None:
        """A peer's port is no server."""
        server = Server()
        await self.refused("another protocol", self.serve(server, PEER_PROTOCOL))
        await server.ended

    async def test_nobody(self) -> None:
        """Where nobody listens, that is said."""
        port: Any = self.reactor.listenTCP(0, Factory(), interface="127.0.0.1")
        number = port.getHost().port
        await port.stopListening()
        await self.refused(f"cannot reach 127.0.0.1:{number}", number)

    async def test_no_name(self) -> None:
        """What can be no host's name is said to be none, as one that nobody knows."""
        for host in ("lab1..example", "lab*", f"{'a' * 70}.example"):
            await self.refused("check the address", 8888, host)

    def test_place(self) -> None:
        """An IPv6 address stands in brackets before its port."""
        self.assertEqual([str(Place("::1", 5)), str(Place("lab1"))], ["[::1]:5", "lab1:8888"])
