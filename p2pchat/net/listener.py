"""The listening side of links, at peers and servers: a port, admission, TLS, a Connection for whoever comes through."""

import errno
from collections.abc import Callable
from typing import cast

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort, IReactorTCP, IReactorTime
from twisted.internet.protocol import Factory, ServerFactory

from .admission import Admission
from .connection import Connection
from .tls import ListenerTLS

BACKLOG = 1024
"""Connections that the kernel keeps for us: all peers of a lab come at once after a power cut."""


class ListenerFactory(Factory):
    """Makes the Connection of each link that somebody dials to us."""

    noisy = False

    def __init__(self, make_connection: Callable[[], Connection]) -> None:
        self._make_connection = make_connection

    def buildProtocol(self, addr: IAddress | None) -> Connection:
        return self._make_connection()


def listen(
    reactor: IReactorTCP,
    clock: IReactorTime,
    factory: ListenerFactory,
    tls: ListenerTLS,
    admission: Admission,
    port: int,
    interface: str = "",
) -> IListeningPort:
    """
    Open a port for links; without `interface` on all addresses, IPv6 and IPv4.

    Raises CannotListenError.
    """
    # Any IProtocolFactory does; Twisted's annotation says more than it needs.
    guarded = cast(ServerFactory, admission.guard(tls.wrap(factory, clock)))
    if interface:
        opened = reactor.listenTCP(port, guarded, BACKLOG, interface)
    else:
        try:
            # On Linux this takes IPv4 as well, as mapped addresses.
            opened = reactor.listenTCP(port, guarded, BACKLOG, "::")
        except CannotListenError as error:
            if not _without_ipv6(error):
                raise
            opened = reactor.listenTCP(port, guarded, BACKLOG, "")
    admission.watch(opened)
    return opened


def _without_ipv6(error: CannotListenError) -> bool:
    """Whether it failed because this machine has no IPv6, and not because the port is taken."""
    return getattr(error.socketError, "errno", None) in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
