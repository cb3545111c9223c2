"""
Handles: names at this server, each of which belongs to the first key that claimed it, over restarts.

All claims are in memory, so that a registration under a known handle waits for no disk; a new claim is on the disk
before the peer is told. That an owner was here again is written now and then.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ..core.errors import EndCode
from ..storage.database import Database
from ..storage.server_tables import HANDLE_KEPT, ServerTables

MAX_HANDLES = 65_536
"""Handles in all: some 20 MB."""

MAX_HANDLES_PER_PEER = 8
"""Handles of one key; whoever claims another gives up the one that was not used for longest."""


@dataclass(slots=True)
class _Claim:
    peer: bytes
    seen_at: int
    """Wall clock, ms."""


class HandleBook:
    """The handles of one server; `wall` is the wall clock in ms since 1970."""

    def __init__(self, database: Database[ServerTables], wall: Callable[[], int]) -> None:
        self._database = database
        self._wall = wall
        self._claims: dict[str, _Claim] = {}
        self._by_peer: defaultdict[bytes, list[str]] = defaultdict(list)
        self._unwritten: set[str] = set()

    def __len__(self) -> int:
        """Handles that somebody owns."""
        return len(self._claims)

    async def load(self) -> None:
        """Read all claims that have not run out; before anything else. Raises StoreError."""
        now = self._wall()

        def read(tables: ServerTables) -> list[tuple[str, bytes, int]]:
            tables.handles.expire(now)
            return [(each.handle, each.peer, each.seen_at) for each in tables.handles.all()]

        for handle, peer, seen_at in await self._database.write(read):
            self._put(handle, _Claim(peer, seen_at))

    def judge(self, handle: str, peer: bytes) -> EndCode | None:
        """Why a peer may not have a handle: HANDLE_TAKEN, FULL, or None."""
        claim = self._claims.get(handle)
        if claim is None:
            return EndCode.FULL if len(self._claims) >= MAX_HANDLES else None
        if claim.peer == peer or claim.seen_at + HANDLE_KEPT <= self._wall():
            return None
        return EndCode.HANDLE_TAKEN

    def claim(self, handle: str, peer: bytes) -> Deferred[bool] | None:
        """
        Give a handle to a peer that `judge` has nothing against.

        None: it was the peer's already. Otherwise it is from now on; the Deferred fires when that is on the disk, or
        fails with StoreError, and nothing was claimed.
        """
        now = self._wall()
        claim = self._claims.get(handle)
        if claim is not None and claim.peer == peer:
            self.seen(handle)
            return None
        if claim is not None:
            self._drop(handle)
        given_up = self._to_give_up(peer)
        self._put(handle, _Claim(peer, now))

        def write(tables: ServerTables) -> bool:
            if given_up is not None:
                tables.handles.release(given_up, peer)
            return tables.handles.claim(handle, peer, now)

        if given_up is not None:
            self._drop(given_up)
        stored = self._database.write(write)
        stored.addErrback(self._not_stored, handle, peer)
        return stored

    def seen(self, handle: str) -> None:
        """The owner of a handle is online."""
        claim = self._claims.get(handle)
        if claim is not None:
            claim.seen_at = max(claim.seen_at, self._wall())
            self._unwritten.add(handle)

    async def write(self) -> None:
        """Put on the disk who was seen. Raises StoreError; it is tried again the next time."""
        times = {handle: self._claims[handle].seen_at for handle in self._unwritten if handle in self._claims}
        if not times:
            return

        def write(tables: ServerTables) -> None:
            for handle, seen_at in times.items():
                tables.handles.seen(handle, seen_at)

        await self._database.write(write)
        self._unwritten -= times.keys()

    def _to_give_up(self, peer: bytes) -> str | None:
        handles = self._by_peer.get(peer, ())
        if len(handles) < MAX_HANDLES_PER_PEER:
            return None
        return min(handles, key=lambda handle: self._claims[handle].seen_at)

    def _put(self, handle: str, claim: _Claim) -> None:
        self._claims[handle] = claim
        self._by_peer[claim.peer].append(handle)

    def _drop(self, handle: str) -> None:
        claim = self._claims.pop(handle)
        handles = self._by_peer[claim.peer]
        handles.remove(handle)
        if not handles:
            del self._by_peer[claim.peer]

    def _not_stored(self, failure: Failure, handle: str, peer: bytes) -> Failure:
        claim = self._claims.get(handle)
        if claim is not None and claim.peer == peer:
            self._drop(handle)
        return failure
