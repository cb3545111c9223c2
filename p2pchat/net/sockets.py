"""
TCP options of links: a dead network is noticed, and small frames leave at once.

The pings of a link find a far side that hangs; these find a far side that is gone, also while the process
is busy or the data are still in the kernel (F8, F9).
"""

import socket
from typing import Final

from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import ISystemHandle
from twisted.protocols.policies import ProtocolWrapper

KEEP_IDLE: Final = 30
"""Seconds of silence until the kernel asks whether the far side lives; Linux itself waits two hours."""

KEEP_INTERVAL: Final = 10
"""Seconds between two questions of the kernel."""

KEEP_COUNT: Final = 3
"""Questions without an answer until the connection is lost."""

USER_TIMEOUT: Final = 30_000
"""Milliseconds that sent data may stay unacknowledged until the connection is lost (RFC 5482)."""

_OPTIONS: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEP_IDLE),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEP_INTERVAL),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEP_COUNT),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
)


def set_link_options(transport: object) -> None:
    """
    Set the options on the TCP socket under `transport`, a TLS transport or a bare one.

    A transport without a TCP socket (in memory, a Unix socket) is left as it is, and so is a socket that was
    closed meanwhile: its loss is reported by other means.
    """
    handle = _socket_of(_lowest(transport))
    if handle is None:
        return
    try:
        for level, option, value in _OPTIONS:
            handle.setsockopt(level, option, value)
    except OSError:
        return


def set_high_water(transport: object, size: int) -> None:
    """
    Let so many bytes wait in the TCP transport under `transport` until it pauses its producer.

    Twisted's own figure, 64 KiB, is less than one batch of messages. It reads as many bytes at once, too. A transport
    that is none of Twisted's descriptors (in memory) is left as it is.
    """
    below = _lowest(transport)
    if isinstance(below, FileDescriptor):
        below.bufferSize = size


def _lowest(transport: object) -> object:
    """What is below TLS, whose handle is OpenSSL's, which knows nothing of sockets."""
    below = transport
    while isinstance(below, ProtocolWrapper):
        below = below.transport
    return below


def _socket_of(transport: object) -> socket.socket | None:
    if not ISystemHandle.providedBy(transport):
        return None
    handle = transport.getHandle()
    if isinstance(handle, socket.socket) and handle.family in (socket.AF_INET, socket.AF_INET6):
        return handle
    return None
