"""
The client's end of the local socket for a program that runs a reactor: what `p2pchat.api.Api` asks for, over lines.

    connection = LocalClient(state, "peer"); connection.open()
    held = LocalApi(reactor, Reply, Event, lambda text: Problem(text=text), ended)
    reactor.adoptStreamConnection(connection.detach().fileno(), AF_UNIX, LocalApiFactory(held))

The connection is made once; when it is over, `ended` is told, and everything that is asked fails.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..api.lines import LOCAL_VERSION, MAX_REQUEST_LINE, Answer, Request, to_line
from ..core.errors import Reported, StoreUnsure, UsageError, UserError
from .local_client import MAX_ANSWER_LINE
from .local_connection import LineBuffer, LineTooLong

STALLED = 10.0
"""Seconds without the answer to anything that was asked, after which the person is told."""

GATHER = 0.02
"""Seconds in which events gather before they are read, where they come faster than that: one wake for many."""


class LocalSubscription:
    """One listener to the daemon's events."""

    def __init__(self, listener: Callable[[Any], None], listeners: list["LocalSubscription"]) -> None:
        self.tell = listener
        self._listeners = listeners

    def cancel(self) -> None:
        """No more events, from now on."""
        if self in self._listeners:
            self._listeners.remove(self)


class LocalApi(Protocol):
    """
    An api over a connection to a daemon.

    `replies` and `events` are the unions to decode to; events of other kinds are left out, since a newer daemon may
    tell more. `problem` makes an event of a line for the person. `ended` is called once, with one line why. `answers`:
    a person is there, who is shown what happens and can be asked.
    """

    _log = Logger()

    transport: Any
    """A transport of Twisted's; no single interface of it has all that is used here."""

    def __init__(
        self,
        clock: IReactorTime,
        replies: Any,
        events: Any,
        problem: Callable[[str], Any],
        ended: Callable[[str], None],
        answers: bool = False,
    ) -> None:
        self._answers = answers
        self._clock = clock
        self._replies: msgspec.json.Decoder[Any] = msgspec.json.Decoder(replies)
        self._events: msgspec.json.Decoder[Any] = msgspec.json.Decoder(events)
        self._problem = problem
        self._tell_ended = ended
        self._lines = LineBuffer(MAX_ANSWER_LINE)
        self._listeners: list[LocalSubscription] = []
        self._waiting: dict[int, Deferred[Any]] = {}
        self._number = 0
        self._stalled: IDelayedCall | None = None
        self._read_at = -GATHER
        self._paused: IDelayedCall | None = None
        self._why_over = ""
        """Why nothing is asked or told any more; empty before."""

    # --- the api

    def execute(self, command: Any) -> Deferred[Any]:
        """Have it executed; see `p2pchat.api.Api`. To be called while there is a connection, or after it."""
        if self._why_over:
            return fail(UserError(self._why_over))
        self._number += 1
        try:
            raw = Raw(msgspec.json.encode(command))
            line = to_line(Request(version=LOCAL_VERSION, request=self._number, command=raw))
        except UnicodeError:
            return fail(UsageError("that text is no Unicode; check the terminal's locale, or write it anew"))
        if len(line) > MAX_REQUEST_LINE:
            return fail(UsageError(f"that is too long: {len(line)} bytes; split it"))
        answer: Deferred[Any] = Deferred()
        self._waiting[self._number] = answer
        self.transport.write(line)
        self._resume()
        self._watch()
        return answer

    def subscribe(self, listener: Callable[[Any], None]) -> LocalSubscription:
        """Call `listener` with every event from now on; see `p2pchat.api.Api`."""
        subscription = LocalSubscription(listener, self._listeners)
        self._listeners.append(subscription)
        return subscription

    def leave(self) -> None:
        """End the connection, which no daemon minds; `ended` is not called."""
        self._over("this terminal has left")
        self.transport.abortConnection()

    # --- Twisted's side

    def connectionMade(self) -> None:
        command: dict[str, Any] = {"type": "subscribe"}
        if self._answers:
            command["answers"] = True
        self.execute(command).addErrback(self._not_subscribed)

    def dataReceived(self, data: bytes) -> None:
        self._lines.feed(data)
        try:
            while not self._why_over and (line := self._lines.take()) is not None:
                self._take(line)
        except (msgspec.MsgspecError, ValueError, RecursionError, LineTooLong):
            self._cut("what runs there does not answer as a p2pchat of this version does; restart it, or update this")
        self._gather()

    def connectionLost(self, reason: Failure | None = None) -> None:
        why = "the connection to the peer is lost: it ended, or this terminal read nothing for too long"
        self._cut(why, "; whether what was entered last was done is not known: look before you do it again")

    # --- inside

    def _take(self, line: bytes) -> None:
        answer = msgspec.json.decode(line, type=Answer)
        if answer.request is None and answer.error is not None:
            self._cut(answer.error)
        elif answer.version != LOCAL_VERSION:
            raise ValueError("another version")
        elif answer.event:
            self._happened(answer.event)
        elif answer.request in self._waiting:
            waiting = self._waiting.pop(answer.request)
            self._watch(again=True)
            self._fire(waiting, answer)

    def _fire(self, waiting: Deferred[Any], answer: Answer) -> None:
        if answer.error is not None:
            waiting.errback(Reported(answer.error, answer.exit_code or 1))
            return
        try:
            reply = self._replies.decode(answer.reply)
        except (msgspec.MsgspecError, ValueError) as error:
            waiting.errback(UserError(f"the peer's answer cannot be read; it is of another version ({error})"))
            return
        waiting.callback(reply)

    def _happened(self, raw: Raw) -> None:
        try:
            event = self._events.decode(raw)
        except msgspec.ValidationError:
            return
        self._tell(event)

    def _tell(self, event: Any) -> None:
        for subscription in list(self._listeners):
            try:
                subscription.tell(event)
            except Exception:
                self._log.failure("a front end failed over {event}", event=type(event).__name__)

    def _gather(self) -> None:
        """In a flood of events read no more for a moment; nobody may wait for an answer meanwhile."""
        before, self._read_at = self._read_at, self._clock.seconds()
        may_wait = self._paused is None and not self._waiting and not self._why_over
        if may_wait and self._read_at - before < GATHER:
            self.transport.pauseProducing()
            self._paused = self._clock.callLater(GATHER, self._resume)

    def _resume(self) -> None:
        if self._paused is not None:
            if self._paused.active():
                self._paused.cancel()
            self._paused = None
            self.transport.resumeProducing()

    def _not_subscribed(self, failure: Failure) -> None:
        if not self._why_over:
            self._cut(failure.getErrorMessage())

    def _watch(self, again: bool = False) -> None:
        """Say so if nothing that was asked is answered for long; a daemon that is stopped is a silent one."""
        if self._stalled is not None and (again or not self._waiting):
            self._stalled.cancel()
            self._stalled = None
        if self._stalled is None and self._waiting:
            self._stalled = self._clock.callLater(STALLED, self._stall)

    def _stall(self) -> None:
        self._stalled = None
        self._tell(self._problem(f"the peer has not answered for {STALLED:.0f} s; it may still do what was asked"))

    def _over(self, why: str, doubt: str = "") -> None:
        """Nothing more is asked or told; what was not answered fails, with `doubt` where it may have been done."""
        self._why_over = why
        if self._paused is not None:
            self._paused.cancel()
            self._paused = None
        self._listeners.clear()
        waiting, self._waiting = self._waiting, {}
        self._watch()
        for answer in waiting.values():
            answer.errback(Reported(f"{why}{doubt}", StoreUnsure.exit_code) if doubt else UserError(why))

    def _cut(self, why: str, doubt: str = "") -> None:
        if not self._why_over:
            self._over(why, doubt)
            self.transport.abortConnection()
            self._tell_ended(why)


class LocalApiFactory(Factory):
    """Hands out the one connection."""

    noisy = False

    def __init__(self, held: LocalApi) -> None:
        self._held = held

    def buildProtocol(self, address: IAddress | None) -> LocalApi:
        return self._held
