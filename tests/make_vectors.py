"""
Writes docs/vectors.json: `python -m tests.make_vectors > docs/vectors.json`.

Everything follows from fixed seeds, so that a second run writes the same. The file is the reference: when this
script would write something else, either the protocol changed or there is a bug.
"""

import json
import sys
from typing import Any

import msgspec

from p2pchat.core.entries import RefusalCode, stream_name
from p2pchat.core.framing import encode_frame
from p2pchat.core.identity import (
    ALPHABET,
    Domain,
    Identity,
    JoinLink,
    compact_id,
    format_id,
    safety_number,
    short_id,
)
from p2pchat.core.messages import (
    Accept,
    Ask,
    Bye,
    Entry,
    Have,
    Hello,
    Holding,
    Message,
    Ping,
    Pong,
    Seen,
    Select,
    Signed,
    Window,
    encode,
    tag_of,
)

from .examples import (
    ALICE,
    BASE,
    BOB,
    CONVERSATION,
    ENTRIES,
    EXAMPLES,
    EXPORTER,
    HEADS,
    RECORD_BYTES,
    RESET,
    SERVER,
    SIGNED,
    STREAM,
)

PEOPLE = {"alice": (1, ALICE), "bob": (2, BOB), "server": (3, SERVER)}


def plain(value: Any) -> Any:
    """A decoded MessagePack value as JSON: bytes become {"hex": ...}."""
    match value:
        case bytes():
            return {"hex": value.hex()}
        case dict():
            return {key: plain(each) for key, each in value.items()}
        case list():
            return [plain(each) for each in value]
        case _:
            return value


def unpacked(data: bytes) -> Any:
    """MessagePack as JSON."""
    return plain(msgspec.msgpack.decode(data))


def identities() -> list[dict[str, Any]]:
    """Keys from seeds, and how their ids are written."""
    return [
        {
            "name": name,
            "seed": (bytes([seed]) * 32).hex(),
            "key": identity.key.hex(),
            "id": identity.id.hex(),
            "written": format_id(identity.id),
            "shown_where_a_person_decides": short_id(identity.id),
        }
        for name, (seed, identity) in PEOPLE.items()
    ]


def written_ids() -> dict[str, Any]:
    """What a reader of ids takes, and what it refuses."""
    written, compact = format_id(ALICE.id), compact_id(ALICE.id)
    padded = compact[:51] + ALPHABET[ALPHABET.index(compact[51]) | 1] + compact[52:]
    wrong = "1" if compact[0] != "1" else "2"
    zero = bytes(32)
    good = {
        written: ALICE.id,
        compact: ALICE.id,
        written.upper(): ALICE.id,
        f"  {written.replace('-', ' ')} \n": ALICE.id,
        compact.replace("0", "O").replace("1", "l"): ALICE.id,
        compact.replace("0", "o").replace("1", "I"): ALICE.id,
        format_id(zero): zero,
        format_id(b"\xff" * 32): b"\xff" * 32,
    }
    bad = {
        "": "empty",
        compact[:-1]: "too short",
        compact + "0": "too long",
        compact[:52]: "no check characters",
        wrong + compact[1:]: "another first character",
        compact[:-1] + ALPHABET[ALPHABET.index(compact[-1]) ^ 1]: "another last check character",
        compact[1] + compact[0] + compact[2:]: "two characters changed places",
        padded: "padding bits that are not zero",
        "u" + compact[1:]: "a character that is not in the alphabet",
        "\uff10" + compact[1:]: "a digit of another script",
        "\u212a" + compact[1:]: "the Kelvin sign, which is no k",
        compact.replace(compact[4], "_", 1): "a sign",
    }
    return {
        "good": [{"text": text, "id": identifier.hex()} for text, identifier in good.items()],
        "bad": [{"text": text, "why": why} for text, why in bad.items()],
    }


