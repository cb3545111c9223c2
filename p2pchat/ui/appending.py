"""
A file that is appended to in a thread: a pipe that nobody reads, or a disk that hangs, holds up nobody else.

What waits to be written is bounded; what is beyond that is not taken, and whoever had it learns so.
"""

import errno
import os
import stat
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from twisted.internet.task import deferLater

WAITING_BYTES = 8 * 1024 * 1024
"""What waits to be written at most."""

CHUNK_BYTES = 65_536
"""What is written at once, more or less."""

OPEN_WAIT = 2.0
"""Seconds that a file may take to open, at the start of the process."""

ROOM_WAIT = 5.0
"""Seconds for which whoever writes very much at once waits for room."""

LOOK_EVERY = 0.05
"""Seconds between two looks whether there is room."""


class IAppendReactor(IReactorFromThreads, IReactorTime):
    """What is asked of the reactor."""


@dataclass(frozen=True, slots=True)
class End:
    """The last bytes of a file that was there."""

    data: bytes
    whole: bool
    """Whether that is all of it."""


class Appending(Protocol):
    """The file, as a transcript sees it."""

    path: Path

    def open(self, most: int, failed: Callable[[OSError], None]) -> End:
        """Open or make it, and read at most so much of its end. Raises OSError; later `failed` is called, once."""

    @property
    def has_room(self) -> bool:
        """Whether there is room for much."""

    async def room(self) -> None:
        """Wait until there is, but not for ever."""

    def append(self, data: bytes) -> bool:
        """Have it written behind what was taken before; false if there is no room for it."""

    def close(self, last: bytes = b"") -> "Deferred[None]":
        """Take no more; fires when all is written, which is never if that hangs. `last` finds room in any case."""


class InThread:
    """An `Appending` with a thread of its own."""

    def __init__(self, path: Path, reactor: IAppendReactor) -> None:
        self.path = path
        self._reactor = reactor
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._ready = threading.Event()
        self._end: End | OSError | None = None
        """What came of opening it."""
        self._closing = False
        self._is_over = False
        self._stopped: Deferred[None] = Deferred()
        self._thread: threading.Thread | None = None

    def open(self, most: int, failed: Callable[[OSError], None]) -> End:
        """See `Appending`. Waits for a disk, but for a moment only."""
        # A daemon thread: one that waits for a disk or a reader must not keep the process.
        self._thread = threading.Thread(target=self._main, args=(most, failed), name="transcript", daemon=True)
        self._thread.start()
        self._ready.wait(OPEN_WAIT)
        with self._changed:
            end = self._end
            self._closing = not isinstance(end, End)
        if isinstance(end, End):
            return end
        self._thread = None
        raise OSError(errno.ETIMEDOUT, "its disk does not answer") if end is None else end

    @property
    def has_room(self) -> bool:
        """See `Appending`."""
        return self._bytes <= WAITING_BYTES // 2

    async def room(self) -> None:
        """See `Appending`."""
        end = self._reactor.seconds() + ROOM_WAIT
        while not self.has_room and self._reactor.seconds() < end:
            await deferLater(self._reactor, LOOK_EVERY, lambda: None)

    def append(self, data: bytes) -> bool:
        """See `Appending`."""
        with self._changed:
            if self._bytes + len(data) > WAITING_BYTES:
                return False
            self._put(data)
        return True

    def close(self, last: bytes = b"") -> "Deferred[None]":
        """See `Appending`."""
        if self._thread is None:
            return succeed(None)
        with self._changed:
            self._closing = True
            self._put(last)
        return self._stopped

    def _put(self, data: bytes) -> None:
        if data and not self._is_over:
            self._waiting.append(data)
            self._bytes += len(data)
        self._changed.notify()

    # --- in the thread

    def _main(self, most: int, failed: Callable[[OSError], None]) -> None:
        try:
            descriptor = open_end(self.path)
        except OSError as error:
            self._opened(error)
            return
        try:
            self._opened(read_end(descriptor, most))
            while data := self._next():
                write_all(descriptor, data)
        except OSError as error:
            with self._changed:
                self._is_over = True
                self._waiting.clear()
                self._bytes = 0
            if not self._ready.is_set():
                self._opened(error)
                return
            self._reactor.callFromThread(failed, error)
        finally:
            os.close(descriptor)
        self._reactor.callFromThread(self._stopped.callback, None)

    def _opened(self, end: End | OSError) -> None:
        with self._changed:
            self._end = end
        self._ready.set()

    def _next(self) -> bytes:
        """What is to be written next; nothing at the end."""
        with self._changed:
            while not self._waiting and not self._closing:
                self._changed.wait()
            chunk = bytearray()
            while self._waiting and len(chunk) < CHUNK_BYTES:
                chunk += self._waiting.popleft()
            self._bytes -= len(chunk)
            return bytes(chunk)


def open_end(path: Path) -> int:
    """Open or make a file to be appended to, 0600; a descriptor. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY, 0o600)
    try:
        if stat.S_ISBLK(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is a whole disk, no file")
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def read_end(descriptor: int, most: int) -> End:
    """The last bytes, at most so many, or as much of them as there is. Raises OSError."""
    size = os.fstat(descriptor).st_size
    begin = at = max(0, size - most)
    parts = []
    while at < size and (data := os.pread(descriptor, size - at, at)):
        parts.append(data)
        at += len(data)
    return End(b"".join(parts), begin == 0)


def write_all(descriptor: int, data: bytes) -> None:
    """Write it. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
