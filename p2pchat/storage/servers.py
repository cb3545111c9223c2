"""Tables of the rendezvous servers that were joined, and of the roster records that were seen there."""

from typing import Literal, NamedTuple

import apsw

from p2pchat.storage.query import changed, row, rows

Trust = Literal["pinned", "certified"]


class Server(NamedTuple):
    """One row of `server`; times are wall-clock milliseconds."""

    server: int
    id: bytes
    key: bytes | None
    host: str
    port: int
    trust: Trust
    handle: str
    counter: int
    joined_at: int


class Record(NamedTuple):
    """One row of `record`: signed bytes as received, and what the server said beside them."""

    peer: bytes
    server: bytes
    body: bytes
    signature: bytes
    counter: int
    observed: str | None
    observed_port: int | None
    received_at: int


_SERVER = "SELECT server, id, key, host, port, trust, handle, counter, joined_at FROM server"
_RECORD = "SELECT peer, server, body, signature, counter, observed, observed_port, received_at FROM record"


class Servers:
    """Servers by their id."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def add(
        self, id: bytes, host: str, port: int, trust: Trust, handle: str, joined_at: int, key: bytes | None = None
    ) -> Server:
        """
        Add a server; one that is there gets the host, port and handle, and keeps its counter and its trust.

        The row as it then is. (How a server is trusted changes with `update` alone, where a person decided.)
        """
        changed(
            self._connection,
            "INSERT INTO server (id, key, host, port, trust, handle, counter, joined_at) "
            "VALUES (?, ?, ?, ?, ?, ?, 0, ?) ON CONFLICT (id) DO UPDATE SET host = excluded.host, "
            "port = excluded.port, handle = excluded.handle, key = coalesce(excluded.key, key)",
            (id, key, host, port, trust, handle, joined_at),
        )
        added = self.by_id(id)
        assert added is not None
        return added

    def by_id(self, id: bytes) -> Server | None:
        """The server with this id."""
        found = row(self._connection, f"{_SERVER} WHERE id = ?", (id,))
        return None if found is None else Server(*found)

    def all(self) -> list[Server]:
        """All, in the order in which they were joined first."""
        return [Server(*found) for found in rows(self._connection, f"{_SERVER} ORDER BY server")]

    def update(self, server: Server) -> None:
        """Store all of the row but its number and id. Raises `KeyError` if there is none."""
        number = changed(
            self._connection,
            "UPDATE server SET key = ?, host = ?, port = ?, trust = ?, handle = ?, counter = ?, joined_at = ? "
            "WHERE server = ?",
            (*server[2:], server.server),
        )
        if number == 0:
            raise KeyError(server.server)

    def raise_counter(self, id: bytes, counter: int) -> int:
        """Remember that a record with `counter` is about to be signed; the counter that then stands."""
        changed(self._connection, "UPDATE server SET counter = max(counter, ?) WHERE id = ?", (counter, id))
        found = row(self._connection, "SELECT counter FROM server WHERE id = ?", (id,))
        if found is None:
            raise KeyError(id)
        return int(found[0])

    def remove(self, id: bytes) -> bool:
        """Forget a server and the records from there; false if there is none."""
        changed(self._connection, "DELETE FROM record WHERE server = ?", (id,))
        return changed(self._connection, "DELETE FROM server WHERE id = ?", (id,)) > 0


class Records:
    """The newest record of each peer at each server."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def put_if_newer(self, record: Record) -> bool:
        """
        Store the record if its counter is higher than that of the one that is here; whether it was.

        The same record told again only moves `observed`, `observed_port` and `received_at`.
        """
        known = self.get(record.peer, record.server)
        if known is None or record.counter > known.counter:
            changed(
                self._connection,
                "INSERT OR REPLACE INTO record (peer, server, body, signature, counter, observed, observed_port, "
                "received_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                record,
            )
            return True
        if record.counter == known.counter and record.body == known.body:
            changed(
                self._connection,
                "UPDATE record SET observed = ?, observed_port = ?, received_at = ? WHERE peer = ? AND server = ?",
                (record.observed, record.observed_port, record.received_at, record.peer, record.server),
            )
        return False

    def get(self, peer: bytes, server: bytes) -> Record | None:
        """The record of a peer at a server."""
        found = row(self._connection, f"{_RECORD} WHERE peer = ? AND server = ?", (peer, server))
        return None if found is None else Record(*found)

    def of_peer(self, peer: bytes) -> list[Record]:
        """A peer's records at all servers, the one told last first."""
        found = rows(self._connection, f"{_RECORD} WHERE peer = ? ORDER BY received_at DESC", (peer,))
        return [Record(*each) for each in found]

    def all(self, server: bytes | None = None) -> list[Record]:
        """All records, or all from one server."""
        if server is None:
            found = rows(self._connection, f"{_RECORD} ORDER BY peer, server")
        else:
            found = rows(self._connection, f"{_RECORD} WHERE server = ? ORDER BY peer", (server,))
        return [Record(*each) for each in found]

    def trim(self, server: bytes, most: int) -> int:
        """
        Drop what is beyond `most` records from a server, those told longest ago first; how many were dropped.

        Records of contacts stay: a server could push them out with peers that it invents.
        """
        found = row(self._connection, "SELECT count(*) FROM record WHERE server = ?", (server,))
        extra = (0 if found is None else int(found[0])) - most
        if extra <= 0:
            return 0
        return changed(
            self._connection,
            "DELETE FROM record WHERE server = ?1 AND peer IN (SELECT peer FROM record WHERE server = ?1 "
            "AND peer NOT IN (SELECT peer FROM contact) ORDER BY received_at, peer LIMIT ?2)",
            (server, extra),
        )
