"""
Two bare programs that chat: mutual TLS, frames, msgspec, an acknowledgement for all that one read brought.

    python -m benchmarks.bare_chat STATE          listens
    python -m benchmarks.bare_chat STATE PORT     dials it

Where a message is to be durable, the one who says it commits it before it leaves, and the other one before it is
acknowledged, both in a writer thread that commits everything that waits at once.
"""

import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

import msgspec
from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IHandshakeListener
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer

from benchmarks.bare_store import BareStore
from benchmarks.bare_tls import BareTLS, send_at_once
from benchmarks.lines import Answer, run, serve
from p2pchat.core.framing import FrameBuffer, encode_frame


class Entry(Struct, tag_field="type", tag="entry"):
    """A message."""

    seq: int
    durable: bool
    bytes: bytes


class Have(Struct, tag_field="type", tag="have"):
    """Everything up to a message has come."""

    seq: int


_decode = msgspec.msgpack.Decoder(Entry | Have).decode
_encode = msgspec.msgpack.Encoder().encode


class Writer:
    """A thread that commits whatever waits, and calls back in the reactor's."""

    def __init__(self, reactor: Any, path: Path) -> None:
        self._reactor = reactor
        self._queue: SimpleQueue[tuple[list[bytes], Callable[[], None]]] = SimpleQueue()
        Thread(target=self._live, args=(path,), daemon=True).start()

    def append(self, texts: list[bytes], stored: Callable[[], None]) -> None:
        """Commit these; then call `stored`."""
        self._queue.put((texts, stored))

    def _live(self, path: Path) -> None:
        store = BareStore(path)
        while True:
            texts, stored = self._queue.get()
            batch, done = list(texts), [stored]
            while not self._queue.empty():
                texts, stored = self._queue.get()
                batch += texts
                done.append(stored)
            store.append(batch)
            self._reactor.callFromThread(self._tell, done)

    def _tell(self, done: list[Callable[[], None]]) -> None:
        for stored in done:
            stored()


@implementer(IHandshakeListener)
class Link(Protocol):
    """One end."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._frames = FrameBuffer()
        self._sent = 0
        self.acknowledged = 0
        self.ready: Deferred[None] = Deferred()
        self.on_have: Callable[[], None] = lambda: None

    def connectionMade(self) -> None:
        send_at_once(self.transport)

    def handshakeCompleted(self) -> None:
        self.ready.callback(None)

    def dataReceived(self, data: bytes) -> None:
        self._frames.feed(data)
        durable: list[bytes] = []
        seq = 0
        for frame in self._frames.frames():
            match _decode(frame):
                case Have(seq=have):
                    self.acknowledged = have
                    self.on_have()
                case Entry() as entry:
                    seq = entry.seq
                    if entry.durable:
                        durable.append(entry.bytes)
        if durable:
            self._writer.append(durable, lambda: self._write(Have(seq)))
        elif seq:
            self._write(Have(seq))

    def say(self, texts: list[bytes], durable: bool) -> None:
        """Send messages, which are committed first if so asked."""
        if durable:
            self._writer.append(texts, lambda: self._send(texts, True))
        else:
            self._send(texts, False)

    def _send(self, texts: list[bytes], durable: bool) -> None:
        frames = []
        for text in texts:
            self._sent += 1
            frames.append(encode_frame(_encode(Entry(self._sent, durable, text))))
        assert self.transport is not None
        self.transport.write(b"".join(frames))

    def _write(self, message: Have) -> None:
        assert self.transport is not None
        self.transport.write(encode_frame(_encode(message)))


class Links(Factory):
    """Makes them."""

    noisy = False

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def buildProtocol(self, addr: IAddress | None) -> Link:
        return Link(self._writer)


class Talk:
    """The questions of the benchmark, at the end that says something."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def act(self, what: str, **values: Any) -> Answer:
        """Do what is asked."""
        match what:
            case "one_by_one":
                return {"seconds": await self._one_by_one(**values)}
            case _:
                return {"seconds": await self._in_flight(**values)}

    async def _one_by_one(self, count: int, size: int, durable: bool) -> list[float]:
        """Seconds from saying to the acknowledgement, of one after the other."""
        seconds: list[float] = []
        for _ in range(count):
            had: Deferred[None] = Deferred()
            self._link.on_have = lambda had=had: had.callback(None)  # type: ignore[misc]
            started = time.perf_counter()
            self._link.say([b"x" * size], durable)
            await had
            seconds.append(time.perf_counter() - started)
        return seconds

    async def _in_flight(self, count: int, size: int, durable: bool, window: int) -> float:
        """Seconds for `count` messages, of which `window` are under way."""
        done: Deferred[None] = Deferred()
        text = b"x" * size
        first = self._link.acknowledged
        waiting = deque([text] * count)

        def fill(room: int) -> None:
            if waiting and room > 0:
                self._link.say([waiting.popleft() for _ in range(min(room, len(waiting)))], durable)

        def on_have() -> None:
            acknowledged = self._link.acknowledged - first
            if acknowledged == count:
                self._link.on_have = lambda: None
                done.callback(None)
            else:
                fill(window - (count - len(waiting) - acknowledged))

        self._link.on_have = on_have
        started = time.perf_counter()
        fill(window)
        await done
        return time.perf_counter() - started


async def start() -> None:
    """Listen or dial."""
    from twisted.internet import reactor

    factory = Links(Writer(reactor, Path(sys.argv[1])))
    tls = BareTLS(b"p2pchat-peer/1")
    if len(sys.argv) > 2:
        link: Link = await tls.dial(reactor, factory, int(sys.argv[2]))
        await link.ready
        serve({}, Talk(link).act)
        return

    async def nothing() -> Answer:
        return {}

    serve({"port": tls.listen(reactor, factory)}, nothing)


if __name__ == "__main__":
    run(start)