def join_links() -> dict[str, Any]:
    """What a reader of join links takes, and what it refuses."""
    compact, written = compact_id(SERVER.id), format_id(SERVER.id)
    good = [
        (f"p2pchat://lab1.example:8888/#{compact}", JoinLink("lab1.example", 8888, SERVER.id)),
        (f"p2pchat://lab1.example/#{written}", JoinLink("lab1.example", 8888, SERVER.id)),
        (f"p2pchat://192.0.2.7:9999/#{compact}", JoinLink("192.0.2.7", 9999, SERVER.id)),
        (f"p2pchat://[2001:db8::7]:8888/#{compact}", JoinLink("2001:db8::7", 8888, SERVER.id)),
        (f"p2pchat://[2001:db8::7]/#{compact}", JoinLink("2001:db8::7", 8888, SERVER.id)),
    ]
    bad = {
        f"p2pchat:///#{compact}": "no host",
        f"p2pchat://lab1.example:0/#{compact}": "port 0",
        f"p2pchat://lab1.example:65536/#{compact}": "port above 65535",
        f"p2pchat://[2001:db8::7:8888/#{compact}": "bracket that is not closed",
        f"p2pchat://lab1.example:8888/#{compact[:-1]}": "id too short",
        f"https://lab1.example:8888/#{compact}": "another scheme",
    }
    return {
        "good": [
            {"text": text, "host": link.host, "port": link.port, "id": SERVER.id.hex(), "written": str(link)}
            for text, link in good
        ],
        "bad": [{"text": text, "why": why} for text, why in bad.items()],
    }


def frames() -> list[dict[str, Any]]:
    """A frame of every message."""
    return [
        {
            "type": tag_of(type(message)),
            "frame": encode_frame(encode(message)).hex(),
            "fields": unpacked(encode(message)),
        }
        for message in EXAMPLES
    ]


def map_of(fields: dict[str, Any]) -> bytes:
    """A frame's body."""
    return msgspec.msgpack.encode(fields)


def other_frames() -> dict[str, Any]:
    """Frames that are skipped, that are taken though they look odd, and that are refused, each with its reason."""
    ping = {"type": "ping", "number": 1}
    skipped = {"an unknown type that asks for it": map_of({"type": "x-new", "field": [1.5, None]})}
    taken = {
        "an unknown field": (map_of(ping | {"new": {"deep": [1.5]}}), ping),
        "type last": (map_of({"number": 1, "type": "ping"}), ping),
        "a key twice, the last one counts": (b"\x83\xa4type\xa4ping\xa6number\x05\xa6number\x01", ping),
        "nil for an optional field": (
            map_of({"type": "accept", "scope": "once", "seconds": None}),
            {"type": "accept", "scope": "once"},
        ),
        "an integer in more bytes than it needs": (b"\x82\xa4type\xa4ping\xa6number\xcf\0\0\0\0\0\0\0\x01", ping),
    }
    refused = {
        "no map": map_of([ping]),  # type: ignore[arg-type]
        "no type": map_of({"number": 1}),
        "an unknown type": map_of({"type": "new"}),
        "an unknown type in capitals": map_of({"type": "X-new"}),
        "a missing field": map_of({"type": "ping"}),
        "a float": map_of({"type": "ping", "number": 1.0}),
        "a boolean": map_of({"type": "ping", "number": True}),
        "a negative integer": map_of({"type": "ping", "number": -1}),
        "2^53": map_of({"type": "ping", "number": 2**53}),
        "bin for str": map_of({"type": "ask", "text": b"hi"}),
        "str that is no UTF-8": b"\x82\xa4type\xa3ask\xa4text\xa1\xff",
        "bytes behind the map": map_of(ping) + b"\xc0",
        "a map that ends early": map_of(ping)[:-1],
        "a handle in capitals": map_of({"type": "registered", "handle": "Alice", "expires": 30}),
        "text of 201 characters": map_of({"type": "ask", "text": "x" * 201}),
        "type twice": b"\x83\xa4type\xa4pong\xa6number\x05\xa4type\xa4ping",
    }
    return {
        "skipped": [{"why": why, "frame": encode_frame(body).hex()} for why, body in skipped.items()],
        "taken": [
            {"why": why, "frame": encode_frame(body).hex(), "same_as": plain(fields)}
            for why, (body, fields) in taken.items()
        ],
        "malformed": [{"why": why, "frame": encode_frame(body).hex()} for why, body in refused.items()],
        "lengths": [
            {"frame_begins": "00000000", "code": "malformed"},
            {"frame_begins": "00004001", "code": "too-big", "unless": "the link is open"},
            {"frame_begins": "00010001", "code": "too-big"},
            {"frame_begins": "ffffffff", "code": "too-big"},
        ],
    }


def signed(identity: Identity, domain: bytes, value: Signed) -> dict[str, Any]:
    """What was signed, and how."""
    return {
        "by": identity.key.hex(),
        "domain": domain.hex(),
        "body": value.body.hex(),
        "signature": value.signature.hex(),
    }


