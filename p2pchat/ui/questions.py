"""Questions that a command asks at a terminal; without one it says what to type instead."""

import getpass
import sys
from pathlib import Path

from p2pchat.core.errors import UsageError, UserError

MAX_PASSPHRASE = 1024
"""Bytes of a passphrase in a file, with its end of line; more is another file."""


class Unanswered(UserError):
    """The input ended where an answer was wanted."""


def at_terminal() -> bool:
    """Whether there is somebody to ask."""
    try:
        return sys.stdin.isatty() and sys.stdout.isatty()
    except (AttributeError, ValueError):
        return False  # closed, or never there


def ask(question: str, default: str = "") -> str:
    """One line, without blanks around it; `default` if it is empty. Raises Unanswered at the end of the input."""
    try:
        return input(f"{question} [{default}]: " if default else f"{question}: ").strip() or default
    except EOFError:
        print()
        raise Unanswered("nothing was answered, and nothing was changed; run it again") from None
    except UnicodeDecodeError:
        raise UserError("that was no text in the terminal's encoding; check its locale") from None


def confirm(question: str) -> bool:
    """Whether somebody typed yes; anything unclear is asked again."""
    while True:
        match ask(f"{question} [yes/no]").lower():
            case "yes" | "y":
                return True
            case "no" | "n":
                return False


def ask_passphrase(*, twice: bool) -> str:
    """A passphrase that is not shown; asked `twice` where a typing error would lose something."""
    if not at_terminal():
        raise UsageError("there is no terminal to ask for the passphrase; give --passphrase-file FILE")
    try:
        passphrase = getpass.getpass("Passphrase: ")
        if twice and getpass.getpass("The same again: ") != passphrase:
            raise UserError("the two were not the same, and nothing was written; run it again")
    except EOFError:
        print()
        raise UserError("no passphrase was given, and nothing was changed; run it again") from None
    return passphrase


def read_passphrase(source: Path | int) -> str:
    """The first line of a file, or of an open descriptor. Raises UserError."""
    try:
        with open(source, "rb") as file:
            data = file.read(MAX_PASSPHRASE + 1)
    except OSError as error:
        where = f"descriptor {source}" if isinstance(source, int) else str(source)
        raise UserError(f"cannot read the passphrase from {where}: {error.strerror}") from None
    line = data.split(b"\n", 1)[0].removesuffix(b"\r")
    try:
        if 0 < len(line) <= MAX_PASSPHRASE:
            return line.decode()
    except UnicodeDecodeError:
        pass
    raise UserError(f"there is no passphrase: its first line must be 1 to {MAX_PASSPHRASE} bytes of UTF-8")
