"""The JSON lines of the local socket (docs/local-api.md)."""

import re
from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from .events import Missed
from .values import MOST_SAID

LOCAL_VERSION = 1
"""The version of the JSON lines on the local socket."""

MAX_REQUEST_LINE = 128 * 1024
"""Most bytes of a client's line: a message of 16 KiB has room, even if every byte of it is written as an escape."""

ROOM_FOR_TEXTS = MAX_REQUEST_LINE - 1024
"""Of these, for the texts of one command; the rest of its line is shorter than what is left."""

NOTHING = msgspec.Raw(b"")
"""Stands for a reply or event that is not there; is false. (msgspec cannot decode into Raw | None.)"""

_NOT_PRINTABLE_ASCII = re.compile(r"[^ -~]")


class Request(Struct, frozen=True, kw_only=True):
    """One line from a client of the local socket."""

    version: int
    request: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
    """Chosen by the client; the answer carries it."""
    command: msgspec.Raw
    """A Command or ServerCommand; {"type": "subscribe"} asks for events."""


class Answer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line to a client: the answer to a request (`request`), or an event."""

    version: int
    request: int | None = None
    reply: msgspec.Raw = NOTHING
    error: str | None = None
    """One line for a person."""
    exit_code: int | None = None
    event: msgspec.Raw = NOTHING


def to_json(value: Any) -> bytes:
    """
    JSON of a command, reply or event, on one line, in printable ASCII alone.

    So nothing that somebody else wrote can act on a terminal that shows it, or hide in a log. Raises UnicodeError for
    text that is no Unicode (lone surrogates).
    """
    return _NOT_PRINTABLE_ASCII.sub(_escape, msgspec.json.encode(value).decode()).encode("ascii")


def fit_together(texts: Iterable[str]) -> int:
    """How many of the first of these messages one `say-all` takes: one at least, if there is one."""
    count, room = 0, ROOM_FOR_TEXTS
    for text in texts:
        room -= len(to_json(text)) + 1
        if count == MOST_SAID or (count and room < 0):
            break
        count += 1
    return count


def to_line(value: Struct) -> bytes:
    """A Request or an Answer with its end of line."""
    return to_json(value) + b"\n"


def _escape(found: re.Match[str]) -> str:
    # JSON escapes are of UTF-16 (RFC 8259, section 7), and outside strings its text has none of these characters.
    units = found[0].encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def missed(count: int) -> Answer:
    """Tells a client that so many events were left out for it."""
    return Answer(version=LOCAL_VERSION, event=msgspec.Raw(to_json(Missed(count=count))))
