"""A command at a pseudo-terminal of its own, typed at and read by a test."""

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

PATIENCE = 120
"""Seconds after which something does not happen any more."""

ASKS_WHERE = b"\x1b[6n"
"""Asks a terminal for its cursor's position (ECMA-48, DSR)."""

_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[()][A-Z0-9]|[=>78])")


class Terminal:
    """
    A process at 100, or `columns`, by 40.

    `told` is all that it wrote so far, without escape sequences; `wait_for` reads on until something is in it.
    """

    def __init__(self, words: list[str], columns: int = 100, **options: object) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            words, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, preexec_fn=_take, **options
        )  # type: ignore[call-overload]
        os.close(slave)
        self._raw = b""
        self._from = 0

    @property
    def raw(self) -> bytes:
        """Everything that was written, as it was."""
        return self._raw

    @property
    def told(self) -> str:
        """Everything that was written, as text."""
        return _ESCAPES.sub("", self._raw.decode("utf-8", "replace")).replace("\r", "")

    @property
    def is_raw(self) -> bool:
        """Whether keys go to the process one by one, as while it has a prompt; a shell would be hard to use then."""
        return not termios.tcgetattr(self._master)[3] & termios.ICANON

    def type(self, text: str) -> None:
        """Write, and press Enter."""
        os.write(self._master, text.encode() + b"\r")

    def press(self, keys: bytes) -> None:
        """Only these."""
        os.write(self._master, keys)

    def wait_for(self, text: str) -> str:
        """Read until `text` was written behind what the last call found."""
        self._search(re.escape(text))
        return self.told

    def wait_for_words(self, text: str) -> str:
        """The same, in whatever rows the words stand; gives them as they were written."""
        return self._search(r"\s+".join(map(re.escape, text.split())))[0]

    def wait_for_all(self, *patterns: str) -> None:
        """The same for several regular expressions, in any order."""
        begin, ends = self._from, []
        for pattern in patterns:
            self._from = begin
            ends.append(self._search(pattern).end())
        self._from = max(ends)

    def wait_for_match(self, pattern: str) -> re.Match[str]:
        """The same for a regular expression."""
        return self._search(pattern)

    def wait(self) -> int:
        """Read until it has ended; its exit code."""
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < end, f"it goes on:\n{self.told}"
            self._read()
        while self._read():
            pass
        return self.process.returncode

    def hang_up(self) -> None:
        """Close the terminal, as when a window is closed."""
        os.close(self._master)
        self._master = -1

    def close(self) -> None:
        """End the process, if it lives, and wait for it."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        if self._master >= 0:
            os.close(self._master)

    def _search(self, pattern: str) -> re.Match[str]:
        wanted = re.compile(pattern)
        end = time.monotonic() + PATIENCE
        while (found := wanted.search(self.told, self._from)) is None:
            assert time.monotonic() < end, f"no {pattern!r} in:\n{self.told[self._from :]}"
            if not self._read() and self.process.poll() is not None:
                found = wanted.search(self.told, self._from)
                assert found is not None, f"it ended without {pattern!r}:\n{self.told}"
                break
        self._from = found.end()
        return found

    def _read(self) -> bool:
        if select.select([self._master], [], [], 0.05)[0]:
            with contextlib.suppress(OSError):  # nobody has the other end open any more
                data = os.read(self._master, 65536)
                self._raw += data
                if ASKS_WHERE in data:
                    os.write(self._master, b"\x1b[1;1R")
                return bool(data)
        return False


def _take() -> None:
    """Make the terminal the controlling one of the new session, so that hanging it up is told."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
