"""A terminal that a benchmark types at: it knows of a program only what a person sees."""

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from types import TracebackType

from benchmarks.processes import ANSWER_WITHIN, BenchmarkFailed

LETTERS = "".join(map(chr, range(0x100, 0x240)))
"""Each is typed in its turn, so that one that is on the screen is no other one's echo; no message has them."""

AT_ONCE = 30
"""Letters on the line, before it is cleared."""

CLEAR = b"\x15"
ASKS_WHERE = b"\x1b[6n"
"""Asks a terminal for its cursor's position; prompts wait for the answer."""


class TerminalEnded(BenchmarkFailed):
    """The program at the terminal is gone."""


class Keyboard:
    """A process at a terminal of 100 by 40, which itself echoes nothing."""

    def __init__(self, *words: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        attributes = termios.tcgetattr(slave)
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, attributes)
        environment = os.environ | {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        self._process = subprocess.Popen(
            words,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env=environment,
        )
        os.close(slave)
        self._started = time.perf_counter()
        self._typed = 0
        self._last = b""

    def __enter__(self) -> "Keyboard":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def press_until_shown(self) -> float:
        """Press a key; seconds until it is on the screen, the first time from the start of the process."""
        if self._typed % AT_ONCE == AT_ONCE - 1:
            with contextlib.suppress(OSError):
                os.write(self._master, CLEAR)
            self.read_for(0.2)
        letter = LETTERS[self._typed % len(LETTERS)].encode()
        pressed = time.perf_counter() if self._typed else self._started
        self._typed += 1
        with contextlib.suppress(OSError):  # the process has ended
            os.write(self._master, letter)
        end, shown = time.monotonic() + ANSWER_WITHIN, b""
        while letter not in shown:
            if self._process.poll() is not None:
                raise TerminalEnded(f"the terminal ended: {self._last[-300:]!r}")
            if time.monotonic() > end:
                raise BenchmarkFailed(f"a key did not come on the screen: {self._last[-300:]!r}")
            shown = shown[-8:] + self._read(1.0)
        return time.perf_counter() - pressed

    def read_for(self, seconds: float) -> None:
        """Take what is written to the screen for a while."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._read(left)

    def _read(self, within: float) -> bytes:
        if not select.select([self._master], [], [], within)[0]:
            return b""
        with contextlib.suppress(OSError):  # the process has ended
            data = os.read(self._master, 65536)
            self._last = self._last[-300:] + data
            for _ in range(data.count(ASKS_WHERE)):
                os.write(self._master, b"\x1b[1;1R")
            return data
        return b""
