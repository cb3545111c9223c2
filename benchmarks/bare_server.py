"""
The bare rendezvous: takes mutual TLS, frames and messages as the real one does, and does nothing else with them.

It greets, answers a registration, and passes it on to everybody who watches, encoded once. Nothing is checked, kept,
counted, limited or logged, and nobody is missed who is silent.
"""

from typing import Any

import msgspec
from msgspec import Struct
from twisted.internet.interfaces import IAddress, IHandshakeListener, ITransport
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from benchmarks.bare_tls import BareTLS, send_at_once
from benchmarks.lines import Answer, run, serve
from p2pchat.core.framing import FrameBuffer, encode_frame

KEY_PREFIX = bytes.fromhex("302a300506032b6570032100")
"""Whoever comes expects a SubjectPublicKeyInfo of Ed25519 in the greeting."""


class Signed(Struct):
    """A record, which nobody here reads."""

    body: bytes
    signature: bytes


class Came(Struct):
    """Any message of a peer, as far as it is read."""

    type: str
    record: Signed | None = None
    number: int = 0


_decode = msgspec.msgpack.Decoder(Came).decode
_encode = msgspec.msgpack.Encoder().encode

HELLO = encode_frame(
    _encode(
        {
            "type": "server-hello",
            "version": 1,
            "key": KEY_PREFIX + bytes(32),
            "proof": bytes(64),
            "time": 1_790_000_000_000,
            "observed": {"host": "127.0.0.1", "port": 7777},
            "nonce": bytes(16),
        }
    )
)


@implementer(IHandshakeListener)
class Link(Protocol):
    """One peer."""

    def __init__(self, watchers: list[ITransport]) -> None:
        self._watchers = watchers
        self._frames = FrameBuffer()

    def connectionMade(self) -> None:
        send_at_once(self.transport)

    def handshakeCompleted(self) -> None:
        assert isinstance(self.transport, TLSMemoryBIOProtocol)
        self.transport.write(HELLO)

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self._frames.feed(data)
        for frame in self._frames.frames():
            came = _decode(frame)
            match came.type:
                case "register":
                    self._say(type="registered", handle="bare", expires=30)
                    if self._watchers:
                        self._push(came.record)
                case "ping":
                    self._say(type="pong", number=came.number)
                case "watch":
                    self._watchers.append(self.transport)
                    self._say(type="roster", number=0, listings=[], more=False)

    def _say(self, **message: Any) -> None:
        assert self.transport is not None
        self.transport.write(encode_frame(_encode(message)))

    def _push(self, record: Signed | None) -> None:
        listing = {"record": record, "online": True}
        frame = encode_frame(_encode({"type": "changes", "since": 0, "number": 1, "listings": [listing]}))
        for watcher in self._watchers:
            watcher.write(frame)


class Links(Factory):
    """All of them."""

    noisy = False

    def __init__(self) -> None:
        self._watchers: list[ITransport] = []

    def buildProtocol(self, addr: IAddress | None) -> Link:
        return Link(self._watchers)


async def start() -> None:
    """Listen on a free port of the loopback interface, and say which."""
    from twisted.internet import reactor

    port = BareTLS(b"p2pchat-server/1").listen(reactor, Links())

    async def act() -> Answer:
        return {}

    serve({"port": port}, act)


if __name__ == "__main__":
    run(start)
