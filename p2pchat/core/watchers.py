"""
Watchers: how far each of those who watch a roster has read it (docs/protocol.md, section 7).

A watcher holds a place and no data. Whoever has the link asks it for frames as long as the link takes more; what
happens meanwhile is found when it asks the next time.
"""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from .bulletin import ID_BYTES, PAGE_BYTES, Bulletin
from .messages import MAX_LISTINGS, Changes, Message, RosterPage


class Frame(NamedTuple):
    """What `Session.send_encoded` takes."""

    kind: type[Message]
    data: bytes


class Reader(Protocol):
    """Whose link it is."""

    def read_on(self) -> None:
        """The watcher has something to read."""


class Watcher:
    """
    How far one has read.

    It begins with a snapshot: first the rows of `ids`, then, if it watches everyone, all others. Rows may change while
    pages of it are read: those changes are told again afterwards, and the newer state of a row replaces the older.
    """

    __slots__ = ("_bulletin", "_named", "_number", "_order", "_pending", "everyone", "ids", "reader")

    def __init__(self, bulletin: Bulletin, reader: Reader, everyone: bool, ids: Iterable[bytes]) -> None:
        self.reader = reader
        self.everyone = everyone
        self.ids = tuple(dict.fromkeys(ids))
        self._bulletin = bulletin
        self._pending: dict[bytes, None] = {}
        """Of one who watches ids alone: those that changed since they were read."""
        self._begin()

    def _begin(self) -> None:
        self._number = self._bulletin.number
        self._named = 0
        """How many of `ids` were read of the snapshot."""
        self._order: int | None = 0
        """The place of the last other row read of it; None behind its end."""
        self._pending.clear()

    def mark(self, identifier: bytes, before: int) -> None:
        """A watched id changed after the number `before`, up to which all others that changed were marked."""
        if not self._pending and self._order is None:
            self._number = before
        self._pending[identifier] = None

    def next_frame(self) -> Frame | None:
        """The next thing to send, None if there is nothing."""
        if self._order is not None:
            return Frame(RosterPage, self._page(self._order))
        if not self.everyone:
            return Frame(Changes, self._named_changes()) if self._pending else None
        if self._number == self._bulletin.number:
            return None
        change = self._bulletin.change_after(self._number)
        if change is None:
            # Too far behind: the latest state, not a queue (F28).
            self._begin()
            return Frame(RosterPage, self._page(0))
        self._number += 1
        return Frame(Changes, change)

    def _page(self, order: int) -> bytes:
        named = self._named_rows()
        if not self.everyone:
            more = self._named < len(self.ids)
            self._order = order if more else None
            return self._bulletin.page_of(named, self._number, more)
        if named:
            return self._bulletin.page_of(named, self._number, True)
        there = [identifier for identifier in self.ids if self._bulletin.get(identifier) is not None]
        page = self._bulletin.page_after(order, self._number, frozenset(there))
        self._order = page.order if page.more else None
        return page.frame

    def _named_rows(self) -> list[bytes]:
        """As many of the rows of `ids` that were not read as fit into a page."""
        rows: list[bytes] = []
        size = 0
        while self._named < len(self.ids) and len(rows) < MAX_LISTINGS:
            told = self._bulletin.get(self.ids[self._named]) or b""
            size += len(told)
            if size > PAGE_BYTES:
                break
            self._named += 1
            if told:
                rows.append(told)
        return rows

    def _named_changes(self) -> bytes:
        ids: list[bytes] = []
        size = 0
        for identifier in self._pending:
            size += max(len(self._bulletin.get(identifier) or b""), ID_BYTES)
            if size > PAGE_BYTES or len(ids) >= MAX_LISTINGS:
                break
            ids.append(identifier)
        for identifier in ids:
            del self._pending[identifier]
        since, self._number = self._number, self._bulletin.number
        return self._bulletin.changes_of(tuple(ids), since)


class Watchers:
    """All watchers of one bulletin."""

    def __init__(self, bulletin: Bulletin) -> None:
        self._bulletin = bulletin
        self._everyone: dict[Watcher, None] = {}
        self._by_id: dict[bytes, dict[Watcher, None]] = {}

    @property
    def of_everyone(self) -> int:
        """How many watch everyone."""
        return len(self._everyone)

    def add(self, reader: Reader, everyone: bool, ids: Iterable[bytes] = ()) -> Watcher:
        """Somebody wants to be told of everyone, or of these ids, or of everyone and these ids first."""
        watcher = Watcher(self._bulletin, reader, everyone, ids)
        if everyone:
            self._everyone[watcher] = None
        else:
            for identifier in watcher.ids:
                self._by_id.setdefault(identifier, {})[watcher] = None
        return watcher

    def remove(self, watcher: Watcher) -> None:
        """Somebody reads no longer."""
        self._everyone.pop(watcher, None)
        for identifier in () if watcher.everyone else watcher.ids:
            watchers = self._by_id.get(identifier, {})
            watchers.pop(watcher, None)
            if not watchers:
                self._by_id.pop(identifier, None)

    def concerned(self, changed: Iterable[bytes], before: int) -> list[Watcher]:
        """Who has something to read after these ids changed, which `before` was the number before."""
        named: dict[Watcher, None] = {}
        for identifier in changed:
            for watcher in self._by_id.get(identifier, ()):
                watcher.mark(identifier, before)
                named[watcher] = None
        return [*self._everyone, *named]
