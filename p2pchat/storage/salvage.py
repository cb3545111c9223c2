"""
What can still be read of a damaged database, into a new one: page by page, each row to the table that it fits.

Nothing of the damaged file's own structure is believed but what one page says about itself. Freed pages cannot bring
back what was deleted: SQLite overwrites them for us (`secure_delete`).
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import apsw

from p2pchat.storage.pages import DamagedFile, Page, Record, Tree
from p2pchat.storage.query import Value, changed, row, rows

_TYPES: dict[str, type] = {"INTEGER": int, "TEXT": str, "BLOB": bytes}
STREAM_NAME = 80
"""Bytes of a stream's name: of a conversation's id, a peer id, and 16 more (core/entries.py)."""

_LAST = 1 << 16
"""Behind every column of a key."""

_LENGTH = re.compile(r"length\((\w+)\) = (\d+)")


@dataclass(frozen=True, slots=True)
class Column:
    """What may stand in a column."""

    name: str
    type: type
    nullable: bool
    length: int | None
    """Bytes that it must have."""

    def fits(self, value: Value) -> bool:
        """Whether the value may stand there."""
        if value is None:
            return self.nullable
        return type(value) is self.type and self.length in (None, len(value) if isinstance(value, bytes) else None)


@dataclass(frozen=True, slots=True)
class Shape:
    """A table of ours, as its rows lie on pages."""

    table: str
    columns: tuple[Column, ...]
    """In the order on the page: the key first in a table without rowids."""
    has_rowid: bool
    alias: int | None
    """Which column is the rowid by another name; on the page it is NULL."""

    def fits(self, record: Record) -> bool:
        """Whether the record may be a row of this table."""
        if len(record.values) != len(self.columns):
            return False
        return all(
            value is None if place == self.alias else column.fits(value)
            for place, (column, value) in enumerate(zip(self.columns, record.values, strict=True))
        )

    def values(self, record: Record) -> tuple[Value, ...]:
        """The row."""
        return tuple(record.rowid if place == self.alias else value for place, value in enumerate(record.values))

    @property
    def insert(self) -> str:
        """The statement that stores a row."""
        names = ", ".join(column.name for column in self.columns)
        return f"INSERT INTO {self.table} ({names}) VALUES ({', '.join('?' * len(self.columns))})"


@dataclass(slots=True)
class Salvaged:
    """What came of it."""

    damaged: int = 0
    """Rows on readable pages that could not be read, or break a rule of the table."""
    orphans: Counter[str] = field(default_factory=Counter)
    """By table: rows that were dropped, since what they belong to is lost."""
    newest: int = 0
    """The highest number of an entry that an index names."""
    streams: dict[int, bytes] = field(default_factory=dict)
    """Names of streams that an index names, by row."""


def shapes_of(connection: apsw.Connection) -> list[Shape]:
    """The tables of a new, empty database; not those of its full-text index."""
    tables = [
        (name, bool(without_rowid))
        for name, kind, without_rowid in rows(
            connection, "SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite%'"
        )
        if kind == "table"
    ]
    return [_shape(connection, name, not without_rowid) for name, without_rowid in tables]


def salvage(source: DamagedFile, target: apsw.Connection) -> Salvaged:
    """
    Store what can be read of `source` in the empty tables of `target`, inside a transaction of the caller.

    Foreign keys must be off; `drop_orphans` puts them right.
    """
    result = Salvaged()
    shapes = shapes_of(target)
    for page in source.read():
        result.damaged += page.damaged
        shape = _shape_of(page, shapes)
        if shape is None:
            _note_index(page, result)
            continue
        for record in page.records:
            if not shape.fits(record) or not _stored(target, shape, record):
                result.damaged += 1
    return result


def drop_orphans(connection: apsw.Connection, result: Salvaged) -> None:
    """Delete rows that belong to rows which are not there, until there is none."""
    tables = [name for (name,) in rows(connection, "SELECT name FROM pragma_table_list WHERE type = 'table'")]
    again = True
    while again:
        again = False
        for table in tables:
            for parent, own, its in _parents(connection, table):
                number = changed(
                    connection,
                    f"DELETE FROM {table} WHERE {own} IS NOT NULL AND {own} NOT IN (SELECT {its} FROM {parent})",
                )
                result.orphans[table] += number
                again = again or number > 0


def _parents(connection: apsw.Connection, table: str) -> Iterable[tuple[str, str, str]]:
    """(table, own column, its column) of each foreign key."""
    found = rows(connection, 'SELECT "table", "from", "to" FROM pragma_foreign_key_list(?)', (table,))
    for parent, own, its in found:
        key = row(connection, "SELECT name FROM pragma_table_info(?) WHERE pk = 1", (parent,))
        yield parent, own, its or (key[0] if key else "rowid")


def _shape(connection: apsw.Connection, table: str, has_rowid: bool) -> Shape:
    (sql,) = row(connection, "SELECT sql FROM sqlite_schema WHERE name = ?", (table,)) or ("",)
    lengths = {name: int(length) for name, length in _LENGTH.findall(sql)}
    found = rows(connection, 'SELECT name, type, "notnull", pk FROM pragma_table_info(?)', (table,))
    if not has_rowid:
        found.sort(key=lambda each: each[3] or _LAST)
    columns = tuple(
        Column(name, _TYPES[kind], not (not_null or key), lengths.get(name)) for name, kind, not_null, key in found
    )
    keys = [place for place, (_, kind, _, key) in enumerate(found) if key]
    alias = keys[0] if has_rowid and len(keys) == 1 and columns[keys[0]].type is int else None
    return Shape(table, columns, has_rowid, alias)


def _shape_of(page: Page, shapes: Iterable[Shape]) -> Shape | None:
    """The table whose page it is: the one that most of its rows fit, and more than half of them."""
    best, most = None, len(page.records) / 2
    for shape in shapes:
        if shape.has_rowid == (page.tree is Tree.TABLE):
            fitting = sum(map(shape.fits, page.records))
            if fitting > most:
                best, most = shape, fitting
    return best


def _note_index(page: Page, result: Salvaged) -> None:
    """
    What indexes tell of rows that may be lost.

    One over three numbers is of entries, and ends with theirs; one over the length of a stream's name is of streams.
    """
    for record in page.records if page.tree is not Tree.TABLE else ():
        match record.values:
            case (int(), int(), int(last)):
                result.newest = max(result.newest, last)
            case (bytes(name), int(stream)) if len(name) == STREAM_NAME:
                result.streams[stream] = name


def _stored(target: apsw.Connection, shape: Shape, record: Record) -> bool:
    try:
        target.execute(shape.insert, shape.values(record))
    except (apsw.ConstraintError, apsw.MismatchError):
        return False
    return True
