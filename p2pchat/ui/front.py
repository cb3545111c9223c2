"""
Which front end a peer gets, and its life as a service.

- A terminal on both standard input and output, and no --input: the prompt (ui/prompt.py). The same on a peer that
  runs already is `Attached`.
- `--to` otherwise: an input is sent line by line until it is delivered (ui/lines.py); standard input if no --input
  says which. Standard output gets what the others say, and notes.
- Neither: an unattended peer. What happens goes to standard output line by line; standard input takes the same
  commands as the prompt. The end of standard input ends nothing; the end of standard output does.
- Neither, and nobody who could read or write: in the background, nothing is put into words.

A transcript is kept beside any of them.
"""

import os
from collections.abc import Callable
from pathlib import Path

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2pchat import api
from p2pchat.config import PeerSettings
from p2pchat.core.errors import StoreError, UserError

from .alerts import alert
from .appending import InThread
from .console import Console
from .drawing import Origin, told
from .lines import Lines
from .names import NamedApi
from .output import Output
from .prompt import IFrontReactor, Prompt
from .source import STANDARD_INPUT, Source
from .splitter import Splitter
from .transcript import Transcript
from .words import Narrator

STANDARD_OUTPUT = 1

FLUSH_WAIT = 3.0
"""Seconds for which the end of the program waits until a pipe, or the transcript, has taken what was written to it."""

Finish = Callable[[int, str], None]
"""Ends the process with a code and a last line."""


class FrontEnd(Service):
    """What all front ends have, and all that is needed where nobody looks: a transcript, if one was asked for."""

    _log = Logger()

    def __init__(
        self,
        settings: PeerSettings,
        held: api.Api,
        reactor: IFrontReactor,
        wall: Callable[[], float],
        finish: Finish,
    ) -> None:
        self.settings = settings
        self.reactor = reactor
        self.finish = finish
        self.wall = wall
        self.held = NamedApi(held)
        path = settings.transcript
        self._transcript = (
            Transcript(InThread(path, reactor), wall, self._transcript_failed) if path is not None else None
        )
        self._subscription: api.Subscription | None = None
        self._continuing: Deferred[None] | None = None

    def startService(self) -> None:
        """Open the transcript; raises StoreError."""
        super().startService()
        if self._transcript is not None:
            self._transcript.open()
            self._subscription = self.held.subscribe(self._transcript.take)

    def begin(self) -> None:
        """The peer is up: commands are answered from now on. Learn who we are, and whose names are taken."""
        for command in (api.Contacts(), api.WhoAmI()):
            self.held.execute(command).addCallbacks(self._introduce, self._not_introduced)
        self._continuing = Deferred.fromCoroutine(self._continue()).addErrback(self._not_continued)

    def caught_up(self) -> None:
        """The transcript has what is stored: what may end the process may begin."""

    async def _continue(self) -> None:
        if self._transcript is not None:
            await self._transcript.catch_up(self.held)
        self.caught_up()

    def _not_continued(self, failure: Failure) -> None:
        if failure.check(CancelledError) or self._transcript is None:
            return
        self._transcript.close()
        if not failure.check(UserError):
            self._log.failure("The transcript was not gone on with", failure)
        self._transcript_failed(StoreError(f"cannot go on with the transcript: {failure.getErrorMessage()}"))

    def aside(self, work: Callable[[], None]) -> "Deferred[None]":
        """Run what waits for a disk in a thread of its own."""
        return deferToThreadPool(self.reactor, self.reactor.getThreadPool(), work)

    def introduced(self, own_id: str) -> None:
        """One's own id is known."""
        if self._transcript is not None:
            self._transcript.own_id(own_id)

    def _introduce(self, reply: api.Reply) -> None:
        if isinstance(reply, api.Myself):
            self.introduced(reply.id)

    def _not_introduced(self, failure: Failure) -> None:
        self._log.info("the peer does not say who it is: {error!r}", error=failure.value)

    def stopService(self) -> "Deferred[None] | None":
        """Close the transcript, once what happened is written there."""
        if self._continuing is not None:
            self._continuing.cancel()
        if self._subscription is not None:
            self._subscription.cancel()
        return None if self._transcript is None else self.within_reason(self._transcript.close())

    def within_reason(self, written: "Deferred[None]") -> "Deferred[None]":
        """Fires when that does, or after FLUSH_WAIT."""
        late = Deferred[None]()
        timer = self.reactor.callLater(FLUSH_WAIT, late.callback, None)

        def over(_: object) -> None:
            if timer.active():
                timer.cancel()

        return DeferredList([written, late], fireOnOneCallback=True).addCallback(over)

    def _transcript_failed(self, error: Exception) -> None:
        """By default the end: a transcript with a hole is none."""
        self.finish(1, f"p2pchat-peer: {error}")


