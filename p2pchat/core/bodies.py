"""
What travels inside messages as opaque bytes, because it is signed, chained or stored as its author encoded it.

docs/protocol.md, sections 7 ("Record") and 9. These bytes are never encoded a second time.
"""

from typing import Annotated, Any, ClassVar, Literal, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from .errors import EndCode, LocalProtocolError, RemoteProtocolError
from .messages import MAX_ENTRY, UNREADABLE, Address, Handle, Head, Id, Integer, Key, Part, StreamName, Token

_encode = msgspec.msgpack.Encoder().encode


class RecordBody(Part, frozen=True, kw_only=True):
    """The body of a roster record, under the domain "p2pchat record v1\\0"."""

    key: Key
    server: Id
    handle: Handle
    name: Annotated[str, Meta(max_length=64)] = ""
    addresses: Annotated[tuple[Address, ...], Meta(max_length=4)] = ()
    counter: Integer
    successor: Annotated[bytes, Meta(max_length=64)] | None = None
    prekeys: Annotated[bytes, Meta(max_length=2048)] | None = None


class EntryBody(Struct, frozen=True, kw_only=True, gc=False):
    """What an author wrote: the bytes inside an Entry."""

    id: Token
    number: Integer
    lamport: Integer
    time: Integer
    kind: Annotated[str, Meta(min_length=1, max_length=32)]
    auth: Annotated[str, Meta(min_length=1, max_length=16)]
    body: Raw


class TextBody(Part, frozen=True, kw_only=True):
    """The body of an entry of kind "text"."""

    text: str


class TextEntry(Struct, frozen=True, kw_only=True, gc=False):
    """An EntryBody of kind "text" over its author's link: what nearly all are, read and written in one go."""

    id: Token
    number: Integer
    lamport: Integer
    time: Integer
    kind: Literal["text"]
    auth: Literal["link"]
    body: TextBody


class ResetBody(Part, frozen=True, kw_only=True):
    """The body of an entry of kind "reset": what was confirmed of the stream that this one replaces."""

    stream: StreamName
    seq: Integer
    head: Head


BodyType = TypeVar("BodyType", bound=Struct)


class BodyCodec:
    """Encodes and decodes the parts that travel as opaque bytes, with one decoder for each type."""

    _decoders: ClassVar[dict[type[Struct], msgspec.msgpack.Decoder[Any]]] = {
        kind: msgspec.msgpack.Decoder(kind) for kind in (RecordBody, EntryBody, TextBody, ResetBody)
    }

    @classmethod
    def decode(cls, kind: type[BodyType], data: bytes | Raw) -> BodyType:
        """Raises RemoteProtocolError(MALFORMED) for bytes that are no `kind`."""
        try:
            value: BodyType = cls._decoders[kind].decode(data)
        except UNREADABLE as error:
            raise RemoteProtocolError(
                EndCode.MALFORMED, f"unreadable {kind.__name__}: {type(error).__name__}"
            ) from None
        return value


decode_body = BodyCodec.decode

decode_text = msgspec.msgpack.Decoder(TextEntry).decode
"""Raises what is UNREADABLE for bytes that are no plain message."""


def encode_body(value: RecordBody | EntryBody | TextEntry | TextBody | ResetBody) -> bytes:
    """The bytes of a part that travels opaque; raises LocalProtocolError above MAX_ENTRY."""
    data = _encode(value)
    if len(data) > MAX_ENTRY:
        raise LocalProtocolError(f"{type(value).__name__} of {len(data)} bytes")
    return data


def raw(value: TextBody | ResetBody | None) -> Raw:
    """The body of an entry as it stands inside EntryBody; None is the empty map of a `void`."""
    return Raw(_encode({} if value is None else value))
