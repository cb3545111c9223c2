"""Lines for the person about what needs attention, which neither a full disk nor a hostile peer can repeat for ever."""

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ..api import Event, Problem

QUIET_FOR = 60.0
"""Seconds in which the same line is not said again."""

MOST_LINES = 20
"""Different lines in that time; what is beyond goes to the log alone."""


class Problems:
    """Passes events on, and of the problems among them not too many."""

    log = Logger()

    def __init__(self, clock: IReactorTime, emit: Callable[[Event], None]) -> None:
        self._clock = clock
        self._emit = emit
        self._said: dict[str, float] = {}

    def emit(self, event: Event) -> None:
        """Tell front ends, unless it is a problem that they were just told."""
        # By its type: of an instance of something else it takes five times as long to learn that it is none.
        if type(event) is not Problem or self._is_news(event.text):
            self._emit(event)

    def _is_news(self, text: str) -> bool:
        now = self._clock.seconds()
        self._said = {said: at for said, at in self._said.items() if now < at + QUIET_FOR}
        if text in self._said:
            return False
        if len(self._said) >= MOST_LINES:
            self.log.info("One problem of many: {text!r}", text=text)
            return False
        self._said[text] = now
        return True
