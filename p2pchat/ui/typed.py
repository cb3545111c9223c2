"""
What a person typed in each chat, on the disk: for the up key and for Ctrl-R, over restarts.

A file for each chat in a directory of the state directory, readable by its owner alone; a JSON string a line, since a
message may have several lines. Bounded in number and size. What may hold a secret is never written: a line that
begins with a blank, as in shells, and commands that take a code or a passphrase. Every terminal of a peer reads and
appends; a file that was deleted (`forget_typed`) is gone from all of them, also from memory.

It is a convenience: an error of the disk loses it silently, and no message with it.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

DIRECTORY = "typed"
"""In the state directory."""

NO_CHAT = "none"
"""The file of what was typed where no chat was the current one."""

MOST_LINES = 1_000
"""Kept for one chat: years of what somebody still remembers to have typed."""

MOST_BYTES = 262_144
"""Of one file; it is read whole at the first key."""

LINE_BYTES = 4_096
"""A longer line is a pasted text, which is found in the history of the chat."""

_TO_A_NAME = re.compile(r"@|/(?:msg|connect|c)\b", re.IGNORECASE)
"""How a line begins that holds words for somebody who need not be whom the chat is with."""

_SECRET = re.compile(r"\s|/\s*(?:pair|passphrase|password|unlock|identity)\b", re.IGNORECASE)
"""How a line begins that is not kept."""


class Typed:
    """One chat's file, for one terminal."""

    def __init__(self, state: Path, person: str | None) -> None:
        self._path = _path_of(state, person)
        self._known: tuple[int, int, int] | None = None
        self._lines: list[str] = []

    def lines(self) -> list[str]:
        """What was typed, the latest last."""
        try:
            status = self._path.stat()
        except OSError:
            self._known, self._lines = None, []
            return []
        known = status.st_ino, status.st_size, status.st_mtime_ns
        if known != self._known:
            self._known, self._lines = known, list(_read(self._path))
        return self._lines

    def add(self, line: str) -> None:
        """A line was typed; keep it, unless it may hold a secret or is the last one again."""
        if not line.strip() or _SECRET.match(line) or len(line.encode("utf-8", "replace")) > LINE_BYTES:
            return
        lines = self.lines()
        if lines[-1:] == [line]:
            return
        with suppress(OSError):
            if len(lines) >= 2 * MOST_LINES or (self._known is not None and self._known[1] > MOST_BYTES):
                _replace(self._path, [*lines[-MOST_LINES:], line])
            else:
                self._append(line)

    def _append(self, line: str) -> None:
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self._path, flags, 0o600)
        try:
            written = os.write(descriptor, _encoded([line]))
            status = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        before = self._known or (status.st_ino, 0, 0)
        if (status.st_ino, status.st_size) == (before[0], before[1] + written):  # nobody else wrote in between
            self._known = status.st_ino, status.st_size, status.st_mtime_ns
            self._lines.append(line)


def forget_typed(state: Path, person: str | None) -> None:
    """
    Delete what was typed in the chat with the id `person` (written form); None: where no chat was the current one.

    With it goes what was typed elsewhere and sent to a name: whose that was is not known any more. Raises OSError if
    it is there and cannot be deleted.
    """
    own = _path_of(state, person)
    own.unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        for path in (state / DIRECTORY).iterdir():
            if path.name.startswith(f".{own.name}."):  # left by a process that was killed in `_replace`
                path.unlink(missing_ok=True)
                continue
            lines = list(_read(path))
            kept = [line for line in lines if not _TO_A_NAME.match(line)]
            if kept != lines:
                _replace(path, kept)


def _path_of(state: Path, person: str | None) -> Path:
    letters = re.sub("[^a-z0-9]", "", person.lower()) if person else ""
    return state / DIRECTORY / (letters or NO_CHAT)


def _replace(path: Path, lines: list[str]) -> None:
    """The latest lines alone, at once."""
    while len(data := _encoded(lines)) > MOST_BYTES // 2 and len(lines) > 1:
        lines = lines[len(lines) // 2 :]
    temporary = path.with_name(f".{path.name}.{token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _read(path: Path) -> Iterator[str]:
    """Every whole line; what somebody else wrote into the file, or a killed process, is left out."""
    try:
        with path.open("rb") as file:
            data = file.read(2 * MOST_BYTES)
    except OSError:
        return
    for line in data.splitlines():
        with suppress(ValueError):
            typed = json.loads(line)
            if isinstance(typed, str):
                yield typed


def _encoded(lines: Iterable[str]) -> bytes:
    # The line end comes first: half a line that a killed process left takes none of ours with it.
    return "".join(f"\n{json.dumps(line)}" for line in lines).encode("ascii")
