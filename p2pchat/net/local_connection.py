"""
One client of the local socket, as the daemon sees it: lines in, requests executed, answers and events out.

A client is trusted to command us but not to behave: what it can make us hold is bounded in both directions.
While it does not read what it is sent, nothing more is read from it.
"""

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Any, Protocol

import msgspec
from msgspec import Struct
from twisted.internet import interfaces
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ..api.lines import LOCAL_VERSION, MAX_REQUEST_LINE, Answer, Request, missed, to_line
from ..core.errors import UserError

MAX_IN_FLIGHT = 64
"""Requests of one client that are executed at a time; further lines wait unread."""

MAX_WAITING = 1024 * 1024
"""Bytes kept for a client that does not read. Events that come on top of that are left out, which it is told."""

MOST_WAITING = 8 * MAX_WAITING
"""Bytes kept with the answers to what it had asked before it stopped reading; on another one it is cut."""

ROOM_AGAIN = MAX_WAITING // 2
"""Bytes below which a client that was behind is told what it missed, and gets events again."""

STALL_TIMEOUT = 60.0
"""Seconds without progress towards a client that does not read, until it is cut."""

CLOSE_TIMEOUT = 1.0
"""Seconds that the last line to a client may take."""

DONE = msgspec.Raw(b'{"type":"done"}')

_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""What msgspec raises for bytes that are not the JSON asked for."""


class Cancellable(Protocol):
    """A subscription."""

    def cancel(self) -> None:
        """No more events, from now on."""


Execute = Callable[[bytes], Deferred[bytes]]
"""JSON of a command to JSON of its reply, or a failure with UserError."""

Subscribe = Callable[[Callable[[bytes], None], bool], Cancellable]
"""
Calls what it is given with JSON of every event from now on, never before it has returned.

The bool: whether a person is there, who is shown the events and can be asked.
"""


class _State(Enum):
    OPEN = "open"
    CLOSING = "closing"  # the last line is on its way; nothing is read any more
    CLOSED = "closed"


class _Versioned(Struct, frozen=True):
    version: int


class _Typed(Struct, frozen=True):
    type: str


class _Subscribing(Struct, frozen=True):
    answers: bool = False


class LineTooLong(Exception):
    """A line is longer than the limit."""


class LineBuffer:
    """Collects received bytes and gives back whole lines, oldest first, without their ends."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._data = bytearray()
        self._searched = 0

    def feed(self, data: bytes) -> None:
        """Add what was received."""
        self._data += data

    def take(self) -> bytes | None:
        """The next whole line; None if there is none yet. Raises LineTooLong."""
        end = self._data.find(b"\n", self._searched)
        if (len(self._data) if end < 0 else end) > self._limit:
            raise LineTooLong
        if end < 0:
            self._searched = len(self._data)
            return None
        return self._cut(end)

    def take_rest(self) -> bytes:
        """What stands behind the last end of line: JSON that was cut off is never whole, so it is safe to read."""
        return self._cut(len(self._data))

    def _cut(self, end: int) -> bytes:
        line = bytes(self._data[:end])
        del self._data[: end + 1]
        self._searched = 0
        return line


