"""What all one-shot commands share: which directory is meant, whom to ask, how to print."""

from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..api.lines import to_json
from ..config import Role, default_state
from ..net.local_client import LocalClient


def state_of(options: Namespace, role: Role) -> Path:
    """The directory that --state names, or else the usual one of the role."""
    state: Path | None = options.state
    return default_state(role) if state is None else state


def client_of(options: Namespace, role: Role) -> LocalClient:
    """A client of the daemon there, to be opened by a `with`."""
    return LocalClient(state_of(options, role), role)


def print_lines(lines: Iterable[str]) -> None:
    """For a person."""
    for line in lines:
        print(line)


def print_json(values: Iterable[Any]) -> None:
    """For a program: each value on a line of its own, which leaves at once."""
    for value in values:
        print(to_json(value).decode(), flush=True)
