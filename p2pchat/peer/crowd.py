"""
How many links and requests others may open here, and how often: whoever comes, and however many, a person is asked
about few, and told of little.
"""

from collections import deque
from collections.abc import Callable, Iterable

from ..core.addresses import parse
from ..core.budget import Budget
from ..core.trust import REQUEST_LASTS, has_room
from ..net.admission import source_of
from .link import Link

MAX_LINKS_OF_ONE = 8
"""Links with one id: one that is used, a few that are dead without our knowing, and no more."""

LINKS_RATE, LINKS_BURST = 1.0, 20.0
"""Links a second that one who is known may open, and how many at once: a bad network makes many, but not for ever."""

TELL_AGAIN = 600.0
"""Seconds between two lines for the person on one that came without what they could do before."""


class Crowd:
    """What is remembered of those who come. `seconds` is the monotonic clock."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._paces: dict[bytes, Budget] = {}
        self._told: dict[bytes, float] = {}
        self._gone: deque[tuple[float, str]] = deque()
        """Requests that went away unanswered, as (when their place is free, network): each was shown to a person."""

    def in_pace(self, identifier: bytes) -> bool:
        """Whether somebody known comes not too often: each time costs the person a line, and us a transaction."""
        now = self._seconds()
        return self._paces.setdefault(identifier, Budget(LINKS_RATE, LINKS_BURST, now)).spend(now)

    def may_tell(self, identifier: bytes) -> bool:
        """Whether the person is told once more that somebody came without what they could do before."""
        now = self._seconds()
        if now < self._told.get(identifier, now):
            return False
        self._told[identifier] = now + TELL_AGAIN
        return True

    def has_room(self, link: Link, links: Iterable[Link]) -> bool:
        """Whether one more stranger may wait: also those count who have not asked yet, and who left unanswered."""
        now = self._seconds()
        while self._gone and self._gone[0][0] <= now:
            self._gone.popleft()
        sources = {other.id: _source(other.host) for other in links if other.undecided and other.id != link.id}
        places = [*sources.values(), *(source for _, source in self._gone)]
        return has_room(len(places), places.count(_source(link.host)))

    def left(self, link: Link) -> None:
        """Who had asked went away unanswered."""
        self._gone.append((self._seconds() + REQUEST_LASTS, _source(link.host)))


def _source(host: str) -> str:
    """What the places of an address are counted under: itself, or its network."""
    address = parse(host)
    return host if address is None else source_of(address)
