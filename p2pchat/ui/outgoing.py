"""
What a person says, handed over to the peer: never more at once than a disk takes, and a long message in parts, of which
all are taken or none is.
"""

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2pchat import api
from p2pchat.core.errors import UserError
from p2pchat.core.text import split_message

from .words import not_taken

MOST_WAITING = 1_000
"""Messages handed over and not yet committed; a pipe can bring them faster than a disk takes them."""

TOO_LONG = (
    "not sent: that is too long for one message; send it in pieces, or from a shell, line by line: "
    "p2pchat send NAME - < FILE"
)


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
        parts = tuple(split_message(say.text))
        if len(parts) > api.MOST_SAID:
            self._give_back(TOO_LONG, say.text, line)
            return
        while self._committing >= MOST_WAITING:
            self._room = Deferred()
            await self._room
        self._committing += len(parts)
        # One part that was refused, between others that were taken, would be a hole in the text.
        said = self._api.execute(say if len(parts) == 1 else api.SayAll(who=say.who, texts=parts))
        said.addErrback(self._not_sent, say.text, line).addBoth(self._committed, len(parts))

    def _committed(self, _: object, count: int) -> None:
        self._committing -= count
        room, self._room = self._room, None
        if room is not None:
            room.callback(None)

    def _not_sent(self, failure: Failure, text: str, line: str) -> None:
        if isinstance(failure.value, UserError):
            self._give_back(not_taken(failure.value), text, line)
        else:
            self._log.failure("a message was not taken", failure)
            self._give_back("not sent; the log says more", text, line)

    def _give_back(self, why: str, text: str, line: str) -> None:
        self._say(why)
        self._keep(line if text in line else text)
