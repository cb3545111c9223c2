"""
What a person says, handed over to the peer: never more at once than a disk takes, and a long message in parts.

One part that was refused between others that were taken would be a hole in the text. So those go together that fit
into one command, of which all are taken or none is; and nothing goes behind what was refused, but comes back with it.
"""

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2pchat import api
from p2pchat.api.lines import fit_together
from p2pchat.core.errors import UserError
from p2pchat.core.text import split_message, text_behind

from .words import not_taken

MOST_WAITING = 1_000
"""Messages handed over and not yet committed; a pipe can bring them faster than a disk takes them."""


class Outgoing:
    """Messages on their way to the disk; `say` tells the person a line, `keep` gives back what was not sent."""

    _log = Logger()

    def __init__(self, held: api.Api, say: Callable[[str], None], keep: Callable[[str], None]) -> None:
        self._api = held
        self._say = say
        self._keep = keep
        self._committing = 0
        self._room: Deferred[None] | None = None

    async def send(self, say: api.Say, line: str) -> None:
        """
        Hand a message over, which was typed as `line`.

        Its commit is not waited for (the event Queued shows it), unless very many wait already.
        """
        parts = split_message(say.text)
        done = 0
        while done < len(parts):
            together = tuple(parts[done : done + fit_together(parts[done:])])
            while self._committing >= MOST_WAITING:
                self._room = Deferred()
                await self._room
            self._committing += len(together)
            said = self._api.execute(say if len(parts) == 1 else api.SayAll(who=say.who, texts=together))
            taken = said.addCallback(lambda _: True)
            taken.addErrback(self._not_sent, text_behind(say.text, parts, done), say.text, line)
            taken.addBoth(self._committed, len(together))
            done += len(together)
            if done < len(parts) and not await taken:
                return

    def _committed(self, taken: bool, count: int) -> bool:
        self._committing -= count
        room, self._room = self._room, None
        if room is not None:
            room.callback(None)
        return taken

    def _not_sent(self, failure: Failure, left: str, text: str, line: str) -> bool:
        """What is left of a text, which was typed as a line, was not taken."""
        if isinstance(failure.value, UserError):
            self._say(not_taken(failure.value))
        else:
            self._log.failure("a message was not taken", failure)
            self._say("not sent; the log says more")
        self._keep(line.replace(text, left) if text in line else left)
        return False
