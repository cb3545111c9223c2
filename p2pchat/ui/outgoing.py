"""What a person says, handed over to the peer: in parts where it is long, and never more at once than a disk takes."""

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2pchat import api
from p2pchat.core.errors import UserError
from p2pchat.core.text import split_message

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
        for part in split_message(say.text):
            while self._committing >= MOST_WAITING:
                self._room = Deferred()
                await self._room
            self._committing += 1
            said = self._api.execute(api.Say(who=say.who, text=part))
            said.addErrback(self._not_sent, part, line).addBoth(self._committed)

    def _committed(self, _: object) -> None:
        self._committing -= 1
        room, self._room = self._room, None
        if room is not None:
            room.callback(None)

    def _not_sent(self, failure: Failure, part: str, line: str) -> None:
        if isinstance(failure.value, UserError):
            self._say(f"not sent: {failure.value}")
        else:
            self._log.failure("a message was not taken", failure)
            self._say("not sent; the log says more")
        self._keep(line if part in line else part)
