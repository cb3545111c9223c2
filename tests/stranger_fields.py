"""
The tables of messages in docs/protocol.md, sections 6 to 9, written down from that page alone.

A field is a check of its value, and what its absence means: nothing for one that must be there, None for an optional
one. `whole` gives a message with all its fields, or raises Broken.
"""

import ipaddress
import re
from collections.abc import Callable
from typing import Any

Message = dict[str, Any]
Check = Callable[[Any], bool]

MAX_INT = 2**53 - 1
MAX_ENTRY = 61_440
MAX_RECORD = 4_096


class Broken(Exception):
    """The other side did what the page forbids; the argument is the code of section 5."""


class MustBeThere:
    """Instead of what the absence of a field means."""


def integer(least: int = 0, most: int = MAX_INT) -> Check:
    """int"""
    return lambda value: type(value) is int and least <= value <= most


def binary(least: int, most: int = 0) -> Check:
    """bin, of exactly so many bytes if only one number is given."""
    return lambda value: type(value) is bytes and least <= len(value) <= (most or least)


def text(pattern: str) -> Check:
    """str"""
    return lambda value: type(value) is str and re.fullmatch(pattern, value, re.DOTALL) is not None


def array(most: int, check: Check) -> Check:
    """array of at most so many"""
    return lambda value: type(value) is list and len(value) <= most and all(map(check, value))


def boolean(value: Any) -> bool:
    """bool"""
    return type(value) is bool


def address(value: Any) -> bool:
    """*address*"""
    try:
        host = str(ipaddress.ip_address(value["host"]))
    except (ValueError, KeyError, TypeError):
        return False
    return host == value["host"] and not host.startswith("::ffff:") and integer(1, 65535)(value.get("port"))


class Table:
    """The fields of one kind of map."""

    def __init__(self, **fields: Check | tuple[Check, Any]) -> None:
        self._fields = {
            name: field if isinstance(field, tuple) else (field, MustBeThere) for name, field in fields.items()
        }

    def whole(self, given: Message) -> Message:
        """The map with what its absent fields mean; Broken if it is not as the table says."""
        found = dict(given)
        for name, (check, absent) in self._fields.items():
            value = given.get(name, absent)
            if name not in given and absent is not MustBeThere:
                found[name] = absent
            elif not (check(value) or (value is None and absent is None)):
                raise Broken("malformed")
        return found

    def __call__(self, value: Any) -> bool:
        """Whether something inside a message is such a map."""
        try:
            self.whole(value)
        except (Broken, TypeError, AttributeError, ValueError):
            return False
        return True


INT, SEQ, ID, TOKEN, SIGNATURE, STREAM = integer(), integer(1), binary(32), binary(16), binary(64), binary(80)
HANDLE = text("[a-z0-9._-]{1,32}")
CODE = text(".{1,32}")
FEATURES: tuple[Check, Any] = (array(32, text(".{1,32}")), [])

SIGNED = Table(body=binary(1, MAX_RECORD), signature=SIGNATURE)
LISTING = Table(record=SIGNED, online=boolean, observed=(address, None))
HOLDING = Table(stream=STREAM, first=SEQ, base=ID, seq=INT, head=ID, processed=(INT, None))

RECORD = Table(
    key=binary(44),
    server=ID,
    handle=HANDLE,
    name=(text(".{0,64}"), ""),
    addresses=(array(4, address), []),
    counter=INT,
    successor=(binary(0, 64), None),
    prekeys=(binary(0, 2048), None),
)

ENTRY = Table(id=TOKEN, number=INT, lamport=INT, time=INT, kind=CODE, auth=text(".{1,16}"), body=lambda _: True)

BODIES = {"text": Table(text=text(".*")), "void": Table(), "reset": Table(stream=STREAM, seq=INT, head=ID)}

MESSAGES = {
    "hello": Table(version=INT, handle=HANDLE, nonce=TOKEN, store=TOKEN, features=FEATURES),
    "ping": Table(number=INT),
    "pong": Table(number=INT),
    "bye": Table(code=CODE),
    "server-hello": Table(
        version=INT, key=binary(44), proof=SIGNATURE, time=INT, observed=address, nonce=TOKEN, features=FEATURES
    ),
    "register": Table(record=SIGNED, invitation=(binary(1, 256), None)),
    "registered": Table(handle=HANDLE, expires=INT),
    "declined": Table(code=CODE, record=(SIGNED, None)),
    "watch": Table(everyone=boolean, ids=(array(512, ID), [])),
    "roster": Table(number=INT, listings=array(500, LISTING), more=boolean),
    "changes": Table(since=INT, number=INT, listings=(array(500, LISTING), []), gone=(array(500, ID), [])),
    "dial-back": Table(number=INT),
    "dialled-back": Table(number=INT, code=CODE, address=(address, None)),
    "ask": Table(text=(text(".{0,200}"), "")),
    "accept": Table(scope=text("once|timed|always"), seconds=(INT, None)),
    "reject": Table(code=(CODE, "rejected")),
    "select": Table(),
    "have": Table(streams=array(128, HOLDING), last=(boolean, False)),
    "entry": Table(
        stream=STREAM, seq=SEQ, history=(boolean, False), bytes=binary(1, MAX_ENTRY), signature=(SIGNATURE, None)
    ),
    "refused": Table(stream=STREAM, seq=SEQ, code=CODE),
    "seen": Table(stream=STREAM, seq=SEQ),
    "window": Table(entries=INT, bytes=INT),
    "history": Table(stream=STREAM, first=SEQ, last=SEQ),
    "record": SIGNED,
}
