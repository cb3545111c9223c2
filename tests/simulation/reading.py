"""
What databases hold, read with SQL of our own and not that of the tables.

Everything is looked at every time, but only what is new is taken apart: a row that changed in any way makes all of it
be read anew.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import apsw
import msgspec

from .disk import Disk, File

ResultT = TypeVar("ResultT")

ENTRIES = (
    "SELECT peer, kind, number, id, length(bytes), entry, stream, seq FROM entry JOIN party ON party = author "
    "ORDER BY entry"
)

PADDING = "."
"""What makes a text long; the oracle knows texts without it."""


class Line(NamedTuple):
    """An entry on a disk."""

    author: bytes
    kind: str
    number: int
    id: bytes
    text: str
    entry: int
    stream: int
    seq: int


@dataclass
class Voice:
    """What one author says in a database, in order of arrival."""

    lines: list[Line] = field(default_factory=list)
    texts: set[str] = field(default_factory=set)
    by_number: dict[int, list[str]] = field(default_factory=dict)
    in_order: bool = True
    """Whether the numbers never go down."""

    def add(self, line: Line) -> None:
        """The next one."""
        self.in_order = self.in_order and (not self.lines or self.lines[-1].number <= line.number)
        self.lines.append(line)
        self.texts.add(line.text)
        self.by_number.setdefault(line.number, []).append(line.text)

    @property
    def twice(self) -> bool:
        """Whether something stands there more than once."""
        return len(self.texts) < len(self.lines)


SILENCE = Voice()
"""Of whom nothing is there."""


@dataclass
class Contents:
    """What a database holds."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    voices: dict[bytes, Voice] = field(default_factory=dict)
    """By author; messages alone, and not what else belongs into the log."""

    def of(self, author: bytes) -> Voice:
        """What an author says there."""
        return self.voices.get(author, SILENCE)


class Eye:
    """Reads the databases of one machine, and remembers how it found them."""

    def __init__(self) -> None:
        self._texts: dict[tuple[bytes, int | None], str] = {}
        self._contents = Contents()

    def look(self, connection: apsw.Connection) -> Contents:
        """Everything that a database holds."""
        rows = list(connection.execute(ENTRIES))
        before = self._contents.rows
        known = len(before)
        if rows[:known] != before:
            known, self._contents = 0, Contents()
        contents = self._contents
        for row in rows[known:]:
            author, kind, number, id, size, *where = row
            if kind == "text":
                line = Line(author, kind, number, id, self._text(connection, id, size, where[0]), *where)
                contents.voices.setdefault(author, Voice()).add(line)
        contents.rows = rows
        return contents

    def look_at_files(self, files: dict[str, bytes], path: Path) -> Contents:
        """Everything that copies of files hold; nothing if there is no database in them."""
        return look_into(files, path, self.look) or Contents()

    def _text(self, connection: apsw.Connection, id: bytes, size: int | None, entry: int) -> str:
        if size is None:
            return ""
        text = self._texts.get((id, size))
        if text is None:
            ((data,),) = connection.execute("SELECT bytes FROM entry WHERE entry = ?", (entry,))
            text = self._texts[id, size] = str(msgspec.msgpack.decode(data)["body"]["text"]).rstrip(PADDING)
        return text


def look_into(files: dict[str, bytes], path: Path, look: Callable[[apsw.Connection], ResultT]) -> ResultT | None:
    """Look at a database in copies of files; None if there is none."""
    if not files.get(str(path)):
        return None
    disk = Disk({name: File(data, named=True) for name, data in files.items()})
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=disk.name)
    try:
        connection.pragma("locking_mode", "EXCLUSIVE")
        return look(connection)
    except apsw.SQLError:
        return None  # the power failed before the tables were made
    finally:
        connection.close()
        disk.unregister()


def held_in(connection: apsw.Connection, stream: bytes) -> int:
    """Up to where a database has a stream; 0 if it has nothing of it."""
    return next((int(seq) for (seq,) in connection.execute("SELECT seq FROM stream WHERE name = ?", (stream,))), 0)


def confirmed_in(connection: apsw.Connection, reader: bytes) -> dict[int, int]:
    """By stream: up to where a reader has it, as a database knows."""
    rows = connection.execute(
        "SELECT vector.stream, seq FROM vector JOIN party ON party.party = reader WHERE peer = ?", (reader,)
    )
    return dict(rows)


def doubts_in(connection: apsw.Connection, reader: bytes) -> list[tuple[int, int]]:
    """The numbers, first and last, of our own messages that a reader may lack, as the next terminal is told."""
    rows = connection.execute(
        "SELECT first, last FROM doubt JOIN conversation USING (conversation) JOIN contact USING (contact) "
        "WHERE mine AND peer = ?",
        (reader,),
    )
    return [(int(first), int(last)) for first, last in rows]
