"""
What a person is writing, and to whom: the input line with the chat that it names, drafts, and what was typed before.

For the terminal's thread, but for `wanted`, which the reactor's thread sets, and `keep` and `forget`, which it calls;
the last must also work while there is no prompt. What is being typed stays with the chat for which it was begun. A
refused line is out of the way of the command that the refusal asks for, and comes back behind it.
Another chat is named when the person asked for it by a key, or when nothing is being typed: a slow command that
changes the chat in the meantime is seen when the line is entered.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .session import history_of
from .surface import Surface
from .typed import Typed, forget_typed

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.history import History


@dataclass(frozen=True, slots=True)
class Addressee:
    """To whom a line goes."""

    prompt: str = "> "
    """What stands before the input."""

    chat: str | None = None
    """The id of the person of the chat that it names."""


class Writing:
    """The input of one terminal."""

    def __init__(self, session: "PromptSession[str]", surface: Surface, state: Path) -> None:
        self._session = session
        self._surface = surface
        self._state = state
        self._shown = Addressee()
        self._switching = False
        """Whether a key asked for another chat."""
        self.wanted = Addressee()
        """Who is to be named as soon as may be; `name_wanted` looks after that."""
        self._kept = ""
        """Refused lines, for the input behind the next command that leaves a chat to write to."""
        self._commanded = False
        """Whether the last line that was entered was a command, and not itself refused and kept."""
        self._drafts: dict[str | None, str] = {}
        self._histories: dict[str | None, History] = {}
        session.default_buffer.on_text_changed += lambda _: self._changed()

    @property
    def shown(self) -> Addressee:
        """Who is named on the screen: what is entered goes there."""
        return self._shown

    def ask(self, begun: Callable[[], None]) -> str:
        """One line; `begun` is called when keys are read. Raises EOFError, KeyboardInterrupt, and what went wrong."""
        self._switching = False
        self._name(self.wanted)
        draft = self._drafts.pop(self._shown.chat, "")
        kept = ""
        if self._commanded and self._shown.chat is not None:
            kept, self._kept = self._kept, ""
        try:
            return self._session.prompt(
                lambda: self._shown.prompt,
                default=kept or draft,
                handle_sigint=False,
                set_exception_handler=False,
                pre_run=lambda: self._begin(begun),
            )
        finally:
            self._surface.entered()

    def name_wanted(self) -> None:
        """Another chat is the current one: name it, if that may be now."""
        wanted, buffer = self.wanted, self._session.default_buffer
        if wanted.chat != self._shown.chat:
            if buffer.text and not self._switching:
                return
            if buffer.text:
                self._drafts[self._shown.chat] = buffer.text
            self._switching = False
            self._name(wanted)
            self._put(self._drafts.pop(wanted.chat, ""))
        self._shown = wanted
        self.redraw()

    def switch(self) -> None:
        """A key asked for another chat, which is named next whatever is being typed."""
        self._switching = True

    def entered(self, command: bool) -> None:
        """A line was entered: a command, or a message."""
        self._commanded = command

    def keep(self, text: str) -> None:
        """A line was refused, which may have been a command itself, such as /msg with a text."""
        self._commanded = False
        self._kept = f"{self._kept}\n{text}".lstrip("\n")

    def forget(self, person: str) -> str:
        """Forget what was typed in the chat with that id; why that failed, or nothing."""
        self._drafts.pop(person, None)
        try:
            forget_typed(self._state, person)
        except OSError as error:
            return f"what was typed in that chat cannot be deleted: {error.strerror}"
        return ""

    def redraw(self) -> None:
        """Draw the input and the bar again."""
        self._session.app.invalidate()

    def _begin(self, begun: Callable[[], None]) -> None:
        self._changed()
        begun()

    def _changed(self) -> None:
        text = self._session.default_buffer.text
        self._surface.typed(self._shown.prompt, text)
        if not text and self.wanted != self._shown:
            self.name_wanted()

    def _name(self, addressee: Addressee) -> None:
        self._shown = addressee
        if addressee.chat not in self._histories:
            self._histories[addressee.chat] = history_of(Typed(self._state, addressee.chat))
        self._session.default_buffer.history = self._session.history = self._histories[addressee.chat]

    def _put(self, text: str) -> None:
        from prompt_toolkit.document import Document

        self._session.default_buffer.reset(Document(text, len(text)))  # which tells nobody of the change
        self._surface.typed(self._shown.prompt, text)
