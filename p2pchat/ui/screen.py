"""What a console asks of the screen that shows it: a terminal's, or a pipe's."""

from typing import Protocol

from p2pchat import api

from .drawing import Line


class Screen(Protocol):
    """Where lines are shown."""

    def show(self, line: Line, token: api.Event | None = None) -> None:
        """Show it; a screen that a person looks at gives `token` to `Console.displayed` once it is there."""

    def prompt_changed(self) -> None:
        """`Conversation.prompt` may be another one now."""

    def keep(self, text: str) -> None:
        """A line was refused: give it back to whoever typed it."""

    def forget(self, person: str) -> None:
        """What was typed in the chat with the id `person` cannot be called back any more."""
