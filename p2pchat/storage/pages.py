"""
An SQLite file read page by page, without SQLite: what can still be read of a damaged one.

Every page that holds rows is looked at by itself, and none is searched for from a root. So damage costs what stands on
the damaged page, and nothing that SQLite would have reached through it. The committed frames of the WAL lie over the
file's pages. The format is that of sqlite.org/fileformat2.html; the names of its sections are given.
"""

import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

from p2pchat.storage.query import Value

MAGIC = b"SQLite format 3\0"
DEFAULT_PAGE_SIZE = 4096
"""What SQLite makes; taken where the file's header cannot be read."""

MAX_PAYLOAD = 1 << 24
"""Bytes of one row; ours are far shorter, and a damaged length must not make us read for ever."""

_FILE_HEADER = 100
_WAL_HEADER, _FRAME_HEADER = 32, 24
_WAL_LITTLE, _WAL_BIG = 0x377F0682, 0x377F0683
_INTEGER_SIZES = (0, 1, 2, 3, 4, 6, 8)


class Tree(IntEnum):
    """What a page belongs to; the value is its first byte (1.6, "B-tree Pages")."""

    TABLE = 0x0D
    """A leaf of a table: rows with a rowid. Its inner pages have none."""
    INDEX_LEAF = 0x0A
    INDEX_INNER = 0x02
    """An index, or a table without rowids: records stand on all of its pages."""


class Record(NamedTuple):
    """One row as it lies on a page."""

    rowid: int | None
    """None in an index and in a table without rowids."""
    values: tuple[Value, ...]


class Page(NamedTuple):
    """The rows of one page."""

    tree: Tree
    records: list[Record]
    damaged: int
    """Cells that could not be read."""


class Unreadable(Exception):
    """Some bytes are not what the format says."""


class DamagedFile:
    """A database and its WAL, opened for reading. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        header = os.pread(self._descriptor, _FILE_HEADER, 0)
        self.page_size = _page_size(header)
        self._usable = self.page_size - (header[20] if header.startswith(MAGIC) and header[20] <= 32 else 0)
        self._frames = _committed(Path(f"{path}-wal"), self.page_size)
        size = os.fstat(self._descriptor).st_size
        self.pages = max([-(-size // self.page_size), *self._frames])

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def read(self) -> Iterator[Page]:
        """All pages with rows, in the order of the file."""
        for number in range(1, self.pages + 1):
            page = self._page(number)
            start = _FILE_HEADER if number == 1 else 0
            if len(page) == self.page_size and page[start] in list(Tree):
                yield self._read_page(page, start)

    def _page(self, number: int) -> bytes:
        if number in self._frames:
            return self._frames[number]
        return os.pread(self._descriptor, self.page_size, (number - 1) * self.page_size)

    def _read_page(self, page: bytes, start: int) -> Page:
        tree = Tree(page[start])
        count = int.from_bytes(page[start + 3 : start + 5], "big")
        pointers = start + (12 if tree is Tree.INDEX_INNER else 8)
        count = min(count, (self.page_size - pointers) // 2)
        records: list[Record] = []
        for place in range(pointers, pointers + 2 * count, 2):
            with suppress(Unreadable, IndexError, struct.error, UnicodeDecodeError):
                records.append(self._cell(tree, page, int.from_bytes(page[place : place + 2], "big")))
        return Page(tree, records, count - len(records))

    def _cell(self, tree: Tree, page: bytes, at: int) -> Record:
        if at < 8:
            raise Unreadable
        if tree is Tree.INDEX_INNER:
            at += 4  # the page to its left
        size, at = _varint(page, at)
        rowid = None
        if tree is Tree.TABLE:
            rowid, at = _varint(page, at)
            rowid = rowid - (1 << 64) if rowid >> 63 else rowid
        return Record(rowid, decode_record(self._payload(tree, page, at, size)))

    def _payload(self, tree: Tree, page: bytes, at: int, size: int) -> bytes:
        """All bytes of a row, those on overflow pages too (1.6, "Cell Payload")."""
        if size > MAX_PAYLOAD:
            raise Unreadable
        usable = self._usable
        most = usable - 35 if tree is Tree.TABLE else (usable - 12) * 64 // 255 - 23
        local = size
        if size > most:
            least = (usable - 12) * 32 // 255 - 23
            local = least + (size - least) % (usable - 4)
            local = local if local <= most else least
        payload = page[at : at + local]
        if len(payload) < local:
            raise Unreadable
        following = page[at + local : at + local + 4]
        while len(payload) < size:
            number = int.from_bytes(following, "big")
            overflow = self._page(number) if 1 < number <= self.pages else b""
            if len(overflow) < self.page_size:
                raise Unreadable
            payload += overflow[4 : 4 + min(size - len(payload), usable - 4)]
            following = overflow[:4]
        return payload


def decode_record(payload: bytes) -> tuple[Value, ...]:
    """The values of a record (2.1, "Record Format"). Raises Unreadable, or what its bytes make Python raise."""
    header, at = _varint(payload, 0)
    if header > len(payload):
        raise Unreadable
    values: list[Value] = []
    place = header
    while at < header:
        kind, at = _varint(payload, at)
        size = _size_of(kind)
        if place + size > len(payload):
            raise Unreadable
        values.append(_value(kind, payload[place : place + size]))
        place += size
    if place != len(payload):
        raise Unreadable
    return tuple(values)


def _size_of(kind: int) -> int:
    if kind >= 12:
        return (kind - 12) // 2
    if kind in (10, 11):
        raise Unreadable
    return _INTEGER_SIZES[kind] if kind < len(_INTEGER_SIZES) else 8 if kind == 7 else 0


def _value(kind: int, data: bytes) -> Value:
    match kind:
        case 0:
            return None
        case 7:
            number: float = struct.unpack(">d", data)[0]
            return number
        case 8 | 9:
            return kind - 8
        case _ if kind < 7:
            return int.from_bytes(data, "big", signed=True)
    return data.decode() if kind % 2 else data


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A variable-length integer, and where the next thing stands."""
    value = 0
    for place in range(at, at + 8):
        byte = data[place]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + 1
    return value << 8 | data[at + 8], at + 9


