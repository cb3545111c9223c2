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
class Detach:
    """Leave, if the peer goes on."""


@dataclass(frozen=True, slots=True)
class Clear:
    """Clear the screen."""


@dataclass(frozen=True, slots=True)
class Version:
    """Say which versions run, here and at the peer."""


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


@dataclass(frozen=True, slots=True)
class Paste:
    """Take the next lines as one message."""


@dataclass(frozen=True, slots=True)
class More:
    """Go on with what was read or looked for last."""

    newer: bool = False
    """To what came after it, instead of what was before."""


@dataclass(frozen=True, slots=True)
class Jump:
    """Show what stands around a line that a search found."""

    hit: int
    """Its number in the list of what was found."""


@dataclass(frozen=True, slots=True)
class Export:
    """Write all of a chat to a file that is not there yet."""

    who: str
    path: str
    as_json: bool


@dataclass(frozen=True, slots=True)
class OwnMessage:
    """Do `command` about a message that was named as `author#13`, if that is one of one's own."""

    command: api.ShowMessage | api.Cancel
    author: str


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """Say what a command would delete, and how to confirm it."""

    command: api.Forget | api.SetRetention


Local = (
    Help
    | Quit
    | Detach
    | Clear
    | Version
    | Paste
    | Switch
    | AcceptRequest
    | RejectRequest
    | Fingerprint
    | More
    | Jump
    | Export
    | OwnMessage
    | Unconfirmed
)
Action = api.Command | Local
