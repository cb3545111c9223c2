"""
Admission: who may take up a connection before they have said who they are.

It stands below TLS, so that a refusal costs an accepted socket and nothing more. A connection is *pending* from its
acceptance until the protocol on top calls `promote`, after TLS and hello; what is pending is few, from few
connections of one source, and not for long. What was promoted is not counted among them: strangers who fill
every pending place disturb nobody who is in.

    TCP accept -- admits? room? --> pending --promote--> established --> gone
                  no: closed          | 10 s: aborted
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import cast

from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    ITCPTransport,
    ITransport,
)
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from ..core.addresses import REMEMBERED
from .incidents import IncidentLog

MAX_PENDING = 256
"""Most pending connections: OpenSSH has 100 (MaxStartups); a lab that starts at once after a power cut has more."""

MAX_PENDING_PER_SOURCE = 8
"""Most pending connections from one IPv4 address or one IPv6 network of 64 bits, which one machine may fill."""

DROP_FROM = 0.5
"""Part of the pending places from which on newcomers are refused at random, ever more of them."""

DROP_RATE = 0.3
"""Probability of that refusal where it begins; it rises to 1 when all places are taken (as OpenSSH's MaxStartups)."""

PENDING_SHARE = 4
"""Pending connections may take at most one in so many of all places: the others are for those who are known."""

UNFINISHED_AFTER = 10.0
"""Seconds from acceptance until a connection that was not promoted is aborted (T1)."""

RESUME_BELOW = 0.9
"""Part of all places at which a port that was full accepts again."""

DESCRIPTOR_SHARE = 0.8
DESCRIPTORS_KEPT = 32
"""What connections leave of the process's descriptors, for files, logs and dialled links."""

IPAddress = IPv4Address | IPv6Address


class Refusal(StrEnum):
    """Why a connection was refused or aborted; the value is what the log says."""

    NOT_ADMITTED = "address not admitted"
    SOURCE_BUSY = "too many connections at once that say nothing"
    BUSY = "refused, too many strangers are connecting"
    FULL = "refused, no room for more connections"
    UNFINISHED = "said no hello in time"
    BROKEN = "broke off before its hello"


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """How much room there is."""

    connections: int
    """Most connections of all kinds."""
    pending: int = MAX_PENDING
    """Most pending ones among them."""
    pending_per_source: int = MAX_PENDING_PER_SOURCE
    """Most pending ones from one source."""

    @classmethod
    def for_descriptors(cls, descriptors: int) -> AdmissionLimits:
        """The limits that fit a process which may have `descriptors` open (RLIMIT_NOFILE)."""
        connections = max(1, int(DESCRIPTOR_SHARE * descriptors) - DESCRIPTORS_KEPT)
        return cls(connections, max(1, min(MAX_PENDING, connections // PENDING_SHARE)))


class _Stage(Enum):
    PENDING = auto()
    ESTABLISHED = auto()
    GONE = auto()


class Admission:
    """
    The room of one process, for all the ports that share it.

    `admits` judges an address (IPv4-mapped ones are unmapped before); `draw` returns a random number from 0 up to 1.
    """

    def __init__(
        self,
        clock: IReactorTime,
        limits: AdmissionLimits,
        admits: Callable[[IPAddress], bool],
        draw: Callable[[], float],
    ) -> None:
        self.limits = limits
        self.refused: Counter[Refusal] = Counter()
        """How often each refusal happened since the start."""
        self.incidents = IncidentLog(clock)
        """Where refusals are written; for other misdeeds of strangers as well."""
        self._clock = clock
        self._admits = admits
        self._draw = draw
        # Oldest first, as a dict keeps its order: one timer, for the first, serves all.
        self._pending: dict[Entrant, None] = {}
        self._pending_by_source: Counter[str] = Counter()
        self._established = 0
        self._connections = 0
        self._ports: list[FileDescriptor] = []
        self._paused = False
        self._timer: IDelayedCall | None = None

    @property
    def pending(self) -> int:
        """Connections that have not said hello yet."""
        return len(self._pending)

    @property
    def established(self) -> int:
        """Connections that were promoted."""
        return self._established

    @property
    def paused(self) -> bool:
        """Whether the ports accept nothing because everything is full."""
        return self._paused

    def guard(self, factory: IProtocolFactory) -> IProtocolFactory:
        """A factory for a listening port that lets only those through to `factory` (of TLS) who are admitted."""
        return _GuardedFactory(self, factory)

    def watch(self, port: IListeningPort) -> None:
        """Let `port` accept nothing while there is no room; a port in memory, which cannot pause, just refuses."""
        if isinstance(port, FileDescriptor):
            self._ports.append(port)

    def close(self) -> None:
        """Stop all timers and write what was counted; connections are left alone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.incidents.close()

    # Called by the factory and by entrants.

    def judge(self, address: IPAddress, source: str) -> Refusal | None:
        """Why there is no place for a newcomer, or None: there is one."""
        if not self._admits(address):
            return Refusal.NOT_ADMITTED
        # A port accepts several in one turn of the reactor, also after it was told to pause.
        if self._connections >= self.limits.connections:
            return Refusal.FULL
        if self._pending_by_source[source] >= self.limits.pending_per_source:
            return Refusal.SOURCE_BUSY
        if self._drops():
            return Refusal.BUSY
        return None

    def refuse(self, source: str, refusal: Refusal) -> None:
        """Count and log a refusal."""
        self.refused[refusal] += 1
        self.incidents.report(source, refusal.value)

    def enter(self, entrant: Entrant) -> float:
        """A connection is pending from now on, until the time that is returned."""
        self._connections += 1
        self._pending[entrant] = None
        self._pending_by_source[entrant.source] += 1
        if self._connections >= self.limits.connections:
            self._pause()
        if self._timer is None:
            self._timer = self._clock.callLater(UNFINISHED_AFTER, self._sweep)
        return self._clock.seconds() + UNFINISHED_AFTER

    def promote(self, entrant: Entrant) -> None:
        """A pending connection said its hello."""
        self._no_longer_pending(entrant)
        self._established += 1

    def leave(self, entrant: Entrant, stage: _Stage) -> None:
        """A connection that was in `stage` is gone."""
        self._connections -= 1
        match stage:
            case _Stage.PENDING:
                self._no_longer_pending(entrant)
                self.refuse(entrant.source, Refusal.BROKEN)
            case _Stage.ESTABLISHED:
                self._established -= 1
        if self._paused and self._connections <= RESUME_BELOW * self.limits.connections:
            self._resume()

    def _drops(self) -> bool:
        most = self.limits.pending
        begin = DROP_FROM * most
        if self.pending < begin:
            return False
        crowding = (self.pending - begin) / (most - begin)
        return self._draw() < DROP_RATE + (1 - DROP_RATE) * crowding

    def _no_longer_pending(self, entrant: Entrant) -> None:
        del self._pending[entrant]
        self._pending_by_source[entrant.source] -= 1
        if self._pending_by_source[entrant.source] == 0:
            del self._pending_by_source[entrant.source]
        if not self._pending and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sweep(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        late = [entrant for entrant in self._pending if entrant.deadline <= now]
        for entrant in late:
            self._no_longer_pending(entrant)
            self.refuse(entrant.source, Refusal.UNFINISHED)
            entrant.abort()
        if self._pending:
            oldest = next(iter(self._pending))
            self._timer = self._clock.callLater(oldest.deadline - now, self._sweep)

    def _pause(self) -> None:
        self._paused = True
        for port in self._ports:
            port.stopReading()

    def _resume(self) -> None:
        self._paused = False
        for port in self._ports:
            # A port that was closed meanwhile must not be read again.
            if port.connected and not port.disconnecting:
                port.startReading()


@implementer(IProtocol)
class Entrant:
    """
    An accepted connection, between its socket and TLS.

    It only listens in: what TLS writes goes to the socket directly.
    """

    __slots__ = ("_admission", "_protocol", "_stage", "_transport", "deadline", "source")

    def __init__(self, admission: Admission, source: str, protocol: IProtocol) -> None:
        self.source = source
        """The address, or the network, that its places are counted under."""
        self.deadline = 0.0
        """When it is aborted unless it was promoted, in the clock's seconds."""
        self._admission = admission
        self._protocol = protocol
        self._transport: ITCPTransport | None = None
        self._stage = _Stage.PENDING

    def makeConnection(self, transport: ITransport) -> None:
        # Ports make no others; a transport in memory does as much.
        self._transport = cast(ITCPTransport, transport)
        self.deadline = self._admission.enter(self)
        self._protocol.makeConnection(transport)

    def connectionMade(self) -> None:
        """Called by nobody: makeConnection of the protocol on top calls its own."""

    def dataReceived(self, data: bytes) -> None:
        self._protocol.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        stage, self._stage = self._stage, _Stage.GONE
        self._admission.leave(self, stage)
        self._protocol.connectionLost(reason)

    def promote(self) -> None:
        """Its hello was accepted."""
        if self._stage is _Stage.PENDING:
            self._stage = _Stage.ESTABLISHED
            self._admission.promote(self)

    def report(self, incident: str) -> None:
        """Write what it did, a few words of ours, where floods of the same are counted."""
        self._admission.incidents.report(self.source, incident)

    def abort(self) -> None:
        """Its time is over."""
        self._stage = _Stage.GONE
        if self._transport is not None:
            self._transport.abortConnection()


def promote(transport: ITransport | None) -> None:
    """
    The hello that came over `transport`, a TLS transport, was accepted: it is pending no longer.

    For a connection that was dialled, or accepted without admission, nothing happens.
    """
    entrant = _entrant(transport)
    if entrant is not None:
        entrant.promote()


def report(transport: ITransport | None, incident: str) -> bool:
    """
    Write what whoever is at the other end of `transport`, a TLS transport, did: a line a minute, however often.

    False for a connection that was dialled, or accepted without admission: how often those come is ours to say.
    """
    entrant = _entrant(transport)
    if entrant is not None:
        entrant.report(incident)
    return entrant is not None


def _entrant(transport: ITransport | None) -> Entrant | None:
    # The TLS transport stands on the socket's, whose protocol is the Entrant.
    entrant = getattr(getattr(transport, "transport", None), "protocol", None)
    return entrant if isinstance(entrant, Entrant) else None


@lru_cache(REMEMBERED)
def unmapped(host: str) -> IPAddress | None:
    """The IP address that `host` is, as IPv4 if it is one mapped into IPv6; None if it is none."""
    try:
        address = ip_address(host)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@lru_cache(REMEMBERED)
def source_of(address: IPAddress) -> str:
    """What the places of `address` are counted under: itself, or the network of 64 bits that it is in."""
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((int(address), 64), strict=False))


@implementer(IProtocolFactory)
class _GuardedFactory:
    """Asks the Admission before it has a protocol made."""

    def __init__(self, admission: Admission, factory: IProtocolFactory) -> None:
        self._admission = admission
        self._factory = factory

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:
        address = unmapped(getattr(addr, "host", ""))
        if address is None:
            return None
        source = source_of(address)
        refusal = self._admission.judge(address, source)
        if refusal is not None:
            self._admission.refuse(source, refusal)
            return None
        protocol = self._factory.buildProtocol(addr)
        return None if protocol is None else Entrant(self._admission, source, protocol)

    def doStart(self) -> None:
        self._factory.doStart()

    def doStop(self) -> None:
        self._factory.doStop()
