"""
The dialling side of links: from the fixed source port, or from any where that one cannot be used.

The fixed port makes a peer reachable through NAT, since the server sees the public address and port of a link that
leaves from it. It gives no security: who somebody is never follows from a port.
"""

import errno
import os

from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import (
    ConnectBindError,
    ConnectError,
    ConnectionRefusedError,
    DNSLookupError,
    TimeoutError,
)
from twisted.internet.interfaces import IAddress, IReactorTCP, IReactorTime
from twisted.internet.protocol import ClientFactory
from twisted.internet.tcp import makeBinding
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol

from .connection import Connection, LinkKeeper, Sweep
from .tls import PeerDiallerTLS, ServerDiallerTLS

CONNECT_WITHIN = 10.0
"""Seconds for TCP to connect to one address."""


class DiallerFactory(ClientFactory):
    """Makes the Connection of one link that we dial."""

    noisy = False

    def __init__(self, keeper: LinkKeeper, clock: IReactorTime, sweep: Sweep) -> None:
        self._keeper = keeper
        self._clock = clock
        self._sweep = sweep

    def buildProtocol(self, addr: IAddress | None) -> Connection:
        return Connection(self._keeper, self._clock, self._sweep)


class Dialler:
    """Dials peers and servers from one source port."""

    log = Logger()

    def __init__(self, reactor: IReactorTCP, clock: IReactorTime, sweep: Sweep, dial_port: int) -> None:
        self._reactor = reactor
        self._clock = clock
        self._sweep = sweep
        self._dial_port = dial_port
        self._fell_back = False

    async def dial(
        self, host: str, port: int, tls: PeerDiallerTLS | ServerDiallerTLS, keeper: LinkKeeper
    ) -> Connection:
        """
        Connect to a name or an IP address; what follows is told to `keeper`.

        Raises what Twisted's endpoints raise if TCP does not connect: ConnectError, DNSLookupError and others, all
        with a text of one line.
        """
        wrapped = tls.wrap(DiallerFactory(keeper, self._clock, self._sweep), self._clock)
        wrapped.noisy = False
        try:
            connection = await self._connect(host, port, wrapped, self._dial_port)
        except ConnectError as error:
            if self._dial_port == 0 or not _source_unusable(error):
                raise
            self._note_fall_back(error)
            connection = await self._connect(host, port, wrapped, 0)
        else:
            self._fell_back = False
        return connection

    async def _connect(self, host: str, port: int, wrapped: TLSMemoryBIOFactory, source: int) -> Connection:
        # Without reuseAddress a second dial from one port fails, and a redial for a minute after a close. Any port is
        # the kernel's choice at connect(): a service that may bind no port (SocketBindDeny=) can dial nevertheless.
        binding = makeBinding("", source, reuseAddress=True) if source else None
        endpoint = HostnameEndpoint(self._reactor, host, port, CONNECT_WITHIN, binding)
        transport = await endpoint.connect(wrapped)
        assert isinstance(transport, TLSMemoryBIOProtocol)
        connection = transport.wrappedProtocol
        assert isinstance(connection, Connection)
        return connection

    def _note_fall_back(self, error: ConnectError) -> None:
        if not self._fell_back:
            self._fell_back = True
            self.log.info(
                "Port {port} cannot be dialled from ({error!s}); dialling from any port",
                port=self._dial_port,
                error=error,
            )


def why_not(error: BaseException | None) -> str:
    """Why there is no connection, for a person; Twisted's own words hold numbers and are about sides."""
    match error:
        case ConnectionRefusedError():
            return "nobody listens there"
        case DNSLookupError():
            return "no such name is known"
        case ConnectError() if error.osError in errno.errorcode:
            return os.strerror(int(error.osError)).lower()
        case TimeoutError():
            return "no answer in time"
    return str(error)


def _source_unusable(error: ConnectError) -> bool:
    """Whether the source port was the trouble: it is taken, or a connection from it to there stands already."""
    return isinstance(error, ConnectBindError) or error.osError == errno.EADDRNOTAVAIL
