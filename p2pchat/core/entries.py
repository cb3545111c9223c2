"""
Entries: what an author writes, and how a reader judges what came (docs/protocol.md, section 9).

Nothing here makes randomness or reads a clock: ids and times are passed in.
"""

import hashlib
from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from .bodies import EntryBody, ResetBody, TextBody, TextEntry, decode_body, decode_text, encode_body, raw
from .errors import RemoteProtocolError
from .messages import MAX_ENTRY, MAX_TEXT, UNREADABLE

LAMPORT_LEAP = 2**32
"""A lamport this far beyond one's own is stored, but does not move one's own: it could only exhaust the range."""


class Kind(StrEnum):
    """The kinds of entries that this version knows."""

    TEXT = "text"
    VOID = "void"
    RESET = "reset"


class RefusalCode(StrEnum):
    """Why a reader cannot take an entry."""

    MALFORMED = "malformed"
    TOO_BIG = "too-big"
    CONFLICT = "conflict"
    AUTH = "auth"


ID_SIZE = 16
"""Bytes of an entry's id."""

_IDS = 1 << 8 * ID_SIZE
"""How many there are."""

_BEGINNING = hashlib.sha256()

AUTH_LINK = "link"
"""Vouched for by the link that it came over, from its author."""


# --- names and chains


def conversation_of(one: bytes, other: bytes) -> bytes:
    """The id of the conversation of two peers, given both ids in any order."""
    return hashlib.sha256(b"p2pchat conversation v1\0" + min(one, other) + max(one, other)).digest()


def stream_name(conversation: bytes, author: bytes, random: bytes) -> bytes:
    """The 80 bytes that name a stream; `random` are 16 random bytes."""
    return conversation + author + random


def conversation_in(stream: bytes) -> bytes:
    """The conversation of a stream."""
    return stream[:32]


def author_in(stream: bytes) -> bytes:
    """The id of a stream's author."""
    return stream[32:64]


def first_head(stream: bytes) -> bytes:
    """head(0) of a stream."""
    return hashlib.sha256(b"p2pchat stream v1\0" + stream).digest()


def next_head(head: bytes, entry: bytes) -> bytes:
    """head(n) from head(n-1) and the bytes of entry n."""
    digest = _BEGINNING.copy()  # which is quicker than to begin
    digest.update(head + entry)
    return digest.digest()


def ids_from(first: bytes, count: int) -> list[bytes]:
    """
    The ids of entries that are written together: `first`, which is random, and those that follow it.

    Each is as random as the first. As neighbours they stand together in the indexes of both sides, where ids drawn
    apart would each change a page of its own.
    """
    start = int.from_bytes(first, "big")
    return [((start + place) % _IDS).to_bytes(ID_SIZE, "big") for place in range(count)]


# --- writing


def text_entry(text: str, *, id: bytes, number: int, lamport: int, time: int) -> bytes:
    """The bytes of a message; the caller has split what is longer than MAX_TEXT."""
    body = TextBody(text=text)
    return encode_body(TextEntry(id=id, number=number, lamport=lamport, time=time, kind="text", auth="link", body=body))


def reset_entry(stream: bytes, seq: int, head: bytes, *, id: bytes, lamport: int, time: int) -> bytes:
    """The bytes of the first entry of a stream that replaces `stream`, confirmed up to (seq, head)."""
    return _entry(Kind.RESET.value, ResetBody(stream=stream, seq=seq, head=head), id, 0, lamport, time)


def void_entry(*, id: bytes, number: int, lamport: int, time: int) -> bytes:
    """The bytes that stand where a message was taken back before it left."""
    return _entry(Kind.VOID.value, None, id, number, lamport, time)


def _entry(kind: str, body: ResetBody | None, id: bytes, number: int, lamport: int, time: int) -> bytes:
    return encode_body(
        EntryBody(id=id, number=number, lamport=lamport, time=time, kind=kind, auth=AUTH_LINK, body=raw(body))
    )


# --- reading


class Judged(Struct, frozen=True, gc=False):
    """What a reader makes of an entry's bytes."""

    refusal: RefusalCode | None
    """Why it cannot be taken; then nothing else is known of it."""
    id: bytes = b""
    number: int = 0
    lamport: int = 0
    time: int = 0
    kind: str = ""
    """Maybe one that this version does not know."""
    text: str = ""
    """Of kind "text"; raw."""
    reset: ResetBody | None = None


def judge(data: bytes) -> Judged:
    """Decode an entry as far as this version can; never raises."""
    if len(data) > MAX_ENTRY:
        return Judged(RefusalCode.TOO_BIG)
    try:
        entry = decode_text(data)
    except UNREADABLE:
        return _judge_other(data)
    text = entry.body.text
    if _too_long(text):
        return Judged(RefusalCode.TOO_BIG)
    return Judged(None, entry.id, entry.number, entry.lamport, entry.time, entry.kind, text)


def _too_long(text: str) -> bool:
    return len(text) * 4 > MAX_TEXT and len(text.encode("utf-8", "surrogatepass")) > MAX_TEXT


def _judge_other(data: bytes) -> Judged:
    """What is no plain message."""
    try:
        entry = decode_body(EntryBody, data)
        if entry.auth != AUTH_LINK:
            return Judged(RefusalCode.AUTH)
        text, reset = "", None
        if entry.kind == Kind.TEXT:
            text = decode_body(TextBody, entry.body).text
            if _too_long(text):
                return Judged(RefusalCode.TOO_BIG)
        elif entry.kind == Kind.RESET:
            reset = decode_body(ResetBody, entry.body)
    except RemoteProtocolError:
        return Judged(RefusalCode.MALFORMED)
    return Judged(None, entry.id, entry.number, entry.lamport, entry.time, entry.kind, text, reset)


def moved_lamport(own: int, received: int) -> int:
    """One's own lamport after an entry with `received` was seen."""
    return max(own, received) if received <= own + LAMPORT_LEAP else own


def moved_by_all(own: int, received: Sequence[int]) -> int:
    """One's own lamport after entries with these were seen, in their order."""
    highest = max(received, default=0)
    if highest <= own + LAMPORT_LEAP:
        return max(own, highest)
    for each in received:
        own = moved_lamport(own, each)
    return own
