"""
Which of the links with one peer carries the chat (docs/protocol.md, section 8).

The leader keeps the newest link that both sides opened, selects it, and ends the others. The follower uses what was
selected last. Two links are two connections, so an older `select` may come after a newer one: the follower holds a
link that is selected right after another, until the goodbye on one of the two tells which of them stays. Where none
comes the one in use is asked: a leader that had selected another one after it would not answer there. A link that was
replaced is never used again: what came over it tells of a past that both sides have left.
"""

from collections.abc import Callable, Iterable

from ..core.errors import EndCode, RemoteProtocolError
from ..core.messages import Have, Message, Select
from .link import Link

HOLD = 5.0
"""Seconds that a link is held after another was selected; a link that is dead by then says no goodbye any more."""

ANSWER_WITHIN = 2.0
"""Seconds for the one in use to answer that it lives, at least."""

MAX_HELD = 2_048
"""Messages that may come over a link while it is held; each holding in them counts as one more."""

MAX_LATE = 2_048
"""Messages that may come over a link after it was replaced: twice as many as a window has room for."""


class Selection:
    """The choice for one peer id. `use` is called with the link to be used from now on."""

    def __init__(
        self, seconds: Callable[[], float], use: Callable[[Link], None], tell: Callable[[Link, Message], None]
    ) -> None:
        self._seconds = seconds
        self._use = use
        self._tell = tell
        self._current: Link | None = None
        self._since = 0.0
        self._held_since = 0.0
        self._held: dict[Link, list[Message]] = {}
        """Links that were selected right after the current one, and what came over each."""
        self._replaced: dict[Link, int] = {}
        """Links that were selected and are not used any more, as long as they last; and how much came over each."""

    def choose(self, link: Link, others: Iterable[Link]) -> None:
        """We lead, and both sides consented on `link`: it is the newest, and no other is used any more."""
        for other in others:
            if other is not link and other.open:
                other.close(EndCode.DUPLICATE)
        link.send(Select())
        self._take(link)

    def chosen(self, link: Link) -> None:
        """The leader selected `link`."""
        current = self._current
        if current is not None and current.alive and self._seconds() < self._since + HOLD:
            self._held[link] = []
            self._held_since = self._seconds()
            current.probe()
        else:
            self._take(link)

    def check(self, link: Link) -> None:
        """Entries came over a link; raises RemoteProtocolError if it is held."""
        if link in self._held:
            raise RemoteProtocolError(EndCode.VIOLATION, "an entry before our side of link-up")

    def hold(self, link: Link, message: Message) -> bool:
        """Keep a message of a link that is held; False if the link is not. Raises RemoteProtocolError."""
        held = self._held.get(link)
        if held is None:
            return False
        if len(held) + sum(len(each.streams) for each in held if isinstance(each, Have)) >= MAX_HELD:
            raise RemoteProtocolError(EndCode.RATE, "too much before link-up")
        held.append(message)
        return True

    def drop(self, link: Link, messages: int = 1) -> bool:
        """Whether what comes over a link is dropped, since it was replaced; where that does not end, the link does."""
        if link not in self._replaced:
            return False
        self._replaced[link] += messages
        if self._replaced[link] > MAX_LATE:
            link.abort()
        return True

    def ended(self, link: Link) -> None:
        """A link is over: if it was the one in use, the one that is held is the one."""
        self._held.pop(link, None)
        self._replaced.pop(link, None)
        if link is self._current:
            self._current = None
            self._take_held()
        if self._current is None:
            self._give_up_replaced()

    def look(self) -> None:
        """Once a second: if the one in use said no goodbye, and does not answer, it is a dead one that was replaced."""
        if not self._held or self._seconds() < max(self._since + HOLD, self._held_since + ANSWER_WITHIN):
            return
        if self._current is not None and self._current.probed:
            self._replaced |= dict.fromkeys(self._held, 0)
            self._held = {}
        else:
            self._take_held()

    def _take_held(self) -> None:
        held = self._held
        alive = [link for link in held if link.alive]
        if not alive:
            held.clear()
            return
        newest = alive[-1]
        self._take(newest)
        for message in held[newest]:
            self._tell(newest, message)

    def _take(self, link: Link) -> None:
        """Use a link, and none that was selected before it."""
        before = (self._current, *self._held)
        self._replaced |= {each: 0 for each in before if each is not None and each is not link}
        self._held = {}
        self._current, self._since = link, self._seconds()
        self._use(link)

    def _give_up_replaced(self) -> None:
        """None is left that may be used: where the leader thinks that one of them is the one, both need a new one."""
        for link in list(self._replaced):
            link.abort()
