"""Round trips on one link: the wire's own ping and pong, when a person or a program asks for them."""

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed

FRESH = 1.0
"""Seconds for which an answer counts for whoever asks next: a far side ends a link on which too much comes."""


class RoundTrips:
    """One ping at a time; whoever asks meanwhile gets the same answer. `seconds` is a monotonic clock."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._number: int | None = None
        """Of the ping that is not answered."""
        self._sent_at = 0.0
        self._answered_at = -FRESH
        self._lasted = 0.0
        self._waiting: list[Deferred[float | None]] = []

    def measure(self, ping: Callable[[], int]) -> "Deferred[float | None]":
        """
        How many seconds an answer took; None where the link ends before. `ping` sends one and gives its number.

        It fires when the answer comes, however late; who does not want to wait cancels it.
        """
        now = self._seconds()
        if now < self._answered_at + FRESH:
            return succeed(self._lasted)
        answer: Deferred[float | None] = Deferred(self._waiting.remove)
        self._waiting.append(answer)
        if self._number is None:
            self._sent_at = now
            self._number = ping()
        return answer

    def answered(self, number: int) -> None:
        """A pong came."""
        if number == self._number:
            self._number = None
            self._answered_at = self._seconds()
            self._lasted = self._answered_at - self._sent_at
            self._fire(self._lasted)

    def end(self) -> None:
        """The link is over: another one begins with nothing."""
        self._number = None
        self._answered_at = -FRESH
        self._fire(None)

    def _fire(self, lasted: float | None) -> None:
        waiting, self._waiting = self._waiting, []
        for answer in waiting:
            answer.callback(lasted)
