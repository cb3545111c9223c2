"""One question to a server at a time: can others reach us where we listen? (docs/protocol.md, section 7)"""

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ..core.errors import EndCode, RemoteProtocolError
from ..core.messages import DialBack, DialledBack

ANSWER_WITHIN = 15.0
"""Seconds to wait for a server, which gives up dialling long before."""


class DialBackQuestion:
    """What was asked on one link to a server, and who waits for the answer."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._number = 0
        self._answered = True
        self._waiting: list[Deferred[DialledBack | None]] = []

    def ask(self, send: Callable[[DialBack], None]) -> Deferred[DialledBack | None]:
        """Ask, unless an answer is on its way already; fires with None if none comes in time, or at all."""
        answer: Deferred[DialledBack | None] = Deferred()
        self._waiting.append(answer)
        timer = self._clock.callLater(ANSWER_WITHIN, self._give_up, answer)

        def stop(result: DialledBack | None) -> DialledBack | None:
            if timer.active():
                timer.cancel()
            return result

        answer.addCallback(stop)
        if self._answered:
            self._number += 1
            self._answered = False
            send(DialBack(number=self._number))
        return answer

    def answered(self, message: DialledBack) -> None:
        """The server's answer; raises RemoteProtocolError if it answers what nobody asked."""
        if self._answered or message.number != self._number:
            raise RemoteProtocolError(EndCode.VIOLATION, "an answer to a question that was not asked")
        self._answered = True
        self._fire(message)

    def end(self) -> None:
        """The link is over."""
        self._answered = True
        self._fire(None)

    def _give_up(self, answer: Deferred[DialledBack | None]) -> None:
        # The question itself stays open: a late answer breaks no rule.
        self._waiting.remove(answer)
        answer.callback(None)

    def _fire(self, message: DialledBack | None) -> None:
        waiting, self._waiting = self._waiting, []
        for answer in waiting:
            answer.callback(message)
