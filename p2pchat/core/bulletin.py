"""
The bulletin: the roster as watchers may read it, in frames that are encoded once for all of them.

It is a list of rows under a number, and a log of the latest changes. Pages of the rows are a snapshot. The log is
never longer than what it would be cheaper to read anew, so a slow reader gets the latest state and not a queue.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

import msgspec
from msgspec import Raw, Struct

from .framing import encode_frame
from .messages import MAX_LISTINGS

PAGE_BYTES = 60_000
"""Most bytes of rows in a page or a change: with its fields it fits into a frame of 64 KiB."""

LOG_BYTES = 4_000
"""Bytes of old changes kept although all rows together are smaller: a late reader need not start anew."""

ID_BYTES = 34
"""An encoded id."""

_encode = msgspec.msgpack.Encoder().encode


class _Page(Struct, tag_field="type", tag="roster"):
    """A RosterPage whose rows are encoded already."""

    number: int
    listings: list[Raw]
    more: bool


class _Changes(Struct, tag_field="type", tag="changes", omit_defaults=True):
    """A Changes whose rows are encoded already."""

    since: int
    number: int
    listings: list[Raw] = []
    gone: list[bytes] = []


class Row:
    """One peer, as watchers know it."""

    __slots__ = ("id", "order", "told")

    def __init__(self, identifier: bytes) -> None:
        self.id = identifier
        self.told: bytes | None = None
        """The encoded Listing; None: nobody is there."""
        self.order = 0
        """Its place among the rows; newcomers have greater ones."""

    @property
    def size(self) -> int:
        """Bytes that it takes in a page or change."""
        return ID_BYTES if self.told is None else len(self.told)


class Page(NamedTuple):
    """A page of a snapshot."""

    frame: bytes
    order: int
    """The place of its last row."""
    more: bool
    """Whether rows follow."""


class Bulletin:
    """The rows, their number, and the latest changes."""

    def __init__(self) -> None:
        self.number = 0
        """Counts the changes."""
        self._rows: list[Row] = []
        self._by_id: dict[bytes, Row] = {}
        self._rows_bytes = 0
        self._orders = 0
        self._log: deque[bytes] = deque()
        self._log_bytes = 0
        # What several watchers read between two changes.
        self._pages: dict[int, Page] = {}
        self._named: dict[tuple[int, tuple[bytes, ...]], bytes] = {}

    def __len__(self) -> int:
        """Rows."""
        return len(self._rows)

    def get(self, identifier: bytes) -> bytes | None:
        """The encoded listing of a peer that watchers know of."""
        row = self._by_id.get(identifier)
        return None if row is None else row.told

    # --- writing

    def tell(self, row: Row, told: bytes | None) -> None:
        """Give a row its new state; `publish` follows."""
        self._rows_bytes += len(told or b"") - len(row.told or b"")
        if row.told is None and told is not None:
            self._orders += 1
            row.order = self._orders
            self._rows.append(row)
            self._by_id[row.id] = row
        elif row.told is not None and told is None:
            del self._rows[bisect_right(self._rows, row.order, key=_order) - 1]
            del self._by_id[row.id]
        row.told = told

    def publish(self, changed: Iterable[Row]) -> None:
        """Number and log the new state of these rows, in as many changes as it takes."""
        self._pages.clear()
        self._named.clear()
        while self._log and self._log_bytes > max(self._rows_bytes, LOG_BYTES):
            self._log_bytes -= len(self._log.popleft())
        for part in _parts(changed):
            self.number += 1
            frame = _changes_frame(self.number - 1, self.number, part)
            self._log.append(frame)
            self._log_bytes += len(frame)

    # --- reading

    def change_after(self, number: int) -> bytes | None:
        """The frame that leads from `number` to the next; None if it is kept no longer: a snapshot is smaller."""
        place = number - self.number
        return self._log[place] if -len(self._log) <= place < 0 else None

    def page_after(self, order: int, number: int, without: Collection[bytes] = ()) -> Page:
        """
        A page of rows behind the place `order` (0: from the first), of a snapshot that was begun at `number`.

        The ids in `without` are left out: they were read before.
        """
        shared = number == self.number and not without
        page = self._pages.get(order) if shared else None
        if page is None:
            page = self._make_page(order, number, without)
            if shared:
                self._pages[order] = page
        return page

    def page_of(self, told: list[bytes], number: int, more: bool) -> bytes:
        """A page with just these rows."""
        return encode_frame(_encode(_Page(number, [Raw(each) for each in told], more)))

    def changes_of(self, ids: tuple[bytes, ...], since: int) -> bytes:
        """A frame with the state of these ids, which leads from `since` to now; encoded once for equal readers."""
        frame = self._named.get((since, ids))
        if frame is None:
            rows = (self._by_id.get(identifier) or Row(identifier) for identifier in ids)
            frame = self._named[since, ids] = _changes_frame(since, self.number, rows)
        return frame

    def _make_page(self, order: int, number: int, without: Collection[bytes]) -> Page:
        start = bisect_right(self._rows, order, key=_order)
        told, size = [], 0
        for row in self._rows[start : start + MAX_LISTINGS]:
            size += row.size
            if size > PAGE_BYTES:
                break
            order = row.order
            if row.told is not None and row.id not in without:
                told.append(row.told)
        more = bool(self._rows) and self._rows[-1].order > order
        return Page(self.page_of(told, number, more), order, more)


def _order(row: Row) -> int:
    return row.order


def _changes_frame(since: int, number: int, rows: Iterable[Row]) -> bytes:
    changes = _Changes(since, number)
    for row in rows:
        if row.told is None:
            changes.gone.append(row.id)
        else:
            changes.listings.append(Raw(row.told))
    return encode_frame(_encode(changes))


def _parts(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Rows in lists that fit into one frame each."""
    part: list[Row] = []
    size = 0
    for row in rows:
        if part and (size + row.size > PAGE_BYTES or len(part) >= MAX_LISTINGS):
            yield part
            part, size = [], 0
        part.append(row)
        size += row.size
    if part:
        yield part
