"""
Roster records on the disk: what was seen of everybody lets new chats begin while the server is dead.
"""

from collections.abc import Iterable

from ..core.errors import RemoteProtocolError
from ..core.identity import id_of
from ..core.messages import MAX_LISTINGS, Address, Listing, Record, RosterPage, Signed
from ..core.records import check_record
from ..core.roster_view import RosterView, ViewRow
from ..storage.peer_tables import PeerTables
from ..storage.servers import Record as RecordRow
from .environment import Environment
from .people import People

RECORDS_KEPT = 5_000
"""Records of one server that are kept on the disk: as many as a roster view holds, whatever the server invents."""


class Rosters:
    """The records of all servers, kept and read again."""

    def __init__(self, environment: Environment, people: People) -> None:
        self._environment = environment
        self._people = people

    async def keep(self, server: bytes, rows: Iterable[ViewRow]) -> None:
        """Store records that are newer than what is there."""
        wall = self._environment.wall()
        records = [_stored(row, server, wall) for row in rows]
        if not records:
            return

        def put(tables: PeerTables) -> None:
            for record in records:
                tables.records.put_if_newer(record)
            tables.records.trim(server, RECORDS_KEPT)

        await self._environment.database.write(put)

    async def load(self, server: bytes) -> RosterView:
        """The view of a server as it was last known."""
        rows = await self._environment.database.read(lambda tables: tables.records.all(server))
        listings = [_listing(row) for row in rows[-RECORDS_KEPT:]]
        view = RosterView(server)
        for start in range(0, max(len(listings), 1), MAX_LISTINGS):
            page = tuple(listings[start : start + MAX_LISTINGS])
            view.apply(RosterPage(number=0, listings=page, more=start + MAX_LISTINGS < len(listings)))
        self._people.rosters[server] = view
        self._people.rosters_changed()
        return view


def newer_row(view: RosterView, server: bytes, record: Record) -> ViewRow | None:
    """What a record that a peer handed over says about a server's roster, if it is good and newer than the view."""
    signed = Signed(body=record.body, signature=record.signature)
    try:
        body = check_record(signed, server)
    except RemoteProtocolError:
        return None
    identifier = id_of(body.key)
    known = view.get(identifier)
    if known is not None and known.body.counter >= body.counter:
        return None
    return ViewRow(identifier, body, signed, False, None)


def _stored(row: ViewRow, server: bytes, wall: int) -> RecordRow:
    observed = row.observed
    return RecordRow(
        row.id,
        server,
        row.record.body,
        row.record.signature,
        row.body.counter,
        None if observed is None else observed.host,
        None if observed is None else observed.port,
        wall,
    )


def _listing(row: RecordRow) -> Listing:
    observed = None if row.observed is None else Address(host=row.observed, port=row.observed_port or 1)
    return Listing(record=Signed(body=row.body, signature=row.signature), online=False, observed=observed)
