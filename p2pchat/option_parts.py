"""What the options of all commands are made of: a parser whose errors are for people, and what many commands take."""

import argparse
import textwrap
from collections.abc import Callable
from typing import Any, NoReturn

from .config import check_handle, parse_path
from .core.errors import UsageError

HELP_COLUMN = 28
"""Where the help of an option begins."""

HELP_LINE = 78
"""Columns of a line of help."""


class Parser(argparse.ArgumentParser):
    """Errors are UsageError; help keeps its lines."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(
            formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=HELP_COLUMN),
            allow_abbrev=False,
            **keywords,
        )

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Say what was most likely meant by a word that is none of the choices."""
        if action.choices is None or value in action.choices:
            return
        from difflib import get_close_matches

        known = list(map(str, action.choices))
        near = get_close_matches(str(value), known, 1)
        raise argparse.ArgumentError(
            action,
            f"there is no {value!r}; " + (f"did you mean {near[0]}?" if near else f"choose from {', '.join(known)}"),
        )

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


def add_command(commands: Any, command: str, words: str, description: str, epilog: str | None = None) -> Parser:
    """A subcommand, such as "contact add"."""
    parser: Parser = commands.add_parser(
        command.rpartition(" ")[2],
        prog=f"p2pchat {command}",
        help=words,
        description=textwrap.fill(description, HELP_LINE, break_on_hyphens=False),
        epilog=epilog,
    )
    parser.set_defaults(command=command)
    return parser


def add_state(parser: Parser, role: str | None) -> None:
    """Where the state is; None: of whichever role is meant."""
    whose = f"the {role}'s directory" if role else "the directory of the one that is meant"
    parser.add_argument("--state", metavar="DIR", type=path_of("--state"), default=argparse.SUPPRESS, help=whose)


def add_name(parser: Parser) -> None:
    """One's handle."""
    parser.add_argument("--name", metavar="NAME", type=handle_of, help="what you are called there")


def add_json(parser: Parser) -> None:
    """Output for programs."""
    parser.add_argument("--json", action="store_true", help="for programs: JSON, one object a line")


def path_of(option: str) -> Callable[[str], Any]:
    """What reads a path."""
    return lambda text: parse_path(text, option)


def handle_of(text: str) -> str:
    """Reads a handle."""
    check_handle(text)
    return text


def descriptor_of(text: str) -> int:
    """Reads the number of an open descriptor."""
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise UsageError(f"--passphrase-fd is {text!r}; give the number of an open descriptor")
    return int(text)
