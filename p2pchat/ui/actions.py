"""What a typed line makes a front end do: a `Command` of the api, or something that it does by itself."""

from dataclasses import dataclass
from typing import Literal

from p2pchat import api

Scope = Literal["once", "timed", "always"]
"""What consent a person gives; `timed` goes with seconds."""


@dataclass(frozen=True, slots=True)
class Help:
    """Show the commands, or one of them."""

    topic: str = ""


@dataclass(frozen=True, slots=True)
class Quit:
    """End the program, which may be no more than a terminal on a peer."""


@dataclass(frozen=True, slots=True)
class Switch:
    """Make the chat with `who` the current one."""

    who: str


@dataclass(frozen=True, slots=True)
class AcceptRequest:
    """Say yes to a request, or to whoever answered at an address."""

    who: str | None = None
    """None: the only one that is pending."""

    scope: Scope = "once"
    seconds: int | None = None

    word: str = ""
    """The scope as typed, where no name was: somebody may be called so."""


@dataclass(frozen=True, slots=True)
class RejectRequest:
    """Say no to a request, or to whoever answered at an address."""

    who: str | None = None


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Show an id whole, one's own without `who`."""

    who: str | None = None


Local = Help | Quit | Switch | AcceptRequest | RejectRequest | Fingerprint
Action = api.Command | Local
