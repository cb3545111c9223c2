"""Who is told what happens at a peer."""

from collections.abc import Callable

from ..api import Event


class Listening:
    """One front end's subscription; or a program's, which shows nobody what it is told (not `shows`)."""

    def __init__(
        self, listener: Callable[[Event], None], listeners: list["Listening"], shows: bool = True, answers: bool = False
    ) -> None:
        self.tell = listener
        self.shows = shows
        self.answers = answers
        """Whether a person is there who can be asked."""
        self._listeners = listeners

    def cancel(self) -> None:
        """No more events, from now on."""
        if self in self._listeners:
            self._listeners.remove(self)
