"""
Every message that may cross a link, its limits, and how it looks on the wire.

docs/protocol.md is the specification; sections 4 to 9 stand here as types. Decoding is total: bytes become a
message, `None` for a message that may be skipped, or RemoteProtocolError(MALFORMED).
"""

from functools import reduce
from operator import or_
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from .errors import EndCode, RemoteProtocolError

VERSION = 1
"""The highest revision of the protocol that this code speaks."""

MAX_INTEGER = 2**53 - 1
"""Every integer on the wire: what JSON and every language can hold exactly."""

MAX_ENTRY = 61_440
"""Most bytes of an encoded entry: with its frame's fields it fits into a frame of 64 KiB."""

MAX_TEXT = 16 * 1024
"""Most bytes of UTF-8 in a text message."""

MAX_RECORD = 4096
"""Most bytes of a roster record's body; leaves room for prekeys."""

MAX_LISTINGS = 500
"""Most rows in a page of the roster."""

MAX_HOLDINGS = 128
"""Most streams in one Have: 128 of some 230 bytes fit into a frame."""

MAX_WATCHED = 512
"""Most ids in one Watch: more contacts than a person keeps."""

DIAL_BACK = "dial-back"
"""Feature of a server link: the peer may ask to be dialled back."""

Integer = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
Sequence = Annotated[int, Meta(ge=1, le=MAX_INTEGER)]
Port = Annotated[int, Meta(ge=1, le=65535)]
Key = Annotated[bytes, Meta(min_length=44, max_length=44)]
"""A DER SubjectPublicKeyInfo of an Ed25519 key."""
Id = Annotated[bytes, Meta(min_length=32, max_length=32)]
"""A peer id, server id or conversation id."""
Head = Annotated[bytes, Meta(min_length=32, max_length=32)]
StreamName = Annotated[bytes, Meta(min_length=80, max_length=80)]
"""conversation || author's id || 16 random bytes"""
Token = Annotated[bytes, Meta(min_length=16, max_length=16)]
"""16 random bytes: a nonce, a store id, an entry id."""
Signature = Annotated[bytes, Meta(min_length=64, max_length=64)]
Handle = Annotated[str, Meta(pattern=r"\A[a-z0-9._-]{1,32}\Z")]
Code = Annotated[str, Meta(min_length=1, max_length=32)]
Feature = Annotated[str, Meta(min_length=1, max_length=32)]
Features = Annotated[tuple[Feature, ...], Meta(max_length=32)]


class Message(Struct, frozen=True, omit_defaults=True, tag_field="type", gc=False):
    """Base of all messages; the tag of each stands beside its name. As a value it is in no cycle: `gc=False`."""


class Part(Struct, frozen=True, omit_defaults=True, gc=False):
    """Base of what stands inside messages."""


class Address(Part, frozen=True, kw_only=True):
    """Where to dial: an IP address as text, and a port."""

    host: Annotated[str, Meta(min_length=2, max_length=45)]
    port: Port


class Signed(Part, frozen=True, kw_only=True):
    """Bytes and the Ed25519 signature over a domain prefix and those bytes, as received."""

    body: Annotated[bytes, Meta(min_length=1, max_length=MAX_RECORD)]
    signature: Signature


class Listing(Part, frozen=True, kw_only=True):
    """A row of the roster: the peer's own signed word, and the server's unsigned one."""

    record: Signed
    online: bool
    observed: Address | None = None


class Holding(Part, frozen=True, kw_only=True):
    """What somebody has of a stream: entries `first` to `seq`, with the heads before and at the end."""

    stream: StreamName
    first: Sequence
    base: Head
    seq: Integer
    head: Head
    processed: Integer | None = None
    """From the author alone: every refusal up to this seq is committed there."""


# --- on every link


class Hello(Message, frozen=True, kw_only=True, tag="hello"):
    """A peer's first message on every link."""

    version: Integer
    handle: Handle
    nonce: Token
    store: Token
    features: Features = ()


