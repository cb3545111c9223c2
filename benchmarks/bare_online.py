"""
A bare peer that comes online: `python -m benchmarks.bare_online PORT` links with the bare server there, registers,
and says so.
"""

import sys

import msgspec
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer

from benchmarks.bare_tls import BareTLS, send_at_once
from benchmarks.lines import run
from p2pchat.core.framing import FrameBuffer, encode_frame

_encode = msgspec.msgpack.Encoder().encode


@implementer(IHandshakeListener)
class Link(Protocol):
    """The link to the server."""

    def __init__(self) -> None:
        self._frames = FrameBuffer()

    def connectionMade(self) -> None:
        send_at_once(self.transport)

    def handshakeCompleted(self) -> None:
        assert self.transport is not None
        record = {"body": bytes(150), "signature": bytes(64)}
        self.transport.write(encode_frame(_encode({"type": "register", "record": record})))

    def dataReceived(self, data: bytes) -> None:
        self._frames.feed(data)
        for frame in self._frames.frames():
            if msgspec.msgpack.decode(frame)["type"] == "registered":
                print("online", flush=True)


async def start() -> None:
    """Dial; the rest happens by itself."""
    from twisted.internet import reactor

    await BareTLS(b"p2pchat-server/1").dial(reactor, Factory.forProtocol(Link), int(sys.argv[1]))


if __name__ == "__main__":
    run(start)
