"""Three ways to ask, shared by all tables; the texts of SQL stay with the tables."""

from collections.abc import Sequence
from typing import Any

import apsw

Value = None | int | float | str | bytes
"""What a column can hold."""

Bindings = Sequence[Value]


def rows(connection: apsw.Connection, sql: str, bindings: Bindings = ()) -> list[tuple[Any, ...]]:
    """All rows."""
    return list(connection.execute(sql, bindings))


def row(connection: apsw.Connection, sql: str, bindings: Bindings = ()) -> tuple[Any, ...] | None:
    """The first row, or None."""
    return next(iter(connection.execute(sql, bindings)), None)


def changed(connection: apsw.Connection, sql: str, bindings: Bindings = ()) -> int:
    """Run a statement that changes rows; how many it did."""
    connection.execute(sql, bindings)
    return connection.changes()