@implementer(interfaces.IPushProducer)
class _Outgoing:
    """Lines on their way to a client; those that the transport has no room for wait here, up to MAX_WAITING."""

    def __init__(self, transport: Any, clock: IReactorTime, cut: Callable[[str], None], ready: Callable[[], None]):
        self._transport = transport
        self._clock = clock
        self._cut = cut
        self._ready = ready
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._missed = 0
        self._stalled: IDelayedCall | None = None
        self.blocked = False
        """Whether the client is behind."""

    def send(self, line: bytes) -> None:
        if not self.blocked:
            self._transport.write(line)
        elif self._size >= MOST_WAITING:
            self._cut(f"{self._size} bytes wait for it")
        else:
            self._waiting.append(line)
            self._size += len(line)

    def send_event(self, line: bytes) -> None:
        """Send an event, or leave it out where too much waits; what follows one that was left out is left out too."""
        self._tell_missed()
        if self._missed or (self.blocked and self._size >= MAX_WAITING):
            self._missed += 1
        else:
            self.send(line)

    def _tell_missed(self) -> None:
        if self._missed and self._size < ROOM_AGAIN:
            count, self._missed = self._missed, 0
            self.send(to_line(missed(count)))

    def flush(self) -> None:
        """Hand over everything, room or not: it was the last, and the connection will not live long."""
        self.stop()
        self._transport.writeSequence(list(self._waiting))
        self._waiting.clear()
        self._size = 0

    def stop(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def pauseProducing(self) -> None:
        self.blocked = True
        if self._stalled is None:
            self._stalled = self._clock.callLater(STALL_TIMEOUT, self._stall)

    def resumeProducing(self) -> None:
        self.blocked = False
        self.stop()
        while self._waiting and not self.blocked:
            line = self._waiting.popleft()
            self._size -= len(line)
            self._transport.write(line)
        self._tell_missed()
        if not self.blocked:
            self._ready()

    def stopProducing(self) -> None:
        self.stop()

    def _stall(self) -> None:
        self._stalled = None
        self._cut(f"it has not read for {STALL_TIMEOUT:.0f} s")


@implementer(interfaces.IHalfCloseableProtocol)
class LocalConnection(TwistedProtocol):
    """
    A client.

    `refusal` is asked once about the new transport: one line why this client may not stay, or None. `ended` is
    called when it is gone.
    """

    _log = Logger()

    transport: Any
    """A transport of Twisted's; no single interface of it has all that is used here."""

    def __init__(
        self,
        execute: Execute,
        subscribe: Subscribe | None,
        clock: IReactorTime,
        refusal: Callable[[Any], str | None],
        ended: Callable[["LocalConnection"], None],
    ) -> None:
        self._execute = execute
        self._subscribe = subscribe
        self._clock = clock
        self._refusal = refusal
        self._ended = ended
        self._lines = LineBuffer(MAX_REQUEST_LINE)
        self._state = _State.OPEN
        self._subscription: Cancellable | None = None
        self._in_flight = 0
        self._working = False
        self._reading = True
        self._no_more_input = False
        self._abort: IDelayedCall | None = None

    # --- Twisted's side

    def connectionMade(self) -> None:
        self._out = _Outgoing(self.transport, self._clock, self._cut, self._work)
        self.transport.registerProducer(self._out, True)
        refusal = self._refusal(self.transport)
        if refusal is not None:
            self._refuse(refusal, 1)

    def dataReceived(self, data: bytes) -> None:
        if self._state is _State.OPEN:
            self._lines.feed(data)
            self._work()

    def readConnectionLost(self) -> None:
        self._no_more_input = True
        self._work()

    def writeConnectionLost(self) -> None:
        """Never happens: we do not half-close."""

    def connectionLost(self, reason: Failure | None = None) -> None:
        self._stop()
        self._state = _State.CLOSED
        if self._abort is not None and self._abort.active():
            self._abort.cancel()
        self._ended(self)

    # --- input

    def _work(self) -> None:
        """Take lines as long as there are any and there is room for their answers."""
        if self._working:
            return
        self._working = True
        try:
            while self._has_room() and (line := self._next_line()) is not None:
                if line.strip():
                    self._take(line)
        finally:
            self._working = False
        self._read(self._has_room())
        if self._state is _State.OPEN and self._no_more_input and not self._in_flight and not self._subscription:
            self.close()

    def _has_room(self) -> bool:
        return self._state is _State.OPEN and self._in_flight < MAX_IN_FLIGHT and not self._out.blocked

    def _next_line(self) -> bytes | None:
        try:
            line = self._lines.take()
        except LineTooLong:
            self._refuse(f"a line may have {MAX_REQUEST_LINE} bytes at most; this one has more", 2)
            return None
        return self._lines.take_rest() or None if line is None and self._no_more_input else line

    def _read(self, wanted: bool) -> None:
        if self._state is _State.OPEN and not self._no_more_input and wanted != self._reading:
            self._reading = wanted
            if wanted:
                self.transport.resumeProducing()
            else:
                self.transport.pauseProducing()

    def _take(self, line: bytes) -> None:
        try:
            # The version first: another one may have other fields.
            version = msgspec.json.decode(line, type=_Versioned).version
            if version == LOCAL_VERSION:
                request = msgspec.json.decode(line, type=Request)
                kind = msgspec.json.decode(request.command, type=_Typed).type
        except _UNREADABLE:
            self._refuse("that line is no request; docs/local-api.md says how one looks", 2)
            return
        if version != LOCAL_VERSION:
            self._refuse(f"this p2pchat speaks version {LOCAL_VERSION} of these lines; use one program version", 1)
        elif kind == "subscribe":
            self._start_events(request)
        else:
            self._in_flight += 1
            Deferred.fromCoroutine(self._answer(request))

    async def _answer(self, request: Request) -> None:
        number = request.request
        try:
            reply = await self._execute(bytes(request.command))
            answer = Answer(version=LOCAL_VERSION, request=number, reply=msgspec.Raw(reply))
        except UserError as error:
            answer = _error(number, str(error), error.exit_code)
        except Exception:
            self._log.failure("a command from the local socket failed")
            answer = _error(number, "internal error; see the log", 1)
        self._in_flight -= 1
        self._send(answer)
        self._work()

    def _start_events(self, request: Request) -> None:
        number = request.request
        if self._subscribe is None:
            self._send(_error(number, "there are no events here; ask again instead", 2))
            return
        try:
            answers = msgspec.json.decode(request.command, type=_Subscribing).answers
        except msgspec.ValidationError:
            self._send(_error(number, "that command cannot be read: `answers` is true or false", 2))
            return
        if self._subscription is None:
            self._subscription = self._subscribe(self._event, answers)
        self._send(Answer(version=LOCAL_VERSION, request=number, reply=DONE))

    # --- output

    def _event(self, event: bytes) -> None:
        if self._state is _State.OPEN:
            self._out.send_event(to_line(Answer(version=LOCAL_VERSION, event=msgspec.Raw(event))))

    def _send(self, answer: Answer) -> None:
        if self._state is _State.OPEN:
            self._out.send(to_line(answer))

    # --- endings

    def close(self) -> None:
        """Send what waits and end the connection, within CLOSE_TIMEOUT."""
        if self._state is not _State.OPEN:
            return
        self._stop()
        self._state = _State.CLOSING
        self._out.flush()
        # With a producer, loseConnection would wait for it.
        self.transport.unregisterProducer()
        self.transport.loseConnection()
        self._abort = self._clock.callLater(CLOSE_TIMEOUT, self.transport.abortConnection)

    def _refuse(self, text: str, exit_code: int) -> None:
        self._send(_error(None, text, exit_code))
        self.close()

    def _cut(self, why: str) -> None:
        if self._state is _State.OPEN:
            self._log.warn("cut a client of the local socket: {why}", why=why)
            self._stop()
            self._state = _State.CLOSED
            self.transport.abortConnection()

    def _stop(self) -> None:
        self._out.stop()
        if self._subscription is not None:
            self._subscription.cancel()
            self._subscription = None


def _error(number: int | None, text: str, exit_code: int) -> Answer:
    # A path that is no UTF-8 may stand in it.
    line = " ".join(text.split()).encode(errors="replace").decode()
    return Answer(version=LOCAL_VERSION, request=number, error=line, exit_code=exit_code)