class Ping(Message, frozen=True, kw_only=True, tag="ping"):
    """Asks for a Pong with the same number."""

    number: Integer


class Pong(Message, frozen=True, kw_only=True, tag="pong"):
    """Answers a Ping."""

    number: Integer


class Bye(Message, frozen=True, kw_only=True, tag="bye"):
    """The last message on a link, and why."""

    code: Code

    @property
    def reason(self) -> EndCode:
        """The code as we know it; UNKNOWN for one that we do not."""
        return end_code(self.code)


# --- the server link


class ServerHello(Message, frozen=True, kw_only=True, tag="server-hello"):
    """The server's first message: who it is, proved for this TLS connection, and what it sees of us."""

    version: Integer
    key: Key
    proof: Signature
    time: Integer
    observed: Address
    nonce: Token
    features: Features = ()


class Register(Message, frozen=True, kw_only=True, tag="register"):
    """Puts the sender on the roster, or replaces its record there."""

    record: Signed
    invitation: Annotated[bytes, Meta(min_length=1, max_length=256)] | None = None


class Registered(Message, frozen=True, kw_only=True, tag="registered"):
    """The peer is online, until it was silent for `expires` seconds."""

    handle: Handle
    expires: Integer


class Declined(Message, frozen=True, kw_only=True, tag="declined"):
    """The record was not taken; with STALE_RECORD comes the newer one."""

    code: Code
    record: Signed | None = None

    @property
    def reason(self) -> EndCode:
        """The code as we know it; UNKNOWN for one that we do not."""
        return end_code(self.code)


class Watch(Message, frozen=True, kw_only=True, tag="watch"):
    """Replaces what the sender wants to be told about."""

    everyone: bool
    ids: Annotated[tuple[Id, ...], Meta(max_length=MAX_WATCHED)] = ()


class RosterPage(Message, frozen=True, kw_only=True, tag="roster"):
    """A page of a snapshot; the last page has more=False."""

    number: Integer
    listings: Annotated[tuple[Listing, ...], Meta(max_length=MAX_LISTINGS)]
    more: bool


class Changes(Message, frozen=True, kw_only=True, tag="changes"):
    """What changed after roster number `since`, up to `number`."""

    since: Integer
    number: Integer
    listings: Annotated[tuple[Listing, ...], Meta(max_length=MAX_LISTINGS)] = ()
    gone: Annotated[tuple[Id, ...], Meta(max_length=MAX_LISTINGS)] = ()


class DialBack(Message, frozen=True, kw_only=True, tag="dial-back"):
    """Asks the server to look whether the sender can be reached where it listens; needs the feature DIAL_BACK."""

    number: Integer


class DialledBack(Message, frozen=True, kw_only=True, tag="dialled-back"):
    """Answers a DialBack: how it went (`core.reach.Outcome`)."""

    number: Integer
    code: Code
    address: Address | None = None
    """What was dialled; None if nothing was."""


# --- the peer link


class Ask(Message, frozen=True, kw_only=True, tag="ask"):
    """Asks to chat, with one line of text for the person."""

    text: Annotated[str, Meta(max_length=200)] = ""


class Accept(Message, frozen=True, kw_only=True, tag="accept"):
    """Consents to chat; `seconds` goes with scope "timed"."""

    scope: Annotated[str, Meta(pattern=r"\A(once|timed|always)\Z")]
    seconds: Integer | None = None


class Reject(Message, frozen=True, kw_only=True, tag="reject"):
    """Refuses to chat; the link ends."""

    code: Code = EndCode.REJECTED.value

    @property
    def reason(self) -> EndCode:
        """The code as we know it; UNKNOWN for one that we do not."""
        return end_code(self.code)


class Select(Message, frozen=True, kw_only=True, tag="select"):
    """The leader's choice: this is the link of the two."""


