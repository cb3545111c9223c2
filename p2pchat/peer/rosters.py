"""
Roster records on the disk: what was seen of everybody lets new chats begin while the server is dead.

A server, or a peer that hands records over, may tell news without end: what is written is bounded, by how often and by
how much. What has to wait for it is in the view all the same.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..api import Problem
from ..core.budget import Budget
from ..core.errors import RemoteProtocolError, UserError
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

WRITE_EVERY = 5.0
"""Seconds from the end of one transaction for a server to the next: what comes meanwhile is stored together."""

ROWS_RATE, ROWS_BURST = 10.0, 5_000.0
"""Rows of one server that are stored: so many a second, and a whole roster at once."""


@dataclass(slots=True)
class _Shelf:
    """What of one server waits to be stored."""

    budget: Budget
    rows: dict[bytes, ViewRow] = field(default_factory=dict)
    busy: bool = False
    """A transaction is under way, or was a moment ago."""
    timer: IDelayedCall | None = None


class Rosters:
    """The records of all servers, kept and read again."""

    log = Logger()

    def __init__(self, environment: Environment, people: People) -> None:
        self._environment = environment
        self._people = people
        self._shelves: dict[bytes, _Shelf] = {}
        self._stopped = False

    def keep(self, server: bytes, rows: Iterable[ViewRow]) -> None:
        """Store records that are newer than what is there, now or with those that follow them."""
        shelf = self._shelves.get(server)
        if shelf is None:
            now = self._environment.clock.seconds()
            shelf = self._shelves[server] = _Shelf(Budget(ROWS_RATE, ROWS_BURST, now))
        for row in rows:
            if len(shelf.rows) < RECORDS_KEPT or row.id in shelf.rows or self._knows(row):
                shelf.rows[row.id] = row
        if not shelf.busy:
            self._store(server, shelf)

    def stop(self) -> None:
        """Store nothing more: what waits is told again."""
        self._stopped = True
        for shelf in self._shelves.values():
            if shelf.timer is not None:
                shelf.timer.cancel()
                shelf.timer = None

    def _knows(self, row: ViewRow) -> bool:
        return self._people.contact(row.id) is not None

    def _store(self, server: bytes, shelf: _Shelf) -> None:
        """Store what waits, as far as there is room: those whom the person knows first."""
        now, wall = self._environment.clock.seconds(), self._environment.wall()
        waiting = sorted(shelf.rows.values(), key=lambda row: not self._knows(row))
        records = [_stored(shelf.rows.pop(row.id), server, wall) for row in waiting if shelf.budget.spend(now)]
        if not records:
            return

        def put(tables: PeerTables) -> None:
            for record in records:
                tables.records.put_if_newer(record)
            tables.records.trim(server, RECORDS_KEPT)

        shelf.busy = True
        done = self._environment.database.write(put)
        done.addErrback(self._failed)
        done.addBoth(self._rest, server, shelf)

    def _rest(self, result: object, server: bytes, shelf: _Shelf) -> None:
        if not self._stopped:
            shelf.timer = self._environment.clock.callLater(WRITE_EVERY, self._go_on, server, shelf)

    def _go_on(self, server: bytes, shelf: _Shelf) -> None:
        shelf.timer, shelf.busy = None, False
        self._store(server, shelf)

    def _failed(self, failure: Failure) -> None:
        if failure.check(UserError):
            self._environment.emit(Problem(text=failure.getErrorMessage()))
        else:
            self.log.failure("Records of a server could not be stored", failure)

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
