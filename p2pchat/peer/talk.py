"""A conversation, and whether somebody is dialled for it."""

from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ..core.messages import Address
from .chat import Chat
from .links import Links
from .people import Contactable
from .pursuit import Pursuit


@dataclass(slots=True)
class Talk:
    """A conversation that there is, or that is wanted."""

    chat: Chat
    pursuit: Pursuit
    wanted: bool = False
    """The person wants it: it is dialled until it is closed."""
    ready: bool = False
    """What waits was counted; before that nothing may be said, or it would overtake what was said earlier."""
    opened: bool = False
    """It was open before, and is not over."""
    lost: bool = False
    """It was open before, and has no link now."""
    text: str = ""
    """What to say when asking."""
    typed: list[Address] = field(default_factory=list)
    """Addresses that the person gave."""


class Queues:
    """
    Those who wait until a conversation is ready, each served in the order in which they came, also as seen by who comes
    while the first of them are being served: what they say next must not overtake one another.
    """

    def __init__(self, prepare: Callable[[bytes], Coroutine[Deferred[Any], Any, Talk]]) -> None:
        self._prepare = prepare
        self._waiting: dict[bytes, deque[Deferred[Talk]]] = {}

    def wait(self, identifier: bytes) -> Deferred[Talk]:
        """Fires with the conversation, made ready by the first who asks; fails as `prepare` does."""
        ready: Deferred[Talk] = Deferred()
        queue = self._waiting.get(identifier)
        if queue is not None:
            queue.append(ready)
            return ready
        self._waiting[identifier] = deque([ready])
        prepared = Deferred.fromCoroutine(self._prepare(identifier))
        prepared.addCallbacks(
            lambda talk: self._serve(identifier, talk, None), lambda failure: self._serve(identifier, None, failure)
        )
        return ready

    def _serve(self, identifier: bytes, talk: Talk | None, failure: Failure | None) -> None:
        queue = self._waiting[identifier]
        while queue:
            waiter = queue.popleft()
            if talk is None:
                waiter.errback(failure)
            else:
                waiter.callback(talk)
        del self._waiting[identifier]
        if talk is not None:
            talk.ready = True


def contactable(links: Links, talk: Talk | None, identifier: bytes) -> Contactable:
    """How it is now with somebody, whom `talk` is with if that is in use."""
    theirs = links.of(identifier)
    open_link = next((link for link in theirs if link.open), None)
    some = open_link or (theirs[0] if theirs else None)
    if open_link is not None:
        chat = "open"
    elif identifier in links.requests:
        chat = "asked"
    elif talk is not None and talk.wanted:
        chat = "lost" if talk.opened else "asking"
    else:
        chat = "none"
    return Contactable(
        chat=chat,
        path="direct" if open_link is not None else "",
        group="" if some is None else some.group,
        scope="" if open_link is None or open_link.intent is None else open_link.their_scope,
        unsent=0 if talk is None else talk.chat.unsent,
        handle="" if some is None or some.hello is None else some.hello.handle,
        address="" if some is None else some.address,
    )