class Have(Message, frozen=True, kw_only=True, tag="have"):
    """What the sender holds; `last` ends the list of link-up."""

    streams: Annotated[tuple[Holding, ...], Meta(max_length=MAX_HOLDINGS)]
    last: bool = False


class Entry(Message, frozen=True, kw_only=True, tag="entry"):
    """One entry of a stream, as the bytes that its author encoded (`core.bodies`)."""

    stream: StreamName
    seq: Sequence
    bytes: Annotated[bytes, Meta(min_length=1, max_length=MAX_ENTRY)]
    history: bool = False
    signature: Signature | None = None


class Refused(Message, frozen=True, kw_only=True, tag="refused"):
    """An entry that the sender could not take, and why."""

    stream: StreamName
    seq: Sequence
    code: Code


class Seen(Message, frozen=True, kw_only=True, tag="seen"):
    """Every line of the stream up to `seq` was displayed to a person or confirmed by a program."""

    stream: StreamName
    seq: Sequence


class Window(Message, frozen=True, kw_only=True, tag="window"):
    """How many entries, and how many bytes of them, may be sent in all since Select."""

    entries: Integer
    bytes: Integer


class History(Message, frozen=True, kw_only=True, tag="history"):
    """From a reader: asks for older entries. From the author: that range was answered."""

    stream: StreamName
    first: Sequence
    last: Sequence


class Record(Message, frozen=True, kw_only=True, tag="record"):
    """A roster record, of the sender or of somebody else."""

    body: Annotated[bytes, Meta(min_length=1, max_length=MAX_RECORD)]
    signature: Signature


MESSAGES: tuple[type[Message], ...] = (
    Hello,
    Ping,
    Pong,
    Bye,
    ServerHello,
    Register,
    Registered,
    Declined,
    Watch,
    RosterPage,
    Changes,
    DialBack,
    DialledBack,
    Ask,
    Accept,
    Reject,
    Select,
    Have,
    Entry,
    Refused,
    Seen,
    Window,
    History,
    Record,
)


def tag_of(kind: type[Message]) -> str:
    """The tag that names a class of messages on the wire."""
    return str(kind.__struct_config__.tag)


class _Envelope(Struct):
    """What is read of a frame before anything else."""

    type: Annotated[str, Meta(min_length=1, max_length=64)]


_decode_known = msgspec.msgpack.Decoder(reduce(or_, MESSAGES)).decode
_envelope = msgspec.msgpack.Decoder(_Envelope)
_TAGS = frozenset(map(tag_of, MESSAGES))
_encode = msgspec.msgpack.Encoder().encode

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises. The last two are no msgspec errors: bad UTF-8 where it is skipped, and endless nesting."""


def encode(message: Message) -> bytes:
    """The body of the frame that carries `message`."""
    return _encode(message)


def decode(frame: bytes | bytearray) -> Message | None:
    """
    The message in a frame's body; None for an unknown one that asks to be skipped (`x-`).

    Raises RemoteProtocolError(MALFORMED) for anything else that is no message.
    """
    try:
        known: Message = _decode_known(frame)
    except UNREADABLE:
        _judge_strange(frame)
        return None
    return known


def _judge_strange(frame: bytes | bytearray) -> None:
    """What is no message of ours may ask to be skipped; otherwise it raises RemoteProtocolError(MALFORMED)."""
    try:
        tag = _envelope.decode(frame).type
        if tag in _TAGS:
            _decode_known(frame)
    except UNREADABLE as error:
        raise RemoteProtocolError(EndCode.MALFORMED, f"unreadable message: {type(error).__name__}") from None
    if not tag.startswith("x-"):
        raise RemoteProtocolError(EndCode.MALFORMED, "unknown type of message")


def end_code(code: str) -> EndCode:
    """A code from the wire as we know it."""
    try:
        return EndCode(code)
    except ValueError:
        return EndCode.UNKNOWN
