"""The table of single values, the same in every database."""

import apsw

from p2pchat.storage.query import changed, row

STORE_SETTING = "store"
"""The setting that holds the id of a peer's database, 16 bytes: "delivered" is true of one store alone."""


class Settings:
    """Single values by name; the names are their owners' constants."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def get(self, name: str) -> bytes | None:
        """The value, or None if it was never set."""
        found = row(self._connection, "SELECT value FROM setting WHERE name = ?", (name,))
        return None if found is None else bytes(found[0])

    def set(self, name: str, value: bytes) -> None:
        """Store the value in place of the one before."""
        changed(self._connection, "INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", (name, value))

    def set_once(self, name: str, value: bytes) -> bytes:
        """Store the value unless there is one; the one that then stands."""
        changed(self._connection, "INSERT OR IGNORE INTO setting (name, value) VALUES (?, ?)", (name, value))
        found = self.get(name)
        assert found is not None
        return found

    def delete(self, name: str) -> bool:
        """Drop the value; false if there was none."""
        return changed(self._connection, "DELETE FROM setting WHERE name = ?", (name,)) > 0
