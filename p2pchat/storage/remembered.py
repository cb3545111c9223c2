"""Small tables of what is remembered about conversations: cursors of programs, doubts, retention."""

from collections.abc import Iterable
from typing import NamedTuple

import apsw

from p2pchat.storage.query import changed, row, rows

EVERYWHERE = 0
"""Stands for all conversations, where one may be named."""


class Cursors:
    """Up to where programs have dealt with what others said. `conversation` is a row, or EVERYWHERE."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def get(self, name: str, conversation: int) -> int:
        """The arrival number up to which everything is done with; 0 for a new cursor."""
        found = row(
            self._connection, "SELECT entry FROM cursor WHERE name = ? AND conversation = ?", (name, conversation)
        )
        return 0 if found is None else int(found[0])

    def move(self, name: str, conversation: int, entry: int) -> None:
        """Everything up to `entry` is done with; a cursor never goes back."""
        changed(
            self._connection,
            "INSERT INTO cursor (name, conversation, entry) VALUES (?, ?, ?) "
            "ON CONFLICT (name, conversation) DO UPDATE SET entry = max(entry, excluded.entry)",
            (name, conversation, entry),
        )

    def all(self) -> list[tuple[str, int, int]]:
        """Name, conversation and arrival number of each, by name."""
        return rows(self._connection, "SELECT name, conversation, entry FROM cursor ORDER BY name, conversation")

    def drop(self, name: str, conversation: int) -> bool:
        """It is new again; whether it was there."""
        gone = changed(self._connection, "DELETE FROM cursor WHERE name = ? AND conversation = ?", (name, conversation))
        return gone > 0

    def names(self) -> int:
        """How many there are."""
        found = row(self._connection, "SELECT count(*) FROM cursor")
        return 0 if found is None else int(found[0])


class StoredDoubt(NamedTuple):
    """One row of `doubt`."""

    conversation: int
    mine: bool
    """Ours may be missing there; otherwise theirs here."""
    first: int
    last: int
    at: int
    """When it was noticed, wall-clock milliseconds."""


def without(ranges: Iterable[tuple[int, int]], others: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """What is left of ranges of numbers, each (first, last), if `others` are taken out."""
    left = list(ranges)
    for begin, end in others:
        cut: list[tuple[int, int]] = []
        for first, last in left:
            cut += [part for part in ((first, min(last, begin - 1)), (max(first, end + 1), last)) if part[0] <= part[1]]
        left = cut
    return left


class Doubts:
    """What may be missing since a database was lost, until a person decides."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def put(self, doubt: StoredDoubt) -> None:
        """Remember one; what it overlaps becomes one with it."""
        first, last = doubt.first, doubt.last
        for known in self.of_conversation(doubt.conversation):
            if known.mine == doubt.mine and known.first <= last + 1 and first <= known.last + 1:
                self._delete(known)
                first, last = min(first, known.first), max(last, known.last)
        self._insert(doubt._replace(first=first, last=last))

    def remember(
        self, conversation: int, mine: bool, ranges: Iterable[tuple[int, int]], at: int
    ) -> list[tuple[int, int]]:
        """Put (first, last) of which numbers are known, not zeros; what of them was not in doubt before."""
        known = [(each.first, each.last) for each in self.of_conversation(conversation) if each.mine == mine]
        named = [(first, last) for first, last in ranges if first]
        for first, last in named:
            self.put(StoredDoubt(conversation, mine, first, last, at))
        return without(named, known)

    def settle(self, conversation: int, mine: bool, first: int, last: int) -> None:
        """These numbers are in doubt no more."""
        for known in self.of_conversation(conversation):
            if known.mine != mine or known.last < first or last < known.first:
                continue
            self._delete(known)
            if known.first < first:
                self._insert(known._replace(last=first - 1))
            if last < known.last:
                self._insert(known._replace(first=last + 1))

    def forget(self, conversation: int, mine: bool | None = None) -> int:
        """Nothing of a conversation (of one side's) is in doubt any more; how many rows that were."""
        return changed(
            self._connection,
            "DELETE FROM doubt WHERE conversation = ?1 AND (?2 IS NULL OR mine = ?2)",
            (conversation, mine),
        )

    def of_conversation(self, conversation: int) -> list[StoredDoubt]:
        """Those of one conversation."""
        return [each for each in self.all() if each.conversation == conversation]

    def all(self) -> list[StoredDoubt]:
        """Everything that waits for a decision."""
        found = rows(self._connection, "SELECT conversation, mine, first, last, at FROM doubt")
        return [StoredDoubt(conversation, bool(mine), *rest) for conversation, mine, *rest in found]

    def _insert(self, doubt: StoredDoubt) -> None:
        changed(self._connection, "INSERT OR REPLACE INTO doubt VALUES (?, ?, ?, ?, ?)", doubt)

    def _delete(self, doubt: StoredDoubt) -> None:
        changed(
            self._connection,
            "DELETE FROM doubt WHERE conversation = ? AND mine = ? AND first = ?",
            (doubt.conversation, doubt.mine, doubt.first),
        )


class Retentions:
    """For how many days what was said is kept; None: for ever. `conversation` is a row, or EVERYWHERE."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def set(self, conversation: int, days: int | None) -> None:
        """From now on."""
        changed(self._connection, "INSERT OR REPLACE INTO retention VALUES (?, ?)", (conversation, days))

    def all(self) -> dict[int, int | None]:
        """What was set."""
        return dict(rows(self._connection, "SELECT conversation, days FROM retention"))
