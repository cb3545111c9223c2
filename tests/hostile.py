"""
An attacker's tools against real listeners, for tests: bare TCP, TLS with anything in it, frames of anything.

`Attack` is the base of the tests: it dials from any loopback address, and looks after what it opened. `Hurried` is the
real reactor with a clock that a test may push on, so that limits of minutes are met on real sockets without waiting.
The numbers of every flood stand in `COUNTS`: lowered for `make test`, full for `make soak`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from OpenSSL import SSL
from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, UNIXClientEndpoint
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock, LoopingCall, deferLater
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import directlyProvides, implementer, providedBy

from p2pchat.core.framing import LARGE_FRAME, FrameBuffer
from p2pchat.core.identity import Identity

from .forgery import by_hand
from .handshakes import StrangersTLS, abort, stranger_context

real_reactor: Any = installed_reactor

LOOPBACK = "127.0.0.1"

PATIENCE = 90.0
"""Seconds of real time after which a test gives up; nothing is expected to take so long."""

SOAK = os.environ.get("P2PCHAT_SOAK") == "1"


@dataclass(frozen=True)
class Counts:
    """How much of everything the attacker brings, and the lowered caps that it meets."""

    pending: int
    """Cap: connections that have not said hello (T10)."""
    connects: int
    """T10: connections, in waves, from one address; and as many from many addresses."""
    sources: int
    """T10: addresses that they come from."""
    strangers: int
    """P15, R1: strangers at a peer, each with its own key, that say hello and no more."""
    capacity: int
    """Cap: peers online at the server (R1)."""
    keys: int
    """R1: fresh keys that register."""
    messages: int
    """P15: small valid messages in a row."""
    rows: int
    """R5: rows that an evil server sends."""
    records: int
    """R5: records that a peer hands over, and that an evil server sends by and by."""
    nothing: int
    """T8: TLS records without content."""
    noise: int
    """P4, P7: bytes of noise."""


COUNTS = (
    Counts(256, 20_000, 500, 1_000, 2_000, 2_200, 10_000, 1_000_000, 20_000, 1_000_000, 64 * 2**20)
    if SOAK
    else Counts(20, 110, 11, 72, 20, 22, 1_100, 5_500, 550, 22_000, 2**20)
)


class Hurried:
    """The real reactor, whose clock a test may push on; timers then come in order, sockets stay what they are."""

    def __init__(self, test: TestCase) -> None:
        self._ahead = 0.0
        self._timers = Clock()
        self._timers.rightNow = self._real()
        directlyProvides(self, providedBy(real_reactor))
        self._loop = LoopingCall(self._catch_up)
        self._loop.start(0.01, now=False)
        test.addCleanup(self._stop)

    def __getattr__(self, name: str) -> Any:
        return getattr(real_reactor, name)

    @staticmethod
    def _real() -> float:
        return float(real_reactor.seconds())

    def seconds(self) -> float:
        """What the tested code takes for the time."""
        return self._real() + self._ahead

    def callLater(self, delay: float, function: Callable[..., Any], *args: Any, **keywords: Any) -> Any:
        if delay <= 0:
            return real_reactor.callLater(0, function, *args, **keywords)
        self._timers.rightNow = max(self._timers.rightNow, self.seconds())
        return self._timers.callLater(delay, function, *args, **keywords)

    async def skip(self, seconds: float) -> None:
        """Let so much time pass; what was sent meanwhile arrives."""
        while seconds > 0:
            step = min(0.5, seconds)
            seconds -= step
            self._ahead += step
            self._catch_up()
            await deferLater(real_reactor, 0.002)

    async def turn(self) -> None:
        """One turn of the reactor, or a few."""
        await deferLater(real_reactor, 0)

    def _catch_up(self) -> None:
        self._timers.advance(max(0.0, self.seconds() - self._timers.rightNow))

    def _stop(self) -> None:
        self._loop.stop()


class Caller(Protocol):
    """A TCP connection that says only what it is told."""

    def __init__(self) -> None:
        self.received = b""
        self.lost: Failure | None = None
        self.connected_to_somebody = False

    def connectionMade(self) -> None:
        self.connected_to_somebody = True

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason

    def say(self, data: bytes) -> None:
        """Send bytes."""
        assert self.transport is not None
        self.transport.write(data)

    def hang_up(self) -> None:
        """Drop the connection."""
        if self.lost is None and self.transport is not None:
            abort(self.transport)


@implementer(IHandshakeListener)
class Liar(Caller):
    """One end of TLS and frames, without any manners: it keeps what comes and sends what it is told."""

    def __init__(self, identity: Identity) -> None:
        super().__init__()
        self.identity = identity
        self.shaken = False
        self.messages: list[dict[str, Any]] = []
        self.on_message: Callable[[dict[str, Any]], None] = lambda message: None
        self.on_shaken: Callable[[], None] = lambda: None
        self._frames = FrameBuffer(LARGE_FRAME)

    def handshakeCompleted(self) -> None:
        self.shaken = True
        self.on_shaken()

    def dataReceived(self, data: bytes) -> None:
        self._frames.feed(data)
        for body in self._frames.frames():
            message = msgspec.msgpack.decode(body)
            self.messages.append(message)
            self.on_message(message)

    def tell(self, kind: str, **fields: Any) -> None:
        """Send a message, whether it is one or not."""
        self.say(frame({"type": kind, **fields}))

    def say_hello(self, **changes: Any) -> None:
        """Say a good hello, or one with some fields changed."""
        self.say(frame(hello(**changes)))

    def of(self, *kinds: str) -> list[dict[str, Any]]:
        """The messages of these types that came."""
        return [message for message in self.messages if message["type"] in kinds]

    @property
    def bye(self) -> str | None:
        """The code with which the far side ended the link."""
        byes = self.of("bye")
        return byes[-1]["code"] if byes else None

    @property
    def below(self) -> Any:
        """The TCP transport under TLS."""
        transport: Any = self.transport
        return transport.transport

    @property
    def tls(self) -> SSL.Connection:
        """OpenSSL's end."""
        transport: Any = self.transport
        connection: SSL.Connection = transport.getHandle()
        return connection


