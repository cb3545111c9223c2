"""
What is typed about this program, its screen and its links, done: help, versions, how the peer is, and leaving.

What takes seconds keeps nobody from typing on.
"""

import platform
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2pchat import __version__, api
from p2pchat.core.errors import UserError
from p2pchat.core.text import Kind, clean

from .actions import Clear, Detach, Help, Quit, Version
from .answers import answer
from .findings import finding_lines
from .help import help_lines
from .screen import Screen

Kept = Help | Quit | Detach | Clear | Version | api.Examine | api.Ping | api.Reconnect
"""What is done here."""

HOW_TO_DETACH = (
    "this terminal is the peer itself, which would end: nothing is done. One that goes on: /quit, then twistd "
    "p2pchat-peer, then p2pchat attach"
)

NOTHING_DRAWN = "nothing is drawn here, so there is nothing to clear"


class Upkeep:
    """Does it. `say` shows notes; `attached`: the peer is another process, and goes on without this one."""

    _log = Logger()

    def __init__(
        self,
        held: api.Api,
        screen: Screen,
        say: Callable[..., None],
        leave: Callable[[], None],
        attached: bool,
    ) -> None:
        self._api = held
        self._screen = screen
        self._say = say
        self._leave = leave
        self._attached = attached

    async def do(self, action: Kept) -> None:
        """Do it, or begin it if it may take long. Raises UserError."""
        match action:
            case Help(topic=topic):
                self._say(*help_lines(topic))
            case Quit():
                self._leave()
            case Detach() if self._attached:
                self._leave()
            case Detach():
                self._say(HOW_TO_DETACH)
            case Clear():
                if not self._screen.clear():
                    self._say(NOTHING_DRAWN)
            case Version():
                await self._versions()
            case api.Examine():
                self._say("looking at servers, ports, links and the store ...")
                self._meanwhile(action)
            case api.Ping() | api.Reconnect():
                self._meanwhile(action)

    async def _versions(self) -> None:
        status = await self._api.execute(api.Status())
        assert isinstance(status, api.PeerStatus)
        self._say(*version_lines(status, self._attached))

    def _meanwhile(self, command: api.Command) -> None:
        asked: Deferred[api.Reply] = self._api.execute(command)
        asked.addCallback(lambda reply: self._tell(command, reply)).addErrback(self._failed)

    def _tell(self, command: api.Command, reply: api.Reply) -> None:
        self._say(*(finding_lines(reply.findings) if isinstance(reply, api.Findings) else answer(command, reply)))

    def _failed(self, failure: Failure) -> None:
        if failure.check(UserError):
            self._say(failure.getErrorMessage())
        else:
            self._log.failure("what was typed went wrong", failure)
            self._say("that went wrong; the log says more")


def version_lines(status: api.PeerStatus, attached: bool) -> list[str]:
    """Which versions run: in one line, or, where the peer is another process, in one for each."""
    version = clean(status.version, Kind.NAME)
    libraries = ", ".join(clean(each, Kind.NAME) for each in (status.python, status.tls) if each)
    peer = f"p2pchat {version}, {libraries or 'which does not say more'}"
    if not attached:
        return [peer]
    here = f"this terminal: p2pchat {__version__}, Python {platform.python_version()}"
    other = "" if version == __version__ else "; to have the same in both: p2pchat stop, and start it again"
    return [here, f"the peer, pid {status.pid}: {peer}{other}"]
