"""
When a person is told that something came for them, and when not: bursts, pauses, quiet hours. No clock, no I/O.

What came waits a moment: whoever looks at that chat has it on the screen by then, and is not told. What is left is
told at once the first time; more from the same chat comes together ("bob: 12 messages"), after a pause that
doubles until somebody looks. So neither a flood from one chat nor one from many floods a desk.
"""

import re
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from msgspec import Struct

from .errors import UsageError

GATHER = 1.0
"""Seconds that something waits for being looked at, and for more of the same."""

PAUSE, LONGEST_PAUSE = 10.0, 300.0
"""Seconds between two notices of one chat: the first time, and at most while nobody looks."""

NOTICES, PER = 6, 60.0
"""Notices of all chats together, in so many seconds; those beyond wait and grow."""

MOST_CHATS = 256
"""Chats of which something is remembered; there are twenty requests at most, and nobody reads more chats at once."""

MOST_HELD = 64
"""Of one chat in one moment, to be handed on one by one; what is beyond is counted."""

DAY = 24 * 60
"""Minutes."""

TERMINAL_MODES = ("auto", "bell", "osc9", "osc777", "off")
"""How a terminal tells: as it can, by its bell, by a control sequence that shows a text, or not at all."""

ItemT = TypeVar("ItemT")


# --- what the person wants


class Preferences(Struct, frozen=True, kw_only=True):
    """When and how a person is to be told; stored as JSON. What a newer version added is skipped."""

    dnd: bool = False
    """Not now."""
    dnd_until: int | None = None
    """Wall clock, ms since 1970, when `dnd` ends by itself."""
    quiet: tuple[int, int] | None = None
    """Every day not from this minute of the day up to that one, which may be earlier: then it is over midnight."""
    muted: tuple[str, ...] = ()
    """The ids of those of whom never, in their written form."""
    terminal: str = "auto"
    """One of TERMINAL_MODES."""
    desktop: bool = False
    """Whether notify-send is run."""
    text: bool = True
    """Whether a notice shows what was said; otherwise only by whom."""
    hook: str = ""
    """A program to run with each event, by its whole path."""

    def is_silent(self, wall: int, minute: int) -> bool:
        """Whether nothing is to be told at this time and minute of the day."""
        if self.dnd and (self.dnd_until is None or wall < self.dnd_until):
            return True
        if self.quiet is None:
            return False
        begin, end = self.quiet
        return begin <= minute < end if begin < end else minute >= begin or minute < end

    def wants(self, person: str, wall: int, minute: int) -> bool:
        """Whether something of that person is to be told now."""
        return person not in self.muted and not self.is_silent(wall, minute)


_HOURS = re.compile(r"([01]?[0-9]|2[0-3])(?::([0-5][0-9]))?-([01]?[0-9]|2[0-3])(?::([0-5][0-9]))?")


def parse_hours(text: str) -> tuple[int, int]:
    """`22:00-7:00` or `22-7` in minutes of the day. Raises UsageError."""
    found = _HOURS.fullmatch(text)
    if found is None:
        raise UsageError(f"{text[:40]!r} are no hours; give them as in 22:00-7:00")
    begin, end = (60 * int(found[at]) + int(found[at + 1] or 0) for at in (1, 3))
    if begin == end:
        raise UsageError(f"{text} is the whole day; for that there is /dnd on")
    return begin, end


def format_hours(hours: tuple[int, int]) -> str:
    """Minutes of the day as `parse_hours` reads them."""
    return "-".join(f"{minute // 60}:{minute % 60:02}" for minute in hours)


# --- what there is to tell


@dataclass(frozen=True, slots=True)
class Told(Generic[ItemT]):
    """One notice."""

    chat: Hashable
    count: int
    """How many since the last notice."""
    last: ItemT


@dataclass(slots=True)
class _Chat(Generic[ItemT]):
    waiting: deque[tuple[int, float, ItemT]] = field(default_factory=deque)
    """Place, when it is due, what it is."""
    more: tuple[int, float, ItemT] | None = None
    """The newest of those for which `waiting` had no room."""
    more_count: int = 0
    last: tuple[int, ItemT] | None = None
    """The newest of those that are due, with its place."""
    count: int = 0
    """Those that are due and not told."""
    pause: float = 0.0
    next_at: float = float("-inf")


class Notices(Generic[ItemT]):
    """Everything that came and was not looked at. A chat is whatever the caller tells apart; places grow in it."""

    def __init__(self) -> None:
        self._chats: dict[Hashable, _Chat[ItemT]] = {}
        self._told_at: deque[float] = deque()

    def came(self, chat: Hashable, place: int, item: ItemT, now: float) -> None:
        """Something for the person came in that chat."""
        held = self._chats.get(chat)
        if held is None:
            if len(self._chats) >= MOST_CHATS:
                return
            held = self._chats[chat] = _Chat()
        if len(held.waiting) < MOST_HELD:
            held.waiting.append((place, now + GATHER, item))
        else:
            held.more, held.more_count = (place, now + GATHER, item), held.more_count + 1

    def looked(self, chat: Hashable, place: int) -> None:
        """Somebody looked at everything in that chat up to `place`."""
        held = self._chats.get(chat)
        if held is None:
            return
        while held.waiting and held.waiting[0][0] <= place:
            held.waiting.popleft()
        if held.more is not None and held.more[0] <= place:
            held.more, held.more_count = None, 0
        if held.last is None or held.last[0] <= place:
            held.count, held.last = 0, None
        held.pause, held.next_at = 0.0, float("-inf")

    def gone(self, chat: Hashable) -> None:
        """There is nothing to be told of any more."""
        held = self._chats.get(chat)
        if held is not None:
            held.waiting.clear()
            held.more, held.more_count = None, 0
            held.count, held.last = 0, None

    def due(
        self, now: float, wants: Callable[[ItemT], bool] = lambda item: True
    ) -> tuple[list[ItemT], list[Told[ItemT]]]:
        """
        What nobody looked at in time, one by one as it came, and the notices that it is time for.

        What the person does not want to be told of now is never told, and counts for nothing.
        """
        passed = [item for held in self._chats.values() for item in self._pass(held, now)]
        told = []
        for chat, held in list(self._chats.items()):
            if held.last is not None and held.count and not wants(held.last[1]):
                held.count = 0
            elif held.last is not None and held.count and now >= held.next_at and self._may_tell(now):
                told.append(Told(chat, held.count, held.last[1]))
                held.count = 0
                held.pause = min(2 * held.pause or PAUSE, LONGEST_PAUSE)
                held.next_at = now + held.pause
            elif not held.waiting and not held.more and not held.count and now >= held.next_at:
                del self._chats[chat]
        return passed, told

    def _pass(self, held: _Chat[ItemT], now: float) -> list[ItemT]:
        passed = []
        while held.waiting and held.waiting[0][1] <= now:
            place, _, item = held.waiting.popleft()
            held.count += 1
            if held.last is None or held.last[0] <= place:
                held.last = place, item
            passed.append(item)
        if held.more is not None and held.more[1] <= now:
            place, _, item = held.more
            held.count += held.more_count
            held.last = place, item
            held.more, held.more_count = None, 0
        return passed

    def _may_tell(self, now: float) -> bool:
        while self._told_at and self._told_at[0] <= now - PER:
            self._told_at.popleft()
        if len(self._told_at) >= NOTICES:
            return False
        self._told_at.append(now)
        return True
