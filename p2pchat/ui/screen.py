"""What a console asks of the screen that shows it, a terminal's or a pipe's; and what a terminal asks of a console."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from p2pchat import api

from .conversation import Conversation
from .drawing import Line
from .overview import Overview

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred


class Screen(Protocol):
    """Where lines are shown."""

    def show(self, line: Line, token: api.Event | None = None) -> None:
        """Show it; a screen that a person looks at gives `token` to `Console.displayed` once it is there."""

    def prompt_changed(self) -> None:
        """`Conversation.prompt` may be another one now."""

    def keep(self, text: str) -> None:
        """A line was refused: give it back to whoever typed it."""

    def forget(self, person: str) -> str:
        """What was typed in the chat with the id `person` cannot be called back any more; else why not, in words."""

    def clear(self) -> bool:
        """Clear what is shown, but for the input; false where nothing is drawn."""


class Person(Protocol):
    """What a terminal asks of the program (ui/console.py)."""

    conversation: Conversation
    overview: Overview

    def go_to(self, place: int) -> None:
        """A key asked for the chat with this number."""

    def go_by(self, step: int) -> None:
        """A key asked for the next chat, or the one before."""

    def typed_at_prompt(self, line: str, chat: str | None) -> "Deferred[None]":
        """A line was typed."""

    def displayed(self, tokens: Sequence[api.Event]) -> None:
        """These are on the screen now."""

    def missed(self, tokens: Sequence[api.Event]) -> None:
        """These will never be."""
