"""
Lines to standard output where that is a pipe or a file: written in a thread, so that a slow reader never holds up
the peer.

If the reader stalls for long, lines are left out, and it is said how many: they are on the disk, and in the
transcript if there is one. If the output is closed, `closed` is called once, and the rest is dropped.
"""

import errno
import os
import select
import threading
from collections import deque
from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorFromThreads

from p2pchat import api

from .drawing import Line, draw, note

WAITING_BYTES = 8 * 1024 * 1024
"""What waits for a reader at most."""

CHUNK_BYTES = 65_536
"""What is written at once: what a pipe holds."""


LOOK_EVERY = 2.0
"""Seconds after which it is looked whether a reader is there, while nothing is written."""


class Output:
    """Writes to a descriptor; a `Screen` (ui/screen.py) that nobody looks at."""

    def __init__(self, reactor: IReactorFromThreads, descriptor: int, closed: Callable[[OSError], None]) -> None:
        self._reactor = reactor
        self._descriptor = descriptor
        self._closed = closed
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._left_out = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._failed = False
        self._stopped: Deferred[None] = Deferred()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to write."""
        # A daemon thread: one that waits for a reader must not keep the process.
        self._thread = threading.Thread(target=self._main, name="output", daemon=True)
        self._thread.start()

    def stop(self) -> "Deferred[None]":
        """Write what waits and end; fires then, which is never if the reader stalls."""
        if self._thread is None:
            return succeed(None)
        with self._changed:
            self._stopping = True
            self._changed.notify()
        return self._stopped

    def show(self, line: Line, token: api.Event | None = None) -> None:
        """Write a line."""
        data = "".join(f"{row}\n" for row in draw(line)).encode("utf-8", "replace")
        with self._changed:
            if self._failed:
                return
            if self._bytes + len(data) > WAITING_BYTES:
                self._left_out += 1
                return
            self._tell_left_out()
            self._append(data)
            self._changed.notify()

    def prompt_changed(self) -> None:
        """There is no prompt."""

    def forget(self, person: str) -> str:
        """What was written is its reader's."""
        return ""

    def clear(self) -> bool:
        """Nothing is drawn."""
        return False

    def keep(self, text: str) -> None:
        """Nobody can have it back; what was wrong with it is shown."""

    def _append(self, data: bytes) -> None:
        self._lines.append(data)
        self._bytes += len(data)

    def _tell_left_out(self) -> None:
        if self._left_out:
            words = draw(note(f"{self._left_out} lines were left out here: nobody read them in time"))
            self._left_out = 0
            self._append(f"{words[0]}\n".encode())

    # --- in the thread

    def _main(self) -> None:
        try:
            while data := self._next():
                self._write(data)
        except OSError as error:
            with self._changed:
                self._failed = True
                self._lines.clear()
                self._bytes = 0
            self._reactor.callFromThread(self._closed, error)
        self._reactor.callFromThread(self._stopped.callback, None)

    def _next(self) -> bytes:
        """What is to be written next; nothing at the end."""
        with self._changed:
            while not self._lines and not self._stopping:
                if not self._changed.wait(LOOK_EVERY):
                    self._look()
            self._tell_left_out()
            chunk = bytearray()
            while self._lines and len(chunk) < CHUNK_BYTES:
                chunk += self._lines.popleft()
            self._bytes -= len(chunk)
            return bytes(chunk)

    def _look(self) -> None:
        """Raise BrokenPipeError if nobody can read any more, which only a write would tell otherwise."""
        poll = select.poll()
        poll.register(self._descriptor, 0)
        if poll.poll(0):
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]
