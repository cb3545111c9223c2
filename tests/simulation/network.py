"""
A simulated network: TCP connections whose bytes move only when the story says so, below the real `Connection`.

TLS is left out but for its order: three flights of a handshake pass before the two sides hear of it, and then each
knows the key of the other. Bytes keep their order on one connection; they may come in any pieces and at any time, wait
for ever behind a partition, or be lost with the connection. Either side may see the end of it long before the other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost, ConnectionRefusedError, TimeoutError as NoAnswer
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from p2pchat.core.errors import EndCode, HandshakeRefused
from p2pchat.core.messages import Message
from p2pchat.net.connection import Connection, Ending, LinkKeeper, Sweep
from p2pchat.net.dialler import CONNECT_WITHIN
from p2pchat.net.tls import PEER_PROTOCOL, Authenticated

if TYPE_CHECKING:
    from .machine import Machine, Process

BUFFER = 65_536
"""Bytes on their way at which a transport asks for no more, as Twisted's."""

PORT = 6666


class SimulatedConnection(Connection):
    """The real one, over a plug in place of TLS."""

    def __init__(
        self,
        keeper: LinkKeeper,
        clock: IReactorTime,
        sweep: Sweep,
        broken: Callable[[EndCode, str], None],
        says: Callable[[Message], list[Message]],
    ) -> None:
        super().__init__(keeper, clock, sweep)
        self._broken = broken
        self._says = says

    @property
    def _tls(self):  # type: ignore[override]
        return self.transport

    def shaken(self, key: bytes) -> None:
        """The handshake is complete, with who has this key."""
        if self._ending is not None:
            return
        self.authenticated = Authenticated(key, PEER_PROTOCOL, "X25519MLKEM768", False, bytes(32))
        try:
            self.session = self._keeper.begin(self, self.authenticated)
        except HandshakeRefused as refusal:
            self.abort(str(refusal))
            return
        self._begun = True
        self._tls.registerProducer(self, True)
        self._flush()

    def send(self, message: Message) -> None:
        for each in self._says(message):
            super().send(each)

    def send_all(self, messages: Sequence[Message]) -> None:
        super().send_all([each for message in messages for each in self._says(message)])

    def fail(self, code: EndCode, detail: str = "") -> None:
        if self._ending is None:
            self._broken(code, detail)
        super().fail(code, detail)


class Plug:
    """One end of a connection: the transport of its protocol."""

    def __init__(
        self, process: "Process", protocol: SimulatedConnection, here: IPv4Address, there: IPv4Address
    ) -> None:
        self.process = process
        self.protocol = protocol
        self.here, self.there = here, there
        self.other: Plug
        self.wire: Wire
        self.flights = 0
        """Of the handshake, on their way from here."""
        self.out = bytearray()
        self.end = ""
        """What follows the bytes: `fin` or `rst`."""
        self.gone = False
        """The protocol was told that it is over, or its process is no more."""
        self.vanished = False
        """The machine lost its power: the far side was told nothing."""
        self._closing = False
        self._paused = False
        self._producer: Connection | None = None

    # --- ITransport

    def write(self, data: bytes) -> None:
        if self._closing or not self.process.sends():
            return
        self.out += data
        self.process.has_sent()
        if self._producer is not None and not self._paused and len(self.out) > BUFFER:
            self._paused = True
            self._producer.pauseProducing()

    def registerProducer(self, producer: Connection, streaming: bool) -> None:
        self._producer = producer

    def unregisterProducer(self) -> None:
        self._producer = None

    def loseConnection(self) -> None:
        if not self._closing:
            self._closing = True
            self.end = "fin"

    def abortConnection(self) -> None:
        if self.gone or not self.process.alive:
            return
        self._closing = True
        self.out.clear()
        self.end = "rst"
        self.process.clock.callLater(0, self.lost, ConnectionLost())

    def getPeer(self) -> IPv4Address:
        return self.there

    def getHost(self) -> IPv4Address:
        return self.here

    # --- what happens to it

    def lost(self, reason: Exception) -> None:
        """Tell the protocol, once."""
        if not self.gone:
            self.gone = self._closing = True
            if self.process.alive:
                self.protocol.connectionLost(Failure(reason))

    def die(self, silently: bool) -> None:
        """The process is no more; its kernel says so, or has no power to."""
        self.gone = self._closing = True
        self.vanished = silently
        self.end = "" if silently else "rst"

    def taken(self) -> None:
        """Bytes have left."""
        if self._paused and not self.out:
            self._paused = False
            if self._producer is not None:
                self._producer.resumeProducing()

    # --- moving

    @property
    def ready(self) -> bool:
        """Whether something can pass from here to the other end."""
        if not (self.flights or self.out or self.end) or self.wire.stale or not self.wire.open(self):
            return False
        # A machine without power answers nobody; one that has it again knows nothing of the connection.
        return not self.other.vanished or self.other.process.machine.powered

    def move(self, most: int) -> str:
        """Let something pass to the other end; what it was, for the story."""
        other = self.other
        if other.vanished:
            self.out.clear()
            self.flights, self.end = 0, ""
            self.lost(ConnectionLost())
            return "answered by a reset"
        if self.flights:
            self.flights -= 1
            other.flown()
            return "handshake"
        if self.out:
            data = bytes(self.out[:most])
            del self.out[: len(data)]
            if not other.gone:
                other.protocol.dataReceived(data)
            self.taken()
            return f"{len(data)} bytes"
        end, self.end = self.end, ""
        self.wire.ended = True
        other.lost(ConnectionDone() if end == "fin" else ConnectionLost())
        self.lost(ConnectionDone())
        return end

    def flown(self) -> None:
        """A flight of the handshake came."""
        self.wire.flown += 1
        if self.wire.flown < 3:
            self.flights += 1
        if self.wire.flown >= 2 and not self.gone:
            # The dialling side completes first, and what it says may come before its last flight is looked at.
            self.protocol.shaken(self.other.process.machine.identity.key)


