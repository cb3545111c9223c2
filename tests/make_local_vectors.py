"""
Writes docs/local-vectors.json: `python -m tests.make_local_vectors > docs/local-vectors.json`.

A line for everything that crosses the local socket, made of the unions of `p2pchat.api`: what is added there is added
here. The file is the reference: when this script would write another line for something that was there before, then
programs that people wrote do not understand it any more.
"""

import json
import sys
from collections.abc import Iterable
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

from msgspec import Raw, Struct
from msgspec.structs import fields

from p2pchat.api import Command, Event, Reply, ServerCommand, ServerReply
from p2pchat.api.lines import LOCAL_VERSION, Answer, Request, to_json, to_line
from p2pchat.core.identity import format_id

from .examples import BOB, WALL

WORDS = {
    "address": "10.0.0.9:6666",
    "author": "alice",
    "chat": "open",
    "consent": "ask",
    "cursor": "bot",
    "digits": " ".join(["12345"] * 12),
    "display_name": "Bob Ångström",
    "group": "X25519MLKEM768",
    "handle": "bob",
    "hook": "/home/alice/bin/tell",
    "id": format_id(BOB.id),
    "kind": "text",
    "name": "bob",
    "path": "direct",
    "quiet": "22:00-7:00",
    "reason": "closed",
    "scope": "once",
    "standing": "verified",
    "state": "delivered",
    "terminal": "auto",
    "text": 'grüße "☕"\n\t\x1b[2J 日本 \U0001f600',
    "trust": "pinned",
    "version": "1.0.0",
    "what": "said",
    "who": "bob",
    "words": "grant café",
}
"""What a field of text holds; other fields hold their own names."""

TIMES = {"arrived", "at", "delivered", "queued", "seen", "since", "until", "verified"}

BRIEF = 7
"""What a number holds that is no time."""


def example(kind: type[Any]) -> Any:
    """One of a class, with all of its fields."""
    return kind(**{field.name: _value(field.name, field.type) for field in fields(kind)})


def least(kind: type[Any]) -> dict[str, Any]:
    """A command with those fields alone that it must have."""
    needed = {field.name: _value(field.name, field.type) for field in fields(kind) if field.required}
    return {"type": kind.__struct_config__.tag, **needed}


def _value(name: str, kind: Any) -> Any:
    if isinstance(kind, UnionType):
        kind = next(each for each in get_args(kind) if each is not NoneType)
    if get_origin(kind) is tuple:
        return (_value(name, get_args(kind)[0]),)
    if get_origin(kind) is dict:
        return {"full": BRIEF}
    if isinstance(kind, type) and issubclass(kind, Struct):
        return example(kind)
    if kind is str:
        return WORDS.get(name, name)
    if kind is float:
        return 12.5
    return True if kind is bool else WALL if name in TIMES else BRIEF


def _request(command: Any) -> str:
    return to_line(Request(version=LOCAL_VERSION, request=BRIEF, command=Raw(to_json(command)))).decode()


def _answer(**fields: Any) -> str:
    return to_line(Answer(version=LOCAL_VERSION, **fields)).decode()


def _all(*unions: Any) -> Iterable[Any]:
    return dict.fromkeys(kind for union in unions for kind in get_args(union))


def vectors() -> dict[str, Any]:
    """All of it."""
    requests: list[Any] = [{"type": "subscribe"}]
    for kind in _all(Command, ServerCommand):
        requests += [example(kind), least(kind)]
    lines = dict.fromkeys(map(_request, requests))
    refusal = {"error": "no contact is called 'bib': see them with p2pchat contact list", "exit_code": 5}
    return {
        "version": LOCAL_VERSION,
        "requests": list(lines),
        "replies": [_answer(request=BRIEF, reply=Raw(to_json(example(kind)))) for kind in _all(Reply, ServerReply)],
        "refusals": [_answer(request=BRIEF, **refusal), _answer(error="64 programs use this socket", exit_code=1)],
        "events": [_answer(event=Raw(to_json(example(kind)))) for kind in _all(Event)],
    }


if __name__ == "__main__":
    json.dump(vectors(), sys.stdout, indent=1)
    print()