def frame(message: Any) -> bytes:
    """A frame of whatever MessagePack can hold; bytes are taken for an encoded body."""
    body = message if isinstance(message, bytes) else msgspec.msgpack.encode(message)
    return len(body).to_bytes(4, "big") + body


def hello(handle: str = "mallory", nonce: bytes = b"n" * 16, **changes: Any) -> dict[str, Any]:
    """A good hello, or one with some fields changed."""
    fields = {"version": 1, "handle": handle, "nonce": nonce, "store": b"s" * 16}
    return {"type": "hello", **fields, **changes}


class Attack(TestCase):
    """Base of tests that attack a listener on a port of the loopback interface."""

    timeout = 600 if SOAK else 300

    def setUp(self) -> None:
        self.reactor: Any = Hurried(self)
        self.callers: list[Caller] = []
        self.addCleanup(self.hang_up)

    async def hang_up(self) -> None:
        for caller in self.callers:
            caller.hang_up()
        await self.until(lambda: all(caller.lost for caller in self.callers if caller.connected_to_somebody))

    async def until(self, condition: Callable[[], bool], what: str = "it to happen") -> None:
        """Wait for the world to become so; bounded by real time."""
        end = Hurried._real() + (10 * PATIENCE if SOAK else PATIENCE)
        while not condition():
            self.assertLess(Hurried._real(), end, f"waited in vain for {what}")
            await deferLater(real_reactor, 0.005)

    async def call(self, port: int, source: str = LOOPBACK) -> Caller:
        """A bare TCP connection, from any address of the loopback network."""
        caller = Caller()
        await self._connect(port, Factory.forProtocol(lambda: caller), source)
        self.callers.append(caller)
        return caller

    async def open_socket(self, path: str) -> Caller:
        """A connection to the local socket."""
        caller = Caller()
        # A checkout may lie deeper than the 107 bytes that an address has room for.
        directory = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY)
        try:
            near = f"/proc/self/fd/{directory}/{os.path.basename(path)}"
            await UNIXClientEndpoint(real_reactor, near).connect(Factory.forProtocol(lambda: caller))
        finally:
            os.close(directory)
        self.callers.append(caller)
        return caller

    async def shake_hands(
        self,
        port: int,
        identity: Identity,
        protocol: bytes,
        source: str = LOOPBACK,
        context: SSL.Context | None = None,
    ) -> Liar:
        """A TLS connection; `shaken` tells whether it came about, `lost` how it ended."""
        if context is None:
            context = stranger_context(identity.private_key, by_hand(identity.private_key), protocol=protocol)
        liar = Liar(identity)
        factory = TLSMemoryBIOFactory(
            StrangersTLS(context),
            True,
            Factory.forProtocol(lambda: liar),
            real_reactor,
        )
        await self._connect(port, factory, source)
        self.callers.append(liar)
        await self.until(lambda: liar.shaken or liar.lost is not None, "a handshake")
        return liar

    @staticmethod
    def ensure(coroutine: Any) -> Deferred[Any]:
        """So that several run at once."""
        return Deferred.fromCoroutine(coroutine)

    def _connect(self, port: int, factory: Any, source: str) -> Deferred[Any]:
        endpoint = TCP4ClientEndpoint(real_reactor, LOOPBACK, port, 10, (source, 0))
        return endpoint.connect(factory)

    async def comes(self, liar: Liar, kind: str, count: int = 1) -> None:
        """So many messages of a type come."""
        await self.until(lambda: len(liar.of(kind)) >= count, f"{count} times {kind}")

    async def assert_gone(self, *callers: Caller) -> None:
        """These connections are closed by the far side, sooner or later."""
        await self.until(lambda: all(caller.lost is not None for caller in callers), "an end")