class Wire:
    """A TCP connection: the end that dialled and the end that listens."""

    def __init__(self, dialling: Plug, listening: Plug, passes: Callable[[Plug], bool]) -> None:
        self.ends = (dialling, listening)
        self.open = passes
        self.flown = 0
        self.stale = False
        """One of its addresses is not used any more: nothing passes, and nobody is told."""
        self.ended = False
        for plug, other in ((dialling, listening), (listening, dialling)):
            plug.other, plug.wire = other, self
        dialling.flights = 1
        listening.protocol.makeConnection(listening)
        dialling.protocol.makeConnection(dialling)

    @property
    def over(self) -> bool:
        """Whether nothing can happen on it any more."""
        return all(plug.gone for plug in self.ends)

    def cut(self, told: int) -> None:
        """It breaks: both ends are told (3), one of them (1, 2), or none (0)."""
        for number, plug in enumerate(self.ends, 1):
            plug.out.clear()
            plug.flights, plug.end = 0, ""
            if told & number:
                plug.lost(ConnectionLost())
        self.stale = True


@dataclass(eq=False)
class Call:
    """A connection that is being opened."""

    process: "Process"
    machine: "Machine | None"
    """Who has the address now."""
    address: str
    keeper: LinkKeeper
    answer: "Deferred[Connection]"


class SimulatedDialler:
    """A process's dialler."""

    def __init__(self, process: "Process") -> None:
        self._process = process

    async def dial(self, host: str, port: int, tls: object, keeper: LinkKeeper) -> Connection:
        """Open a connection; what follows is told to `keeper`."""
        process = self._process
        answer: Deferred[Connection] = Deferred()
        timer = process.clock.callLater(CONNECT_WITHIN, self._give_up, answer)
        process.machine.network.call(process, host, keeper, answer)
        try:
            return await answer
        finally:
            if timer.active():
                timer.cancel()

    def _give_up(self, answer: "Deferred[Connection]") -> None:
        if not answer.called:
            answer.errback(NoAnswer("no answer"))


class Network:
    """All that moves between machines."""

    def __init__(
        self,
        broken: Callable[["Process", "Process", EndCode, str], None],
        says: Callable[["Process", Message], list[Message]],
    ) -> None:
        self.wires: list[Wire] = []
        self.calls: list[Call] = []
        self.blocked: set[tuple[str, str]] = set()
        """(from, to) between which nothing passes."""
        self.homes: dict[str, Machine] = {}
        """By address: who has it."""
        self._broken = broken
        self._says = says
        self._port = 20_000

    def call(self, process: "Process", address: str, keeper: LinkKeeper, answer: "Deferred[Connection]") -> None:
        """Somebody dials."""
        self.calls.append(Call(process, self.homes.get(address), address, keeper, answer))

    def ready(self) -> list[Plug | Call]:
        """Everything that can move now."""
        self.wires = [wire for wire in self.wires if not wire.over or any(plug.ready for plug in wire.ends)]
        self.calls = [call for call in self.calls if call.process.alive and not call.answer.called]
        found: list[Plug | Call] = [call for call in self.calls if self._reachable(call)]
        found += [plug for wire in self.wires for plug in wire.ends if plug.ready]
        return found

    def between(self, one: "Machine", other: "Machine") -> list[Wire]:
        """The connections of two machines."""
        return [wire for wire in self.wires if {plug.process.machine for plug in wire.ends} == {one, other}]

    def connect(self, call: Call) -> str:
        """The far side's kernel answers."""
        self.calls.remove(call)
        there = self.homes[call.address].process
        if there is None or not there.listening:
            call.answer.errback(ConnectionRefusedError("nobody listens there"))
            return "refused"
        self._port += 1
        here = call.process
        near, far = IPv4Address("TCP", here.machine.address, self._port), IPv4Address("TCP", call.address, PORT)
        dialling = Plug(here, self._connection(here, there, call.keeper), near, far)
        listening = Plug(there, self._connection(there, here, there.answer()), far, near)
        self.wires.append(Wire(dialling, listening, self._passes))
        call.answer.callback(dialling.protocol)
        return "connected"

    def _connection(self, process: "Process", other: "Process", keeper: LinkKeeper) -> SimulatedConnection:
        def broken(code: EndCode, detail: str) -> None:
            self._broken(process, other, code, detail)

        return SimulatedConnection(keeper, process.clock, process.sweep, broken, partial(self._says, process))

    def _reachable(self, call: Call) -> bool:
        machine = self.homes.get(call.address)
        if machine is None or not machine.powered:
            return False
        names = call.process.machine.name, machine.name
        return names not in self.blocked and names[::-1] not in self.blocked

    def _passes(self, plug: Plug) -> bool:
        here, there = plug.process.machine.name, plug.other.process.machine.name
        return (here, there) not in self.blocked


__all__ = ["BUFFER", "PORT", "Call", "Ending", "Network", "Plug", "SimulatedConnection", "SimulatedDialler", "Wire"]
