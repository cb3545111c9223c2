"""The full-text index of messages."""

from collections.abc import Iterable

import apsw

from p2pchat.core.search import indexed
from p2pchat.storage.query import Insert, changed, rows

MERGE_PAGES = 500
"""Pages of the index that one step of `merge` writes: some milliseconds, between which other operations have a turn."""

_INSERT = Insert("INSERT INTO search (rowid, text)", last=2)


class Search:
    """Which messages hold which words. Rows are (arrival number, text as its author wrote it)."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def add(self, messages: Iterable[tuple[int, str]]) -> None:
        """Index messages, in the transaction that stores them."""
        _INSERT.run(self._connection, ((entry, indexed(text)) for entry, text in messages))

    def remove(self, messages: Iterable[tuple[int, str]]) -> None:
        """Take messages out; the texts must be those that were indexed."""
        self._connection.executemany(
            "INSERT INTO search (search, rowid, text) VALUES ('delete', ?, ?)",
            ((entry, indexed(text)) for entry, text in messages),
        )

    def find(self, query: str, count: int, before: int, conversation: int | None = None) -> list[int]:
        """
        The newest so many that `query` (core.search.query makes it) matches and that arrived before `before`.

        Everywhere, or in one conversation.
        """
        if conversation is None:
            sql = "SELECT rowid FROM search WHERE search MATCH ? AND rowid < ? ORDER BY rowid DESC LIMIT ?"
            return [entry for (entry,) in rows(self._connection, sql, (query, before, count))]
        sql = (
            "SELECT search.rowid FROM search CROSS JOIN entry ON entry.entry = search.rowid "
            "WHERE search MATCH ? AND search.rowid < ? AND entry.conversation = ? ORDER BY search.rowid DESC LIMIT ?"
        )
        return [entry for (entry,) in rows(self._connection, sql, (query, before, conversation, count))]

    def merge(self, first: bool) -> bool:
        """
        One step towards an index in one piece, without a trace of what was taken out; false if that was the last.

        `first`: the step that begins it.
        """
        before = self._connection.total_changes()
        # A negative number makes every piece take part, however few there are.
        pages = -MERGE_PAGES if first else MERGE_PAGES
        changed(self._connection, "INSERT INTO search (search, rank) VALUES ('merge', ?)", (pages,))
        return self._connection.total_changes() - before >= 2
