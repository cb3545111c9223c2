"""A TCP connection in memory that is as stubborn as a real one: full buffers, readers that do not read, aborts."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IConsumer, IProducer, IProtocol, IPushProducer, ITransport
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

BUFFER = 64 * 1024
"""Bytes that wait before a producer is paused: as in Twisted's own transports."""


@implementer(ITransport, IConsumer)
class WireEnd:
    """One end's socket."""

    def __init__(self, clock: Clock, port: int) -> None:
        self.reads = True
        """Whether this end takes bytes; what is sent to one that does not waits at the sender."""
        self.waiting = bytearray()
        """What was written here and not taken by the other end."""
        self.connected = True
        self.disconnecting = False
        self.protocol: IProtocol | None = None
        self.other: WireEnd | None = None
        self._clock = clock
        self._port = port
        self._producer: IPushProducer | None = None
        self._paused = False

    def write(self, data: bytes) -> None:
        if not self.connected or self.disconnecting:
            return
        self.waiting += data
        if self._producer is not None and not self._paused and len(self.waiting) > BUFFER:
            self._paused = True
            self._producer.pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        assert self._producer is None and streaming and IPushProducer.providedBy(producer)
        self._producer = producer

    def unregisterProducer(self) -> None:
        self._producer = None
        self._paused = False

    def loseConnection(self) -> None:
        self.disconnecting = True

    def abortConnection(self) -> None:
        self.waiting.clear()
        self.lose(ConnectionAborted())

    def lose(self, reason: Exception) -> None:
        """The connection is gone; the protocol is told in the next turn, once."""
        if self.connected:
            self.connected = False
            assert self.protocol is not None
            self._clock.callLater(0, self.protocol.connectionLost, Failure(reason))

    def carry(self) -> bool:
        """Bring what waits here to the other end; whether anything happened."""
        assert self.other is not None and self.other.protocol is not None
        if not self.connected:
            if self.other.connected and not self.waiting:
                self.other.lose(ConnectionLost())
                return True
            return False
        if self.waiting and self.other.connected and self.other.reads:
            data = bytes(self.waiting)
            self.waiting.clear()
            self.other.protocol.dataReceived(data)
            if self._producer is not None and self._paused and not self.waiting:
                self._paused = False
                self._producer.resumeProducing()
            return True
        if self.disconnecting and not self.waiting:
            self.lose(ConnectionDone())
            if self.other.connected and self.other.reads:
                self.other.lose(ConnectionDone())
            return True
        return False

    def getPeer(self) -> IPv4Address:
        assert self.other is not None
        return self.other.getHost()

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "192.0.2.1", self._port)


class Wire:
    """Two ends and the cable between them."""

    def __init__(self, clock: Clock, dialling: IProtocol, listening: IProtocol) -> None:
        self.clock = clock
        self.ends = (WireEnd(clock, 7777), WireEnd(clock, 6666))
        for end, other, protocol in zip(self.ends, reversed(self.ends), (dialling, listening), strict=True):
            end.other, end.protocol = other, protocol
        for end in reversed(self.ends):
            assert end.protocol is not None
            end.protocol.makeConnection(end)

    def settle(self) -> None:
        """Carry everything to where it can go."""
        for _ in range(10_000):
            self.clock.advance(0)
            moved = [end.carry() for end in self.ends]
            if not any(moved):
                self.clock.advance(0)
                return
        raise AssertionError("they never fall silent")

    def wait(self, seconds: float, step: float = 0.25) -> None:
        """Let time pass."""
        passed = 0.0
        while passed < seconds:
            self.clock.advance(min(step, seconds - passed))
            passed += step
            self.settle()

    def cut(self) -> None:
        """Both ends lose the connection."""
        for end in self.ends:
            end.lose(ConnectionLost())
        self.settle()