def conversation() -> dict[str, Any]:
    """Names, a chain of three entries, and a reset."""
    random = STREAM[64:]
    assert stream_name(CONVERSATION, ALICE.id, random) == STREAM
    return {
        "between": [ALICE.id.hex(), BOB.id.hex()],
        "conversation": CONVERSATION.hex(),
        "author": ALICE.id.hex(),
        "random": random.hex(),
        "stream": STREAM.hex(),
        "head_0": BASE.hex(),
        "entries": [
            {"seq": seq, "bytes": entry.hex(), "fields": unpacked(entry), "head": HEADS[seq].hex()}
            for seq, entry in enumerate(ENTRIES, 1)
        ],
        "reset": {"bytes": RESET.hex(), "fields": unpacked(RESET)},
    }


def refused_entries() -> list[dict[str, str]]:
    """Entries that a reader cannot take, and what it answers."""
    good = msgspec.msgpack.decode(ENTRIES[0])
    entries: list[tuple[str, RefusalCode, dict[str, Any]]] = [
        ("signed", RefusalCode.AUTH, {"auth": "signed"}),
        ("sealed", RefusalCode.AUTH, {"auth": "sealed"}),
        ("a text without text", RefusalCode.MALFORMED, {"body": {}}),
        ("an id of 15 bytes", RefusalCode.MALFORMED, {"id": bytes(15)}),
        ("a reset without a stream", RefusalCode.MALFORMED, {"kind": "reset", "body": {"seq": 0, "head": BASE}}),
        ("a text of 16,385 bytes", RefusalCode.TOO_BIG, {"body": {"text": "é" * 8192 + "x"}}),
    ]
    return [
        {"why": why, "code": code.value, "bytes": msgspec.msgpack.encode(good | fields).hex()}
        for why, code, fields in entries
    ]


def link() -> list[dict[str, str]]:
    """A whole short peer link: Alice dials Bob, asks, says one thing, and closes. Bob has the lower id and leads."""
    listing = Holding(stream=STREAM, first=1, base=BASE, seq=1, head=HEADS[1])
    messages: list[tuple[str, Message]] = [
        ("alice", EXAMPLES[0]),
        ("bob", Hello(version=1, handle="bob", nonce=bytes([0xB2]) * 16, store=bytes([0xC2]) * 16)),
        ("alice", Ask(text="about the grant")),
        ("alice", Accept(scope="always")),
        ("bob", Accept(scope="once")),
        ("bob", Select()),
        ("alice", Have(streams=(listing,), last=True)),
        ("bob", Have(streams=(), last=True)),
        ("alice", Entry(stream=STREAM, seq=1, bytes=ENTRIES[0])),
        ("bob", Have(streams=(listing,))),
        ("bob", Window(entries=1025, bytes=1_048_576 + len(ENTRIES[0]))),
        ("bob", Seen(stream=STREAM, seq=1)),
        ("bob", Ping(number=1)),
        ("alice", Pong(number=1)),
        ("alice", Bye(code="closed")),
    ]
    return [
        {"from": sender, "type": tag_of(type(message)), "frame": encode_frame(encode(message)).hex()}
        for sender, message in messages
    ]


def vectors() -> dict[str, Any]:
    """All of it."""
    return {
        "about": (
            "Test vectors for docs/protocol.md. Bytes are hexadecimal; inside decoded fields they stand as "
            '{"hex": ...}. MessagePack has many forms of one map: what another implementation encodes may differ '
            "from these frames, what it decodes may not."
        ),
        "identities": identities(),
        "written_ids": written_ids(),
        "safety_numbers": [
            {"keys": [one.key.hex(), other.key.hex()], "number": safety_number(one.key, other.key)}
            for one, other in ((ALICE, BOB), (BOB, ALICE), (ALICE, SERVER))
        ],
        "join_links": join_links(),
        "record": signed(ALICE, Domain.RECORD, SIGNED) | {"fields": unpacked(RECORD_BYTES)},
        "server_proof": signed(
            SERVER, Domain.SERVER, Signed(body=EXPORTER, signature=SERVER.sign(Domain.SERVER, EXPORTER))
        ),
        "conversation": conversation(),
        "refused_entries": refused_entries(),
        "link": link(),
        "frames": frames(),
        "other_frames": other_frames(),
    }


def main() -> None:
    """Write them to standard output."""
    json.dump(vectors(), sys.stdout, indent=1, ensure_ascii=True)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
