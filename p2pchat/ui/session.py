"""The input line: a session of prompt_toolkit with our keys, completion, history and bar, for the terminal's thread."""

import sys
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .commands import completions
from .keys import Wishes, bindings, spoken_bindings
from .surface import Surface
from .typed import Typed

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import Completer
    from prompt_toolkit.history import History

MENU_ROWS = 4
"""Room for completions below the input while they are shown."""


@dataclass(frozen=True)
class Names:
    """Whom a word may mean."""

    people: Sequence[str] = ()
    """Those who can be written to."""
    pending: Sequence[str] = ()
    """Those who wait for an answer."""
    ids: Sequence[str] = ()


def make_session(
    surface: Surface, wishes: Wishes, names: Callable[[], Names], bar: Callable[[int], str] | None
) -> "PromptSession[str]":
    """A session at this process's terminal; `bar` gives the status bar for a width."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.input.defaults import create_input
    from prompt_toolkit.key_binding import merge_key_bindings

    completer = _completer(names)
    keys = bindings(wishes)
    session: PromptSession[str] = PromptSession(
        completer=completer,
        complete_while_typing=False,
        reserve_space_for_menu=MENU_ROWS,
        key_bindings=keys if bar else merge_key_bindings([keys, spoken_bindings(wishes)]),
        bottom_toolbar=None if bar is None else lambda: bar(surface.output.get_size().columns - 1),
        erase_when_done=True,  # a message comes back with its number, a command is written above
        input=create_input(stdin=sys.__stdin__),
        output=surface.output,
    )
    session.app.terminal_size_polling_interval = None  # ui/prompt.py looks
    return session


def history_of(typed: Typed) -> "History":
    """What was typed in one chat, as prompt_toolkit asks for it; always as it is on the disk now."""
    from prompt_toolkit.history import History

    class Kept(History):
        async def load(self) -> AsyncGenerator[str, None]:
            for line in reversed(typed.lines()):
                yield line

        def get_strings(self) -> list[str]:
            return typed.lines()

        def append_string(self, string: str) -> None:
            typed.add(string)

        def load_history_strings(self) -> Iterable[str]:
            return reversed(typed.lines())

        def store_string(self, string: str) -> None:
            typed.add(string)

    return Kept()


def offers(text: str, names: Names) -> list[str]:
    """What the last word of `text` may become, with what follows it: a blank, but for directories."""
    found = completions(text, names.people, names.pending) or completions(text, names.ids, names.ids)
    return [word if word.endswith("/") else f"{word} " for word in found]


def _completer(names: Callable[[], Names]) -> "Completer":
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion
    from prompt_toolkit.document import Document

    class Words(Completer):
        """What the table of commands, people and the disk offer."""

        def get_completions(self, document: Document, complete_event: CompleteEvent) -> Any:
            text = document.text_before_cursor
            start = -len(text.split(" ")[-1])
            return (Completion(word, start) for word in offers(text, names()))

    return Words()
