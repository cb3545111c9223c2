"""What all one-shot commands share: which directory is meant, whom to ask, how to print."""

import errno
import sys
from argparse import Namespace
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..api.lines import to_json
from ..config import Role, default_state
from ..core.errors import UserError
from ..net.local_client import LocalClient


def state_of(options: Namespace, role: Role) -> Path:
    """The directory that --state names, or else the usual one of the role."""
    state: Path | None = options.state
    return default_state(role) if state is None else state


def client_of(options: Namespace, role: Role) -> LocalClient:
    """A client of the daemon there, to be opened by a `with`."""
    return LocalClient(state_of(options, role), role)


def print_line(line: str, end: str = "\n", *, flush: bool = False) -> None:
    """Print it; raises UserError where the output does not take it, and BrokenPipeError where nobody reads it."""
    try:
        print(line, end=end, flush=flush)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise unwritten(error) from None


def print_lines(lines: Iterable[str]) -> None:
    """For a person."""
    for line in lines:
        print_line(line)


def print_json(values: Iterable[Any]) -> None:
    """For a program: each value on a line of its own, which leaves at once."""
    for value in values:
        print_line(to_json(value).decode(), flush=True)


def print_aside(line: str) -> None:
    """What a person is told beside the output, if there is where to."""
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def unwritten(error: OSError) -> UserError:
    """What to say where standard output does not take what is printed."""
    return UserError(f"cannot write to standard output: {reason_of(error)}; direct it elsewhere, or make room")


def reason_of(error: OSError) -> str:
    """Why an output takes nothing, in a few words."""
    return "it is closed" if error.errno == errno.EBADF else str(error.strerror)