class AtTerminal(FrontEnd):
    """A person at a prompt."""

    attached = False
    greeting = "/help lists the commands, /quit leaves"
    crashed = "the terminal failed, the chats were ended in order; the log says more"

    def startService(self) -> None:
        """Show the prompt."""
        super().startService()
        settings = self.settings
        self._prompt = Prompt(self.reactor, self.finish, self.crashed, self.wall, settings.state, settings.plain)
        self._console = Console(
            self.held,
            self.reactor,
            self._prompt,
            lambda: self.finish(0, ""),
            self.aside,
            has_bar=not self._prompt.is_plain,
            attached=self.attached,
        )
        self._prompt.console = self._console
        self._prompt.startService()
        self._alerts = self.held.subscribe(self._alert)

    def appear(self) -> None:
        """Greet, and take what is typed, which is dealt with once the peer is up; again it does nothing."""
        if not self._prompt.has_begun:
            self._prompt.show(told(self.greeting))
            self._prompt.begin()

    def begin(self) -> None:
        """Greet, and connect if that was asked for."""
        super().begin()
        self.appear()
        self._console.begin(self.settings.to, self.settings.trust_first)

    def stopService(self) -> "Deferred[None] | None":
        """Give the terminal back."""
        closed = super().stopService()
        self._alerts.cancel()
        self._console.stop()
        return _both(closed, self._prompt.stopService())

    def _alert(self, event: api.Event) -> None:
        if isinstance(event, api.Notice):
            self._prompt.ring(alert(event, os.environ))

    def _transcript_failed(self, error: Exception) -> None:
        """A person can do something about it; the chats go on."""
        self._prompt.show(told(f"{error}; nothing more is written to it"))


class Attached(AtTerminal):
    """A person at a prompt on a peer that runs elsewhere, which stays when they leave."""

    attached = True
    greeting = "this peer goes on when you leave: /quit leaves, /stop ends the peer, /help lists the commands"
    crashed = "the terminal failed; the peer goes on: p2pchat attach"


class _Piped(FrontEnd):
    """What goes to standard output line by line."""

    def startService(self) -> None:
        """Begin to write."""
        super().startService()
        self.output = Output(self.reactor, STANDARD_OUTPUT, self.output_closed)
        self.output.start()

    def stopService(self) -> "Deferred[None] | None":
        """Let the reader have what was written."""
        return _both(super().stopService(), self.within_reason(self.output.stop()))

    def output_closed(self, error: OSError) -> None:
        """Standard output takes no more."""
        raise NotImplementedError


class Sending(_Piped):
    """An input, sent until it is delivered."""

    def startService(self) -> None:
        """Listen; nothing is read before `caught_up`."""
        super().startService()
        name = self.settings.input
        origin = STANDARD_INPUT if name in (None, "-") else Path(name or "")
        self._narrator = Narrator()
        self._told = self.held.subscribe(self._tell)
        self._lines = Lines(self.held, self.reactor, Source(self.reactor, origin), self.settings, self.finish)

    def caught_up(self) -> None:
        """Read and send."""
        self._lines.begin()

    def introduced(self, own_id: str) -> None:
        """One's own id is known."""
        super().introduced(own_id)
        self._narrator.own_id = own_id

    def stopService(self) -> "Deferred[None] | None":
        """Send no more."""
        self._lines.stop()
        self._told.cancel()
        return super().stopService()

    def output_closed(self, error: OSError) -> None:
        """What was given to us to send matters more than who listens."""
        self._log.info("standard output was closed: {error!r}", error=error)

    def _tell(self, event: api.Event) -> None:
        for line in self._narrator.tell(event):
            if line.origin is not Origin.MINE:  # that is in the input
                self.output.show(line)


class Unattended(_Piped):
    """Nobody, or a program that reads lines and writes commands."""

    def startService(self) -> None:
        """Show what happens."""
        super().startService()
        self._source = Source(self.reactor, STANDARD_INPUT)
        self._console = Console(
            self.held, self.reactor, self.output, lambda: self.finish(0, ""), self.aside, looks=False
        )
        self._reading: Deferred[None] | None = None

    def caught_up(self) -> None:
        """Take commands."""
        self._console.begin()
        self._reading = Deferred.fromCoroutine(self._read())
        self._reading.addErrback(self._read_failed)

    def stopService(self) -> "Deferred[None] | None":
        """Take no more."""
        self._source.close()
        if self._reading is not None:
            self._reading.cancel()
        self._console.stop()
        return super().stopService()

    def output_closed(self, error: OSError) -> None:
        """Whoever started us to read our lines is gone."""
        self.finish(1, f"p2pchat-peer: standard output was closed ({error.strerror})")

    async def _read(self) -> None:
        splitter = Splitter()
        await self._source.open()
        while data := await self._source.read():
            for line in splitter.feed(data):
                await self._console.typed(line)
        for line in splitter.end():
            await self._console.typed(line)

    def _read_failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._log.info("standard input gives nothing more: {error!r}", error=failure.value)


def _both(one: "Deferred[None] | None", other: "Deferred[None] | None") -> "Deferred[None] | None":
    """Fires when both have; what is None has."""
    if one is None or other is None:
        return one if other is None else other
    return DeferredList([one, other]).addCallback(lambda _: None)


def front_end(
    settings: PeerSettings,
    held: api.Api,
    reactor: IFrontReactor,
    wall: Callable[[], float],
    finish: Finish,
    terminal: bool,
    heard: bool = True,
) -> FrontEnd:
    """The front end for these settings; `terminal`: a person sits at both ends; not `heard`: nobody is at either."""
    kind: type[FrontEnd] = Unattended if heard else FrontEnd
    if terminal and settings.input is None:
        kind = AtTerminal
    elif settings.to is not None:
        kind = Sending
    return kind(settings, held, reactor, wall, finish)
