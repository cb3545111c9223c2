"""
Handles: names at this server, each of which belongs to the first key that claimed it, over restarts.

All claims are in memory, so that a registration under a known handle waits for no disk; a new claim is on the disk
before it is in memory, and before the peer is told. Whoever wants a name that is being written about is refused, or
waits for the outcome. That an owner was here again is written now and then.

How long an owner is away is counted in the time that the server itself has run, over all its runs and by a clock that
nobody sets. The wall clock is stored to be shown and decides nothing: one that jumps would give all names away.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ..core.errors import EndCode
from ..storage.database import Database
from ..storage.server_tables import HANDLE_KEPT, ServerTables
from .newcomers import Newcomers, Rank

MAX_HANDLES = 65_536
"""
Handles in all, some 20 MB, or twice as many as may be online. Where there are so many, a new one takes the place of a
newcomer's.
"""

LONG_TIME = 24 * 3600 * 1000
"""Milliseconds that an owner was online, in all, who is no newcomer any more: others do not take that place."""

MAX_HANDLES_PER_PEER = 8
"""Handles of one key; whoever claims another gives up the one that was not used for longest."""


@dataclass(slots=True)
class _Claim:
    peer: bytes
    seen: int
    """What the server had run (ms) when it was last counted that the owner is online under it."""
    held: int = 0
    """For how many of these ms the owner was, in all."""
    online: bool = False
    """Whether the owner is."""


@dataclass(eq=False, slots=True)
class _Writing:
    """A new claim on its way to the disk."""

    handle: str
    peer: bytes
    over: list[Deferred[None]] = field(default_factory=list)
    """Those who wait for its outcome."""


class HandleBook:
    """The handles of one server; `wall` is the wall clock in ms since 1970, `clock` a monotonic one."""

    def __init__(
        self, database: Database[ServerTables], clock: IReactorTime, wall: Callable[[], int], capacity: int = 0
    ) -> None:
        """`capacity`: how many peers may be online, for whom there is room in any case."""
        self._capacity = capacity
        self._database = database
        self._clock = clock
        self._wall = wall
        self._ran_before = 0
        """Milliseconds that the server had run before this start."""
        self._started = clock.seconds()
        self._claims: dict[str, _Claim] = {}
        self._by_peer: defaultdict[bytes, list[str]] = defaultdict(list)
        self._unwritten: set[str] = set()
        self._writing: dict[str, _Writing] = {}
        """By handle: those that are claimed, and those that go for them."""
        self._claiming: dict[bytes, _Writing] = {}
        """The same by the peer who claims: one at a time."""
        self._newcomers = Newcomers(self._claims, self._rank)

    def __len__(self) -> int:
        """Handles that somebody owns."""
        return len(self._claims)

    async def load(self) -> None:
        """Read all claims; before anything else. Raises StoreError."""
        ran, found = await self._database.read(lambda tables: (tables.handles.ran(), tables.handles.all()))
        self._ran_before, self._started = ran, self._clock.seconds()
        for each in found:
            if each.seen is None or each.seen > ran:
                # What was noted is lost (a kill, `p2pchat recover`): as if the owner had been here just now.
                self._unwritten.add(each.handle)
            self._put(each.handle, _Claim(each.peer, ran if each.seen is None else min(each.seen, ran), each.held))

    def ran(self) -> int:
        """Milliseconds that the server has run, in all its runs."""
        return self._ran_before + int((self._clock.seconds() - self._started) * 1000)

    def judge(self, handle: str, peer: bytes) -> EndCode | None:
        """Why a peer may not have a handle: HANDLE_TAKEN, FULL, or None."""
        writing = self._writing.get(handle)
        if writing is not None and writing.handle == handle:
            return None if writing.peer == peer else EndCode.HANDLE_TAKEN
        claim = self._claims.get(handle)
        if claim is None:
            return EndCode.FULL if self._to_go(handle, peer) is None else None
        if claim.peer == peer or self._has_run_out(claim):
            return None
        return EndCode.HANDLE_TAKEN

    def claim(self, handle: str, peer: bytes) -> Deferred[EndCode | None] | None:
        """
        Give a handle to a peer that `judge` has nothing against.

        None: it is the peer's already. Otherwise the Deferred fires with what `judge` has against it by then, or with
        None when the claim is on the disk; or it fails with StoreError, and everything is as before.
        """
        if self._owns(peer, handle) and handle not in self._writing:
            return None
        return Deferred.fromCoroutine(self._claim(handle, peer))

    async def _claim(self, handle: str, peer: bytes) -> EndCode | None:
        while (busy := self._writing.get(handle) or self._claiming.get(peer)) is not None:
            over: Deferred[None] = Deferred()
            busy.over.append(over)
            await over
        objection = self.judge(handle, peer)
        if objection is not None or self._owns(peer, handle):
            return objection
        gone = self._to_go(handle, peer) or {}
        writing = _Writing(handle, peer)
        self._writing.update(dict.fromkeys((handle, *gone), writing))
        self._claiming[peer] = writing
        try:
            return await self._store(writing, gone)
        finally:
            for each in (handle, *gone):
                del self._writing[each]
                self._newcomers.put(each)
            del self._claiming[peer]
            for over in writing.over:
                # Not before the one who claimed it was told.
                self._clock.callLater(0, over.callback, None)

    async def _store(self, writing: _Writing, gone: dict[str, bytes]) -> EndCode | None:
        """Have a claim on the disk, and then in memory. HANDLE_TAKEN where the disk knows another owner."""
        handle, peer, now, ran = writing.handle, writing.peer, self._wall(), self.ran()

        def write(tables: ServerTables) -> bool:
            if not tables.handles.claim(handle, peer, now, ran):
                return False
            for each, owner in gone.items():
                tables.handles.release(each, owner)
            return True

        if not await self._database.write(write):
            return EndCode.HANDLE_TAKEN
        for each in (handle, *gone):
            if each in self._claims:
                self._drop(each)
        self._put(handle, _Claim(peer, ran))
        return None

    def came(self, handle: str) -> None:
        """The owner of a handle is online under it from now on."""
        claim = self._claims.get(handle)
        if claim is not None and not claim.online:
            claim.online, claim.seen = True, self.ran()
            self._unwritten.add(handle)

    def seen(self, handle: str) -> None:
        """The owner, who came, is still online under it."""
        claim = self._claims.get(handle)
        if claim is not None and claim.online:
            ran = self.ran()
            claim.held += ran - claim.seen
            claim.seen = ran
            self._unwritten.add(handle)

    def left(self, handle: str) -> None:
        """The owner is online under it no longer."""
        self.seen(handle)
        claim = self._claims.get(handle)
        if claim is not None:
            claim.online = False
            self._newcomers.put(handle)

    async def write(self) -> None:
        """Put on the disk who was seen, and how long the server ran. Raises StoreError; the next time does it then."""
        now, ran = self._wall(), self.ran()
        unwritten, self._unwritten = self._unwritten & self._claims.keys(), set()
        claims = ((handle, self._claims[handle]) for handle in unwritten)
        times = [(handle, claim.peer, claim.seen, claim.held) for handle, claim in claims]

        def write(tables: ServerTables) -> None:
            tables.handles.set_ran(ran)
            for handle, peer, seen, held in times:
                tables.handles.seen(handle, peer, now, seen, held)

        try:
            await self._database.write(write)
        except BaseException:
            self._unwritten |= unwritten
            raise

    def _has_run_out(self, claim: _Claim) -> bool:
        """Whether somebody else may have it: never while its owner is online."""
        return not claim.online and claim.seen + HANDLE_KEPT <= self.ran()

    def _rank(self, handle: str) -> Rank | None:
        """When somebody's name goes for another's; None: not now."""
        claim = self._claims.get(handle)
        if claim is None or claim.online or handle in self._writing:
            return None
        if claim.held >= LONG_TIME and not self._has_run_out(claim):
            return None
        return Rank(claim.held, claim.seen)

    def _owns(self, peer: bytes, handle: str) -> bool:
        claim = self._claims.get(handle)
        return claim is not None and claim.peer == peer

    def _to_go(self, handle: str, peer: bytes) -> dict[str, bytes] | None:
        """What must go for a new name of this peer, with its owner; None if there is no room."""
        goes = self._to_give_up(peer)
        if goes is not None:
            return {goes: peer}
        if handle in self._claims or len(self._claims) + len(self._claiming) < max(MAX_HANDLES, 2 * self._capacity):
            return {}
        goes = self._newcomers.first(self._clock.seconds())
        return None if goes is None else {goes: self._claims[goes].peer}

    def _to_give_up(self, peer: bytes) -> str | None:
        handles = [handle for handle in self._by_peer.get(peer, ()) if handle not in self._writing]
        if len(handles) < MAX_HANDLES_PER_PEER:
            return None
        return min(handles, key=lambda handle: (self._claims[handle].online, self._claims[handle].seen))

    def _put(self, handle: str, claim: _Claim) -> None:
        self._claims[handle] = claim
        self._by_peer[claim.peer].append(handle)

    def _drop(self, handle: str) -> None:
        claim = self._claims.pop(handle)
        self._unwritten.discard(handle)  # those of a flood must not pile up until the next note
        handles = self._by_peer[claim.peer]
        handles.remove(handle)
        if not handles:
            del self._by_peer[claim.peer]
