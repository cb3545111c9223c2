"""
Newcomers: whose names go first where the book of handles is full.

Whoever was here for the shortest time goes first, so that a flood of throw-away keys displaces itself. To look through
all claims for each of that flood would be work for the reactor: the first few are kept in order, and those that change
meanwhile take their places.
"""

from bisect import insort
from collections.abc import Callable, Iterable
from heapq import nsmallest
from typing import NamedTuple

FIRST = 256
"""Newcomers that are known in order: so many can go before all claims are looked through again (some 50 ms)."""

LOOK_AGAIN = 60.0
"""Seconds before all claims are looked through again where nobody could go."""


class Rank(NamedTuple):
    """The lowest goes first."""

    held: int
    """For how many ms the owner was here."""
    seen: int
    """When that was last."""


class Newcomers:
    """
    The order in which claims go.

    `handles` are all there are, and `rank` says when one may go, None if it may not. Whoever changes a rank says `put`.
    """

    def __init__(self, handles: Iterable[str], rank: Callable[[str], Rank | None]) -> None:
        self._handles = handles
        self._rank = rank
        self._first: list[tuple[Rank, str]] = []
        """In order; a place whose rank is another by now counts for nothing."""
        self._all = False
        """Whether nobody may go who is not in it."""
        self._looked_at = float("-inf")

    def put(self, handle: str) -> None:
        """The rank of a handle changed, or it is a new one."""
        rank = self._rank(handle)
        if rank is None:
            return
        place = rank, handle
        if self._all or (self._first and place < self._first[-1]):
            insort(self._first, place)
            if len(self._first) > 2 * FIRST:
                del self._first[FIRST:]
                self._all = False

    def first(self, now: float) -> str | None:
        """Who goes next, if anybody may; `now` in seconds. It stays the next until its rank is another."""
        found = self._next()
        if found is None and not (self._all and now < self._looked_at + LOOK_AGAIN):
            self._look(now)
            found = self._next()
        return found

    def _next(self) -> str | None:
        while self._first:
            rank, handle = self._first[0]
            if self._rank(handle) == rank:
                return handle
            del self._first[0]
        return None

    def _look(self, now: float) -> None:
        ranks = ((self._rank(handle), handle) for handle in self._handles)
        self._first = nsmallest(FIRST, ((rank, handle) for rank, handle in ranks if rank is not None))
        self._all = len(self._first) < FIRST
        self._looked_at = now