def _page_size(header: bytes) -> int:
    size = int.from_bytes(header[16:18], "big")
    size = 65536 if size == 1 else size
    fits = header.startswith(MAGIC) and size >= 512 and size & (size - 1) == 0
    return size if fits else DEFAULT_PAGE_SIZE


# --- the WAL (4, "The Write-Ahead Log")


def _committed(path: Path, page_size: int) -> dict[int, bytes]:
    """The newest committed content of each page that is in the WAL; nothing where there is none, or not ours."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    if len(data) < _WAL_HEADER:
        return {}
    magic, _, size, _, *salts = struct.unpack(">6I", data[:24])
    if magic not in (_WAL_LITTLE, _WAL_BIG) or size != page_size:
        return {}
    order = "<" if magic == _WAL_LITTLE else ">"
    sums = _checksum(order, data[:24], (0, 0))
    if sums != struct.unpack(">2I", data[24:32]):
        return {}
    committed: dict[int, bytes] = {}
    waiting: dict[int, bytes] = {}
    for at in range(_WAL_HEADER, len(data) - _FRAME_HEADER - page_size + 1, _FRAME_HEADER + page_size):
        number, end, *rest = struct.unpack(">6I", data[at : at + _FRAME_HEADER])
        page = data[at + _FRAME_HEADER : at + _FRAME_HEADER + page_size]
        sums = _checksum(order, page, _checksum(order, data[at : at + 8], sums))
        if rest != [*salts, *sums]:
            break
        waiting[number] = page
        if end:
            committed |= waiting
            waiting.clear()
    return committed


def _checksum(order: str, data: bytes, start: tuple[int, int]) -> tuple[int, int]:
    first, second = start
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for at in range(0, len(words), 2):
        first = (first + words[at] + second) & 0xFFFFFFFF
        second = (second + words[at + 1] + first) & 0xFFFFFFFF
    return first, second
