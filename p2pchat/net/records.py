"""
The meter on TLS: what a far side may send that carries nothing (T8).

OpenSSL takes empty records, records of one byte and KeyUpdates as they come, and answers every KeyUpdate. All of that
happens below the protocol on top, which never hears of it: a far side that sends nothing else keeps us busy for ever,
and one that does not read the answers makes them pile up. So bytes are counted where they come in, against those that
TLS gives to the protocol.
"""

from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from zope.interface import Attribute, Interface

EARNED = 2
"""Bytes of TLS that each byte for the protocol pays for: a record adds 22, and no message of ours is shorter."""

DEBT_PER_SECOND = 16 * 1024.0
"""Bytes a second that need not be paid for: some 600 KeyUpdates."""

MOST_DEBT = 128 * 1024.0
"""
Bytes that may be owed: more than one read (64 KiB) and a record that is not whole yet (16 KiB). Of a link that carries
a chat 256 KiB are read at once, and what that brings is read before it is looked at.
"""


class IMetered(Interface):
    """A protocol on top of TLS that wants to be spared floods of nothing."""

    carried = Attribute("How many bytes TLS has given to it so far.")

    def flooded() -> None:
        """Too much came that carried nothing; nothing more will be read. The connection is the protocol's to end."""


class MeteredTLS(BufferingTLSTransport):
    """A TLS transport that reads no more from a far side that floods it with nothing."""

    factory: "MeteredFactory"

    _debt = 0.0
    _counted_at = 0.0
    _flooded = False

    def dataReceived(self, data: bytes) -> None:
        if self._flooded:
            return
        protocol: Any = self.wrappedProtocol
        if not IMetered.providedBy(protocol):
            super().dataReceived(data)
            return
        before = protocol.carried
        super().dataReceived(data)
        self._owe(len(data) - EARNED * (protocol.carried - before))
        if self._debt > MOST_DEBT:
            self._flooded = True
            protocol.flooded()

    def _owe(self, more: int) -> None:
        now = self.factory.clock.seconds()
        paid = (now - self._counted_at) * DEBT_PER_SECOND
        self._counted_at = now
        self._debt = max(0.0, max(0.0, self._debt - paid) + more)


class MeteredFactory(TLSMemoryBIOFactory):
    """Makes metered TLS transports; `creator` and `client` are what a TLSMemoryBIOFactory wants."""

    protocol = MeteredTLS

    def __init__(self, creator: Any, client: bool, wrapped: Any, clock: IReactorTime) -> None:
        super().__init__(creator, client, wrapped, clock)
        self.clock = clock
