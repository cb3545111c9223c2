"""
Records and servers that lie, for tests: whatever a server may say to a peer, true or not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from OpenSSL import SSL
from twisted.internet.protocol import Factory
from twisted.protocols.tls import TLSMemoryBIOFactory

from p2pchat.core.identity import Domain, Identity, JoinLink, key_from_public
from p2pchat.net.tls import EXPORTER_LABEL, SERVER_PROTOCOL

from .forgery import by_hand
from .handshakes import StrangersTLS, stranger_context
from .hostile import LOOPBACK, Attack, Liar, real_reactor

TIME = 1_790_000_000_000
"""The clock of an evil server, in ms since 1970."""


def signed_record(peer: Identity, server: bytes, counter: int, **changes: Any) -> dict[str, Any]:
    """A record signed by `peer`, of whatever is said."""
    fields = {
        "key": peer.key,
        "server": server,
        "handle": f"peer-{peer.id.hex()[:8]}",
        "name": "",
        "addresses": [{"host": "10.9.9.9", "port": 6666}],
        "counter": counter,
    }
    body = msgspec.msgpack.encode({**fields, **changes})
    return {"body": body, "signature": peer.sign(Domain.RECORD, body)}


def listing(record: dict[str, Any], online: bool = True, **changes: Any) -> dict[str, Any]:
    """A row of the roster."""
    return {"record": record, "online": online, **changes}


class Trap:
    """A listening port with TLS, which keeps every link that comes; `links` are the listener's ends."""

    def __init__(self, test: Attack, identity: Identity, protocol: bytes, host: str = LOOPBACK) -> None:
        self.test = test
        self.identity = identity
        self.host = host
        self.links: list[Liar] = []
        self._protocol = protocol
        self._tls = StrangersTLS(self._context())
        factory = TLSMemoryBIOFactory(
            self._tls,
            False,
            Factory.forProtocol(self._make),
            real_reactor,
        )
        port = real_reactor.listenTCP(0, factory, interface=host)
        test.addCleanup(port.stopListening)
        self.port: int = port.getHost().port

    def become(self, identity: Identity) -> None:
        """Show another key from the next link on."""
        self.identity = identity
        self._tls.context = self._context()

    def _context(self) -> SSL.Context:
        key = self.identity.private_key
        return stranger_context(key, by_hand(key), protocol=self._protocol)

    def _make(self) -> Liar:
        link = Liar(self.identity)
        self.links.append(link)
        self.test.callers.append(link)
        link.on_shaken = lambda: self.shaken(link)
        link.on_message = lambda message: self.came(link, message)
        return link

    def shaken(self, link: Liar) -> None:
        """A handshake is complete."""

    def came(self, link: Liar, message: dict[str, Any]) -> None:
        """A message came."""


class EvilServer(Trap):
    """
    A rendezvous server that does what a test tells it.

    As it is, it greets, registers everybody, and answers `watch` with an empty roster. A test replaces the answers.
    """

    def __init__(self, test: Attack, identity: Identity, host: str = LOOPBACK) -> None:
        super().__init__(test, identity, SERVER_PROTOCOL, host)
        self.answers: dict[str, Callable[[Liar, dict[str, Any]], None]] = {
            "register": lambda link, message: link.tell("registered", handle="victim", expires=30),
            "watch": lambda link, message: link.tell("roster", number=0, listings=[], more=False),
            "ping": lambda link, message: link.tell("pong", number=message["number"]),
        }
        self.greeting: dict[str, Any] = {}
        """What to say otherwise than it should in `server-hello`."""

    @property
    def join(self) -> JoinLink:
        """The link by which peers join it."""
        return JoinLink(self.host, self.port, self.identity.id)

    def say(self, kind: str, **fields: Any) -> None:
        """Say something on the newest link."""
        self.links[-1].tell(kind, **fields)

    def shaken(self, link: Liar) -> None:
        proof = self.identity.sign(Domain.SERVER, link.tls.export_keying_material(EXPORTER_LABEL, 32))
        fields = {
            "version": 1,
            "key": key_from_public(self.identity.private_key.public_key()),
            "proof": proof,
            "time": TIME,
            "observed": {"host": LOOPBACK, "port": 7777},
            "nonce": b"S" * 16,
        }
        link.tell("server-hello", **{**fields, **self.greeting})

    def came(self, link: Liar, message: dict[str, Any]) -> None:
        answer = self.answers.get(message["type"])
        if answer is not None:
            answer(link, message)
