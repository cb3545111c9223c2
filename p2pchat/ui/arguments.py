"""
A row of the table of commands, and how its arguments are read.

The rows themselves are in ui/commands.py, where the table is, and in the modules that it names.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from p2pchat.core.errors import UsageError

from .actions import Action, Scope

MAX_SECONDS = 365 * 86_400
"""A longer consent is `always`."""

Argument = Literal["person", "pending", "scope", "setting", "command", "file", "words"]
"""What stands in an argument's place, for the completion; `words` is anything."""

Topic = Literal["chats", "history", "people", "notifications", "program"]
"""What a command is about: one page of the help."""

TOPICS: Mapping[Topic, str] = {
    "chats": "begin a chat, write, end it",
    "history": "what was said, and what became of it",
    "people": "who is there, whom you keep, who they really are",
    "notifications": "when to be told, and how",
    "program": "this program and its peer",
}
"""All topics, in the order of the help, each in some words."""

SCOPES = ("once", "2h", "always")
"""Offered; any duration does."""


Make = Callable[[str, str | None], Action]
"""From the rest of a line, and whom the current chat is with, to what it means; raises UsageError."""


@dataclass(frozen=True, slots=True)
class Row:
    """One command."""

    name: str
    arguments: str
    """As the help shows them."""

    help: str
    """One line."""

    make: Make

    aliases: tuple[str, ...] = ()
    completes: tuple[Argument, ...] = ()
    settings: tuple[str, ...] = ()
    """What is offered where `completes` says `setting`."""

    topic: Topic = "program"

    example: str = ""
    """The command as somebody types it."""

    common: bool = False
    """Whether it is one of the dozen that `/help` alone shows."""

    @property
    def usage(self) -> str:
        """The command with its arguments."""
        return f"/{self.name} {self.arguments}".rstrip()


_DURATION = re.compile(r"([1-9][0-9]{0,5})([mhd])")
_UNITS: Mapping[str, int] = {"m": 60, "h": 3_600, "d": 86_400}


def parse_scope(word: str) -> tuple[Scope, int | None] | None:
    """`once`, `always`, or a duration such as 30m, 2h, 1d in seconds; None if it is none of these."""
    match word.lower():
        case "once":
            return "once", None
        case "always":
            return "always", None
        case other if found := _DURATION.fullmatch(other):
            seconds = int(found[1]) * _UNITS[found[2]]
            if seconds > MAX_SECONDS:
                raise UsageError(f"{word} is more than a year; say always")
            return "timed", seconds
    return None


_WORD = re.compile(r'@?"([^"\n]*)"|(\S+)')
"""A word, or in quotes a name with spaces in it."""


def words_in(rest: str, most: int) -> list[str]:
    """The words of the rest of a line; raises UsageError if there are more than `most`."""
    words = [quoted or word for quoted, word in _WORD.findall(rest)]
    if len(words) > most:
        raise UsageError(f"{' '.join(words[most:])!r} is too much")
    return words


def nothing(action: Action) -> Make:
    """Of no arguments at all."""

    def make(rest: str, current: str | None) -> Action:
        words_in(rest, 0)
        return action

    return make


def whom(rest: str, current: str | None) -> str:
    """Who is named, or else whom the current chat is with; raises UsageError."""
    words = words_in(rest, 1)
    if words:
        return words[0].removeprefix("@")
    if current is None:
        raise UsageError("say who")
    return current


def person(make: Callable[[str], Action]) -> Make:
    """Of somebody, or else of whom the current chat is with."""
    return lambda rest, current: make(whom(rest, current))


def named(make: Callable[[str], Action]) -> Make:
    """Of somebody who must be named."""
    return lambda rest, current: make(whom(rest, None))


def name_first(rest: str) -> tuple[str, str]:
    """A name, and the text behind it as it was typed."""
    found = _WORD.match(rest := rest.lstrip())
    if found is None:
        return "", ""
    return found[1] or found[2].removeprefix("@"), rest[found.end() :].removeprefix(" ")
