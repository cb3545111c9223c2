"""The JSON lines of the local socket (docs/local-api.md)."""

import msgspec
from msgspec import Struct

LOCAL_VERSION = 1
"""The version of the JSON lines on the local socket."""


class Request(Struct, frozen=True, kw_only=True):
    """One line from a client of the local socket."""

    version: int
    request: int
    """Chosen by the client; the answer carries it."""
    command: msgspec.Raw
    """A Command or ServerCommand; {"type": "subscribe"} asks for events."""


class Answer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line to a client: the answer to a request (`request`), or an event."""

    version: int = LOCAL_VERSION
    request: int | None = None
    reply: msgspec.Raw | None = None
    error: str | None = None
    """One line for a person."""
    exit_code: int | None = None
    event: msgspec.Raw | None = None
