"""Ways to ask, shared by all tables; the texts of SQL stay with the tables."""

from collections.abc import Iterable, Sequence
from itertools import chain, islice
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


MOST_ROWS = 128
"""Rows that one statement inserts: its text stays far below the 16 KiB up to which apsw keeps what it prepared."""


class Insert:
    """
    An INSERT of any number of rows, in few statements.

    Each statement lets go of the interpreter, and while the reactor is busy the writer waits for it each time: a
    statement for every row makes of some microseconds some milliseconds.

    `into` is the statement up to VALUES. Rows give the `last` columns; the values of those in front of them are the
    same for all rows.
    """

    def __init__(self, into: str, last: int, shared: int = 0) -> None:
        columns = [*(f"?{number}" for number in range(1, shared + 1)), *("?" * last)]
        one = f"({', '.join(columns)})"
        sizes = [1 << power for power in range(MOST_ROWS.bit_length())]
        self._statements = [(size, f"{into} VALUES {', '.join([one] * size)}") for size in reversed(sizes)]

    def run(self, connection: apsw.Connection, rows: Iterable[Bindings], *shared: Value) -> None:
        """Insert the rows, in their order; of many that are made on the way only a few are held at a time."""
        waiting = iter(rows)
        while some := list(islice(waiting, MOST_ROWS)):
            done = 0
            for size, sql in self._statements:
                if len(some) - done >= size:
                    connection.execute(sql, (*shared, *chain.from_iterable(some[done : done + size])))
                    done += size
