"""
The client's view of one server's roster: what pages and changes add up to (docs/protocol.md, section 7).

What a server says is a hint: every row is proved by its peer's signature, an older record never replaces a newer one,
and however many rows come, what is held is bounded (R5). The peers that one's own person knows are always kept.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from .bodies import RecordBody
from .errors import RemoteProtocolError
from .identity import Domain, id_of, verify
from .messages import MAX_WATCHED, Address, Changes, Listing, RosterPage, Signed, Watch
from .records import read_record

MAX_ROWS = 5000
"""Most rows held of peers that were not named: what a person may want to search, some 8 MB."""


@dataclass(frozen=True, slots=True)
class ViewRow:
    """One peer on the roster."""

    id: bytes
    body: RecordBody
    """What the peer says of itself, proved."""
    record: Signed
    """The same as it was signed, to keep and to pass on."""
    online: bool
    """The server's unsigned word."""
    observed: Address | None
    """From where the server sees the peer; unsigned, a hint."""


@dataclass(frozen=True, slots=True)
class ViewChange:
    """What a message changed."""

    rows: tuple[ViewRow, ...] = ()
    """New and changed rows."""
    gone: tuple[bytes, ...] = ()
    """Ids that are on the roster no longer."""
    watch_again: bool = False
    """Something was missed: send what `watch` gives. Said once, until the next snapshot begins."""


class RosterView:
    """What is known of everybody at the server with the id `server`."""

    def __init__(self, server: bytes) -> None:
        self.everyone = False
        """Whether everyone is watched; then changes come without holes."""
        self.named: frozenset[bytes] = frozenset()
        """The ids that are watched by name, and kept however many rows come."""
        self.number = 0
        """The roster number up to which the view is complete."""
        self.complete = False
        """Whether a whole snapshot has come."""
        self.dropped = 0
        """Listings that were badly signed or meant for another server."""
        self.overflowed = 0
        """Listings beyond MAX_ROWS."""
        self._server = server
        self._rows: dict[bytes, ViewRow] = {}
        self._coming: dict[bytes, ViewRow] | None = None
        """The rows of a snapshot whose pages are still coming."""
        self._coming_number = 0
        self._asked = False
        """Whether a snapshot was asked for and has not begun to come."""

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, identifier: bytes) -> ViewRow | None:
        """What is known of a peer."""
        return self._rows.get(identifier)

    def rows(self) -> tuple[ViewRow, ...]:
        """Everybody."""
        return tuple(self._rows.values())

    def watch(self, everyone: bool, named: Iterable[bytes] = ()) -> Watch:
        """What to send so that everyone, or these (the first MAX_WATCHED of them), or both are watched from now on."""
        ids = tuple(dict.fromkeys(named))[:MAX_WATCHED]
        self.everyone, self.named = everyone, frozenset(ids)
        self._coming, self._asked = None, True
        return Watch(everyone=everyone, ids=ids)

    def apply(self, message: RosterPage | Changes) -> ViewChange:
        """Take what the server says, and tell what it changed."""
        return self._take_page(message) if isinstance(message, RosterPage) else self._take_changes(message)

    def hand_over(self, row: ViewRow) -> None:
        """Take a proved record from somebody else than the server, who alone says whether that peer is online."""
        known = self._rows.get(row.id)
        if known is None:
            self._rows[row.id] = ViewRow(row.id, row.body, row.record, False, None)
        elif known.body.counter < row.body.counter:
            self._rows[row.id] = ViewRow(row.id, row.body, row.record, known.online, known.observed)

    def _take_page(self, page: RosterPage) -> ViewChange:
        if self._coming is None or self._coming_number != page.number:
            # Another number: the server gave up the snapshot before and began a new one.
            self._coming, self._coming_number = {}, page.number
            self._asked = False
        for listing in page.listings:
            self._put(self._coming, listing)
        if page.more:
            return ViewChange()
        before, self._rows, self._coming = self._rows, self._coming, None
        self.number, self.complete = page.number, True
        changed = (row for row in self._rows.values() if before.get(row.id) != row)
        return ViewChange(tuple(changed), tuple(before.keys() - self._rows.keys()))

    def _take_changes(self, changes: Changes) -> ViewChange:
        if not self.complete or (self.everyone and changes.since != self.number):
            return self._miss()
        gone = tuple(identifier for identifier in changes.gone if self._rows.pop(identifier, None) is not None)
        rows = (self._put(self._rows, listing) for listing in changes.listings)
        changed = tuple(row for row in rows if row is not None)
        self.number = changes.number
        return ViewChange(changed, gone)

    def _miss(self) -> ViewChange:
        """Changes that do not follow; while a snapshot is coming or was asked for, it will tell all."""
        again = self._coming is None and not self._asked
        self._asked = self._asked or again
        return ViewChange(watch_again=again)

    def _put(self, rows: dict[bytes, ViewRow], listing: Listing) -> ViewRow | None:
        """The row of a listing, if it is a good one and there is room."""
        row = self._check(listing, rows)
        if row is None:
            self.dropped += 1
            return None
        if row.id not in rows and row.id not in self.named and len(rows) >= MAX_ROWS + len(self.named):
            self.overflowed += 1
            return None
        if rows.get(row.id) == row:
            return None
        rows[row.id] = row
        return row

    def _check(self, listing: Listing, rows: dict[bytes, ViewRow]) -> ViewRow | None:
        record = listing.record
        try:
            body = read_record(record, self._server)
        except RemoteProtocolError:
            return None
        identifier = id_of(body.key)
        known = rows.get(identifier) or self._rows.get(identifier)
        # What was checked once need not be again: 100 microseconds a row.
        if (known is None or known.record != record) and not verify(
            body.key, Domain.RECORD, record.body, record.signature
        ):
            return None
        if known is not None and known.body.counter > body.counter:
            record, body = known.record, known.body
        return ViewRow(identifier, body, record, listing.online, listing.observed)
