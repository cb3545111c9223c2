"""
Bytes out of a file or a pipe: read in a thread, piece by piece, only as fast as they are asked for.

A thread reads a file, a pipe, a terminal and /dev/null alike, and a read that waits for ever holds up nothing.
"""

import os
import queue
import threading
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

PIECE_BYTES = 65_536
"""Read at once: what a pipe holds."""

STANDARD_INPUT = 0


class Source:
    """A file or a descriptor, read in a thread of its own."""

    def __init__(self, reactor: IReactorFromThreads, origin: Path | int) -> None:
        self._reactor = reactor
        self._origin = origin
        self._asked: queue.SimpleQueue[Deferred[bytes] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._descriptor = -1

    def open(self) -> "Deferred[bytes]":
        """Open it; fires with nothing, or fails with OSError. First of all, once."""
        self._thread = threading.Thread(target=self._main, name="input", daemon=True)
        opened = self._ask()
        self._thread.start()
        return opened

    def read(self) -> "Deferred[bytes]":
        """The next bytes; none at the end. Fails with OSError. To be asked once at a time."""
        return self._ask()

    def close(self) -> None:
        """No more is asked."""
        self._asked.put(None)

    def _ask(self) -> "Deferred[bytes]":
        asked: Deferred[bytes] = Deferred()
        self._asked.put(asked)
        return asked

    # --- in the thread

    def _main(self) -> None:
        while (asked := self._asked.get()) is not None:
            try:
                data = self._open() if self._descriptor < 0 else os.read(self._descriptor, PIECE_BYTES)
            except OSError:
                self._reactor.callFromThread(_fire, asked, Failure())
            else:
                self._reactor.callFromThread(_fire, asked, data)
        if self._descriptor > 2:
            os.close(self._descriptor)

    def _open(self) -> bytes:
        origin = self._origin
        self._descriptor = origin if isinstance(origin, int) else os.open(origin, os.O_RDONLY | os.O_CLOEXEC)
        return b""


def _fire(asked: "Deferred[bytes]", result: bytes | Failure) -> None:
    if not asked.called:
        asked.callback(result)
