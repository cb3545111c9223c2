"""The command line as plain values: commands, options and operands, read from the parser of p2pchat/options.py."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..options import make_parser
from ..ui.commands import TABLE

Kind = Literal["words", "files", "directories", "people", "anything"]
"""What may stand somewhere: one of some words, a path, somebody's name, or what nobody can guess."""

KINDS: dict[str, Kind] = {"DIR": "directories", "FILE": "files", "PEM": "files", "WHO": "people"}
"""By what the help calls it."""


@dataclass(frozen=True, slots=True)
class Value:
    """What follows an option, or stands by itself."""

    name: str
    """As the help calls it."""

    help: str
    kind: Kind
    words: tuple[str, ...] = ()
    """All that it may be, or some that are offered beside people."""

    optional: bool = False
    many: bool = False


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a command."""

    name: str
    """The long form, with its dashes."""

    help: str
    value: Value | None
    """None: it takes none."""

    repeatable: bool
    required: bool


@dataclass(frozen=True, slots=True)
class Command:
    """A command, or a group of them; the whole command line is the one without a name."""

    path: str
    """Its words: `contact add`."""

    help: str
    """A few words."""

    description: str
    epilog: str
    """Lines that are kept as they are."""

    options: tuple[Option, ...]
    operands: tuple[Value, ...]
    commands: tuple["Command", ...]

    @property
    def name(self) -> str:
        """The last word."""
        return self.path.rpartition(" ")[2]

    def all(self) -> Iterator["Command"]:
        """This one, and everything under it."""
        yield self
        for command in self.commands:
            yield from command.all()


def command_line() -> Command:
    """All of `p2pchat`."""
    return _command(make_parser(), "", "")


def _command(parser: argparse.ArgumentParser, path: str, words: str) -> Command:
    options: list[Option] = []
    operands: list[Value] = []
    commands: list[Command] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {each.dest: each.help or "" for each in action._choices_actions}
            for name, child in action.choices.items():
                commands.append(_command(child, f"{path} {name}".strip(), helps.get(name, "")))
        elif action.option_strings:
            options.append(_option(action))
        else:
            operands.append(_value(action, path))
    return Command(
        path, words, parser.description or "", parser.epilog or "", tuple(options), tuple(operands), tuple(commands)
    )


def _option(action: argparse.Action) -> Option:
    repeatable = isinstance(action, argparse._AppendAction)
    value = None if action.nargs == 0 else _value(action, "")
    return Option(action.option_strings[-1], action.help or "", value, repeatable, action.required)


def _value(action: argparse.Action, path: str) -> Value:
    name = str(action.metavar or action.dest.upper())
    words = tuple(map(str, action.choices or ()))
    kind = KINDS.get(name, "words" if words else "anything")
    if path == "notify":
        # The same words as at the prompt, where the table has them.
        kind, words = "people", next(row.settings for row in TABLE if row.name == path)
    many = action.nargs in ("*", "+")
    return Value(name, action.help or "", kind, words, action.nargs in ("?", "*"), many)
